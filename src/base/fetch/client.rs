use super::{FetchError, FetchErrorKind as Kind, FetchOptions, Proxies, retry};
use reqwest::{
    NoProxy, Proxy, Url,
    blocking::{self, ClientBuilder, RequestBuilder},
    redirect::Policy,
};
use std::fmt;

/// Asks servers; one serves many downloads.
#[derive(Clone)]
pub struct Client {
    inner: blocking::Client,
    options: FetchOptions,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client for `url` and where that redirects to.
    ///
    /// # Errors
    ///
    /// A wrong URL or proxy; for https, a system without CA certificates.
    pub fn new(url: &str, options: &FetchOptions) -> Result<Self, FetchError> {
        let fail = |kind| FetchError::new(url, kind);
        let parsed = parse(url).map_err(fail)?;
        // An error says that there is a provider already, which is as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let base = || builder(options).map_err(fail);
        let inner = match base()?.build() {
            Ok(client) => client,
            // Without https there is no need of certificates.
            Err(_) if parsed.scheme() == "http" => base()?
                .tls_certs_only([])
                .build()
                .map_err(|error| fail(Kind::Client(error)))?,
            Err(error) => return Err(fail(Kind::Client(error))),
        };
        Ok(Self { inner, options: options.clone() })
    }

    pub(super) fn options(&self) -> &FetchOptions {
        &self.options
    }

    /// Prepares a request; nothing is sent yet.
    pub(super) fn get(&self, url: &str) -> Result<RequestBuilder, Kind> {
        Ok(self.inner.get(parse(url)?))
    }

    /// Downloads a small text, as a list of checksums, with the same retries.
    ///
    /// # Errors
    ///
    /// As [`download`](super::download); and a text of more than `limit` bytes.
    pub fn text(&self, url: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
        use std::io::Read;
        let fail = |kind| FetchError::new(url, kind);
        let mut retries = retry::Retries::new(&self.options);
        loop {
            let get = self.get(url).map_err(fail)?;
            let (kind, wait) = match get.send() {
                Err(error) => {
                    let kind = Kind::of_request(error);
                    if !kind.is_transient() {
                        return Err(fail(kind));
                    }
                    (kind, None)
                }
                Ok(response) if response.status().as_u16() == 200 => {
                    let mut text = Vec::new();
                    let most = limit.saturating_add(1);
                    match response.take(most).read_to_end(&mut text) {
                        Err(error) => (Kind::Interrupted(error), None),
                        Ok(_) => {
                            let found =
                                u64::try_from(text.len()).unwrap_or(u64::MAX);
                            if found > limit {
                                let expected = limit;
                                let kind = Kind::Size { expected, found };
                                return Err(fail(kind));
                            }
                            return Ok(text);
                        }
                    }
                }
                Ok(response) => {
                    match super::bad_status(&response, response.status()) {
                        super::Failure::Transient(kind, wait) => (kind, wait),
                        super::Failure::Final(kind) => return Err(fail(kind)),
                        super::Failure::More => continue,
                    }
                }
            };
            let Some(delay) = retries.next(wait) else {
                let source = Box::new(kind);
                let attempts = retries.attempts();
                return Err(fail(Kind::GaveUp { attempts, source }));
            };
            (self.options.sleep)(delay);
        }
    }
}

fn builder(options: &FetchOptions) -> Result<ClientBuilder, Kind> {
    let limit = options.redirects;
    let policy = Policy::custom(move |attempt| {
        let from = attempt.previous().last();
        let was_safe = from.is_some_and(|url| url.scheme() == "https");
        if attempt.previous().len() > limit {
            attempt.error(format!("more than {limit} redirects"))
        } else if was_safe && attempt.url().scheme() != "https" {
            attempt.error("from https to http")
        } else {
            attempt.follow()
        }
    });
    let mut builder = blocking::Client::builder()
        .user_agent(concat!("piflash/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        .timeout(options.read_timeout)
        .redirect(policy)
        .referer(false)
        .no_proxy();
    for proxy in proxies(&options.proxies)? {
        builder = builder.proxy(proxy);
    }
    Ok(builder)
}

fn proxies(proxies: &Proxies) -> Result<Vec<Proxy>, Kind> {
    let Proxies { http, https, no_proxy } = proxies;
    // reqwest knows `*` for names, not for addresses.
    let mut hosts = no_proxy.iter().flat_map(|hosts| hosts.split(','));
    if hosts.any(|host| host.trim() == "*") {
        return Ok(Vec::new());
    }
    let no_proxy = || no_proxy.as_deref().and_then(NoProxy::from_string);
    let http = http.as_deref().map(Proxy::http);
    let https = https.as_deref().map(Proxy::https);
    [http, https]
        .into_iter()
        .flatten()
        .map(|proxy| {
            let proxy =
                proxy.map_err(|error| Kind::Proxy(error.without_url()))?;
            Ok(proxy.no_proxy(no_proxy()))
        })
        .collect()
}

fn parse(url: &str) -> Result<Url, Kind> {
    let url = Url::parse(url).map_err(|_| Kind::Url)?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(Kind::Url),
    }
}

/// Returns `url` without what may be a secret: name, password, query and
/// fragment.
#[must_use]
pub fn redacted(url: &str) -> String {
    let Ok(mut parsed) = parse(url) else {
        return "(not a URL)".to_owned();
    };
    // Impossible where there is no host, and then there is no password.
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    parsed.set_query(None);
    parsed.set_fragment(None);
    parsed.into()
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn no_secret_is_shown() {
        for (url, shown) in [
            ("https://u:p@host/a.img?token=x#y", "https://host/a.img"),
            ("http://host:8080/a+b.xz", "http://host:8080/a+b.xz"),
            ("u:p@host", "(not a URL)"),
            ("//p@host", "(not a URL)"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }
}
