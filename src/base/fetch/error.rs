use super::client::redacted;
use crate::base::FileError;
use std::{error::Error, fmt, io};

/// What went wrong with a download.
#[derive(Debug, thiserror::Error)]
pub enum FetchErrorKind {
    /// No URL that piflash can ask.
    #[error("this is no http or https URL")]
    Url,
    /// A proxy's URL is wrong; it is not repeated, for it may hold a
    /// password.
    #[error("the URL of the proxy is wrong")]
    Proxy(#[source] reqwest::Error),
    /// The client could not be made, as without any CA certificates.
    #[error("HTTPS cannot be set up")]
    Client(#[source] reqwest::Error),
    /// The server is not who the URL says, or nobody knows who says so.
    #[error("the server's certificate is refused")]
    Certificate(#[source] rustls::Error),
    /// No answer: name, connection, TLS, time-out.
    #[error("the server cannot be reached")]
    Request(#[source] reqwest::Error),
    /// Redirects in a circle, or from https to http.
    #[error("the server's redirects lead nowhere")]
    Redirect(#[source] reqwest::Error),
    /// The connection broke, or nothing came for too long.
    #[error("the connection broke off")]
    Interrupted(#[source] io::Error),
    /// An answer that is no file.
    #[error("the server answers {0}{text}", text = status_text(*.0))]
    Status(u16),
    /// The last of several tries failed.
    #[error("gave up after {attempts} tries without progress: {source}")]
    GaveUp {
        /// Tries in a row that brought no byte.
        attempts: u32,
        /// Why the last one failed.
        source: Box<Self>,
    },
    /// A page for people, as of a hotel's network.
    #[error("the server sends a web page instead of the file")]
    WebPage,
    /// The file has another size.
    #[error("the file has {found} bytes instead of {expected}")]
    Size {
        /// What was asked for.
        expected: u64,
        /// What the server has or says.
        found: u64,
    },
    /// A part that was not asked for.
    #[error("asked for the bytes from {asked}, the server sends {got:?}")]
    BadRange {
        /// Offset of the first byte.
        asked: u64,
        /// The Content-Range.
        got: String,
    },
    /// The part on the disk cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

fn certificate_hint(error: &rustls::Error) -> &'static str {
    use rustls::{CertificateError as Certificate, Error};
    match error {
        Error::InvalidCertificate(
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. },
        ) => {
            "check this machine's clock; if it is right, the server is at \
             fault: try later, or another mirror"
        }
        Error::InvalidCertificate(
            Certificate::NotValidForName
            | Certificate::NotValidForNameContext { .. },
        ) => {
            "another server answers than the one that the URL names: check \
             the URL, the proxy, and whether the network has a login page"
        }
        _ => {
            "if a proxy of your network makes the certificates, let this \
             machine trust its CA: put it into \
             /usr/local/share/ca-certificates/NAME.crt and run \
             update-ca-certificates, or set SSL_CERT_FILE to its PEM file"
        }
    }
}

fn status_text(status: u16) -> String {
    let status = reqwest::StatusCode::from_u16(status).ok();
    let reason = status.and_then(|status| status.canonical_reason());
    reason.map_or_else(String::new, |reason| format!(" ({reason})"))
}

impl FetchErrorKind {
    /// Says why there is no answer.
    pub(super) fn of_request(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_redirect() {
            Self::Redirect(error)
        } else if error.is_builder() {
            Self::Client(error)
        } else if let Some(kind) = known_cause(&error) {
            kind
        } else {
            Self::Request(error)
        }
    }

    /// Returns whether the next try may have more luck.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Request(_) | Self::Interrupted(_))
    }
}

/// Finds a cause that is to blame whenever it is asked again.
fn known_cause(error: &reqwest::Error) -> Option<FetchErrorKind> {
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = next {
        if let Some(tls @ rustls::Error::InvalidCertificate(_)) =
            error.downcast_ref()
        {
            return Some(FetchErrorKind::Certificate(tls.clone()));
        }
        // As it would be without a tunnel; its type is not to be had.
        if error.to_string().ends_with("proxy authorization required") {
            return Some(FetchErrorKind::Status(407));
        }
        // An I/O error hides what it holds from `source`.
        let held = error.downcast_ref::<io::Error>();
        next = match held.and_then(|error| error.get_ref()) {
            Some(held) => Some(held),
            None => error.source(),
        };
    }
    None
}

/// A [`FetchErrorKind`] and the URL.
#[derive(Debug)]
pub struct FetchError {
    /// Without name, password and query.
    pub url: String,
    /// What went wrong.
    pub kind: FetchErrorKind,
}

impl FetchError {
    pub(super) fn new(url: &str, kind: FetchErrorKind) -> Self {
        Self { url: redacted(url), kind }
    }

    /// Returns what to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        let mut kind = &self.kind;
        if let FetchErrorKind::GaveUp { source, .. } = kind {
            kind = source;
        }
        use FetchErrorKind as Kind;
        match kind {
            Kind::Url => "give a URL that begins with https://",
            Kind::Proxy(_) => {
                "check proxy_url, or HTTP_PROXY and HTTPS_PROXY: \
                 http://[user:password@]host:port"
            }
            Kind::Client(_) => {
                "install the package ca-certificates; where SSL_CERT_FILE or \
                 SSL_CERT_DIR is set, it names the only CAs that are trusted"
            }
            Kind::Certificate(error) => certificate_hint(error),
            Kind::Request(_) => {
                "check the network and the proxy (HTTPS_PROXY, proxy_url); \
                 run it again, and it goes on where it stopped"
            }
            Kind::Interrupted(_) => {
                "run it again, and it goes on where it stopped"
            }
            Kind::Status(404 | 410) => {
                "the file is gone from the server: pick another image"
            }
            Kind::Status(401 | 403 | 407) => {
                "check whether the URL or the proxy wants a password"
            }
            Kind::WebPage => {
                "open the URL in a browser: a login page of the network or a \
                 page about the file stands in the way of the file itself"
            }
            Kind::File(error) => error.hint(),
            Kind::Size { .. } => {
                "the server has another file than expected: update the list \
                 of images, or correct the size"
            }
            Kind::Status(_)
            | Kind::Redirect(_)
            | Kind::BadRange { .. }
            | Kind::GaveUp { .. } => {
                "the server is at fault: try later, or another mirror"
            }
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "download {}: {}", self.url, self.kind)
    }
}

impl Error for FetchError {
    // The kinds are already part of the message.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            FetchErrorKind::GaveUp { source, .. } => source.source(),
            kind => kind.source(),
        }
    }
}
