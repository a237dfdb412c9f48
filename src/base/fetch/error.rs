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

fn status_text(status: u16) -> String {
    let status = reqwest::StatusCode::from_u16(status).ok();
    let reason = status.and_then(|status| status.canonical_reason());
    reason.map_or_else(String::new, |reason| format!(" ({reason})"))
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
            Kind::Client(_) => "install the package ca-certificates",
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
