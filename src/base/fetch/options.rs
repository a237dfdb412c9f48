use std::{fmt, sync::Arc, thread, time::Duration};

/// How to download.
#[derive(Clone)]
pub struct FetchOptions {
    /// Touch no network.
    pub offline: bool,
    /// Accept an image that nothing is known to compare with. Has nothing to
    /// do with TLS, whose certificates are always checked.
    pub insecure: bool,
    /// By whom to ask.
    pub proxies: Proxies,
    /// Time for a connection (30 s).
    pub connect_timeout: Duration,
    /// Time for an answer, and between two pieces of a file (60 s).
    pub read_timeout: Duration,
    /// Tries in a row that bring no byte before giving up (6).
    pub attempts: u32,
    /// Wait after the first failure; doubled after each further one, less a
    /// random part (500 ms).
    pub back_off: Duration,
    /// No wait is longer, unless the server asks for it (30 s).
    pub max_back_off: Duration,
    /// A server that wants a longer wait is given up (5 min).
    pub max_retry_after: Duration,
    /// Redirects followed (10).
    pub redirects: usize,
    /// Waits.
    pub sleep: Arc<dyn Fn(Duration) + Send + Sync>,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            offline: false,
            insecure: false,
            proxies: Proxies::from_environment(),
            connect_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(60),
            attempts: 6,
            back_off: Duration::from_millis(500),
            max_back_off: Duration::from_secs(30),
            max_retry_after: Duration::from_secs(300),
            redirects: 10,
            sleep: Arc::new(thread::sleep),
        }
    }
}

impl fmt::Debug for FetchOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchOptions")
            .field("offline", &self.offline)
            .field("insecure", &self.insecure)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

/// Proxies by the scheme of the URL asked for.
///
/// A proxy is a URL, with name and password where it wants them; `Debug` does
/// not show it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For http.
    pub http: Option<String>,
    /// For https.
    pub https: Option<String>,
    /// Hosts asked directly: names (with all names below), addresses,
    /// networks in CIDR notation, separated by commas; `*` for all.
    pub no_proxy: Option<String>,
}

impl Proxies {
    /// Reads `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, in lower
    /// or upper case.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// The same from any source of variables.
    #[must_use]
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Self {
        let find = |name: &str| {
            let upper = name.to_ascii_uppercase();
            [name.to_owned(), upper]
                .iter()
                // In a CGI program this one comes from the client.
                .filter(|n| {
                    *n != "HTTP_PROXY" || get("REQUEST_METHOD").is_none()
                })
                .filter_map(|name| get(name))
                .find(|value| !value.trim().is_empty())
        };
        let all = find("all_proxy");
        Self {
            http: find("http_proxy").or_else(|| all.clone()),
            https: find("https_proxy").or(all),
            no_proxy: find("no_proxy"),
        }
    }

    /// Takes the inventory's `proxy_url` and `no_proxy` instead of what is
    /// there, each where it is given.
    #[must_use]
    pub fn overridden(
        mut self,
        proxy_url: Option<&str>,
        no_proxy: Option<&str>,
    ) -> Self {
        if let Some(url) = proxy_url {
            self.http = Some(url.to_owned());
            self.https = Some(url.to_owned());
        }
        if let Some(hosts) = no_proxy {
            self.no_proxy = Some(hosts.to_owned());
        }
        self
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies")
            .field("http", &self.http.is_some())
            .field("https", &self.https.is_some())
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}
