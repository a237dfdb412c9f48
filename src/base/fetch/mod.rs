//! Downloads over HTTP that survive cut connections, restarts and crashes.
//!
//! What has arrived is in a [`Part`] on the disk; a later run asks for the
//! rest of the same version of the file (`Range` with `If-Range`, RFC 9110
//! sections 13.1.5 and 14). Bytes of two versions are never joined: whatever
//! contradicts what is there makes the download begin again.

mod client;
mod error;
mod options;
mod part;
mod range;
mod retry;

pub use client::{Client, redacted};
pub use error::{FetchError, FetchErrorKind};
pub use options::{FetchOptions, Proxies};
pub use part::Part;

use crate::{base::FileError, progress::Progress};
use part::Version;
use range::ContentRange;
use reqwest::{
    StatusCode,
    blocking::Response,
    header::{
        CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, IF_RANGE,
        LAST_MODIFIED, RANGE,
    },
};
use retry::Retries;
use std::io::{self, Read};

const CHUNK: usize = 256 << 10;

/// What is to be downloaded.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// http or https.
    pub url: &'a str,
    /// Its size in bytes, where it is known: any other is refused.
    pub size: Option<u64>,
    /// Whether the content will be compared with a digest. Without one, a
    /// part is only resumed where the server says that the file is the same.
    pub pinned: bool,
}

/// How a download ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The part is the whole file.
    Complete,
    /// The file is another one now, or the server sent it from the start; the
    /// part is empty again, and what it had is void.
    StartAgain,
    /// The receiver wanted no more.
    Stopped,
}

/// Appends to `part` until it is complete, and gives each piece to `receive`,
/// which answers whether it wants more. What `part` holds already is not
/// given.
///
/// # Errors
///
/// See [`FetchErrorKind`]. The part stays for another try.
pub fn download(
    client: &Client,
    request: &Request<'_>,
    part: &mut Part,
    receive: &mut dyn FnMut(Vec<u8>) -> bool,
    progress: &dyn Progress,
) -> Result<End, FetchError> {
    let fail = |kind| FetchError::new(request.url, kind);
    let mut retries = Retries::new(client.options());
    loop {
        let before = part.len();
        let failure = match attempt(client, request, part, receive, progress) {
            Ok(end) => return Ok(end),
            Err(failure) => failure,
        };
        if part.len() > before {
            retries.progressed();
        }
        let (kind, wait) = match failure {
            Failure::Final(kind) => return Err(fail(kind)),
            Failure::More if part.len() > before => continue,
            Failure::More => {
                let error = io::ErrorKind::UnexpectedEof.into();
                (FetchErrorKind::Interrupted(error), None)
            }
            Failure::Transient(kind, wait) => (kind, wait),
        };
        match retries.next(wait) {
            Some(delay) => (client.options().sleep)(delay),
            None => {
                let source = Box::new(kind);
                let attempts = retries.attempts();
                return Err(fail(FetchErrorKind::GaveUp { attempts, source }));
            }
        }
    }
}

/// Why one request did not bring the file.
enum Failure {
    /// Worth another try, not before the time that the server names.
    Transient(FetchErrorKind, Option<std::time::Duration>),
    /// It would be the same again.
    Final(FetchErrorKind),
    /// There is more to ask for.
    More,
}

impl From<FetchErrorKind> for Failure {
    fn from(kind: FetchErrorKind) -> Self {
        Self::Final(kind)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::Final(error.into())
    }
}

fn attempt(
    client: &Client,
    request: &Request<'_>,
    part: &mut Part,
    receive: &mut dyn FnMut(Vec<u8>) -> bool,
    progress: &dyn Progress,
) -> Result<End, Failure> {
    let trusted = request.pinned || part.has_validator();
    if !trusted && !part.is_empty() {
        part.clear()?;
        return Ok(End::StartAgain);
    }
    if !part.is_empty() && part.total() == Some(part.len()) {
        return Ok(End::Complete);
    }
    let response = send(client, request, part)?;
    match response.status() {
        StatusCode::OK if !part.is_empty() => {
            // Another version, or a server without ranges.
            part.clear()?;
            return Ok(End::StartAgain);
        }
        StatusCode::OK => {
            refuse_page(response.headers())?;
            let version = version_of(response.headers());
            let total = response.content_length();
            check_size(request, total)?;
            // Where an answer has no length, a broken one looks complete.
            part.begin(version, total.or(request.size))?;
            if let Some(total) = part.total() {
                progress.expect(total);
            }
        }
        StatusCode::PARTIAL_CONTENT => {
            if !continues(response.headers(), request, part)? {
                part.clear()?;
                return Ok(End::StartAgain);
            }
        }
        StatusCode::RANGE_NOT_SATISFIABLE if !part.is_empty() => {
            let range = header(response.headers(), CONTENT_RANGE);
            return match range.as_deref().and_then(range::unsatisfied) {
                Some(total) if total == part.len() => Ok(End::Complete),
                _ => {
                    part.clear()?;
                    Ok(End::StartAgain)
                }
            };
        }
        status => return Err(bad_status(&response, status)),
    }
    receive_body(response, request, part, receive, progress)
}

fn send(
    client: &Client,
    request: &Request<'_>,
    part: &Part,
) -> Result<Response, Failure> {
    let mut get = client.get(request.url)?;
    if !part.is_empty() {
        get = get.header(RANGE, format!("bytes={}-", part.len()));
        if let Some(validator) = part.validator() {
            get = get.header(IF_RANGE, validator);
        }
    }
    get.send().map_err(|error| {
        let kind = FetchErrorKind::of_request(error);
        match kind.is_transient() {
            true => Failure::Transient(kind, None),
            false => Failure::Final(kind),
        }
    })
}

/// Returns whether a 206 continues what is there.
fn continues(
    headers: &HeaderMap,
    request: &Request<'_>,
    part: &mut Part,
) -> Result<bool, FetchErrorKind> {
    let text = header(headers, CONTENT_RANGE).unwrap_or_default();
    let bad =
        || FetchErrorKind::BadRange { asked: part.len(), got: text.clone() };
    let range = ContentRange::parse(&text).ok_or_else(bad)?;
    if part.is_empty() || range.first != part.len() {
        return Err(bad());
    }
    check_size(request, range.total)?;
    let same_size =
        part.total().is_none_or(|total| range.total.is_none_or(|t| t == total));
    // A server that ignores If-Range still tells the version.
    let same = same_size && part.version().agrees(&version_of(headers));
    if same && let Some(total) = range.total {
        part.learn_total(total);
    }
    Ok(same)
}

fn receive_body(
    mut response: Response,
    request: &Request<'_>,
    part: &mut Part,
    receive: &mut dyn FnMut(Vec<u8>) -> bool,
    progress: &dyn Progress,
) -> Result<End, Failure> {
    loop {
        let mut chunk = vec![0; CHUNK];
        let read = match response.read(&mut chunk) {
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let kind = FetchErrorKind::Interrupted(error);
                return Err(Failure::Transient(kind, None));
            }
        };
        if read == 0 {
            break;
        }
        chunk.truncate(read);
        if part.is_empty() && looks_like_a_page(&chunk) {
            return Err(FetchErrorKind::WebPage.into());
        }
        part.append(&chunk)?;
        progress.advance(u64::try_from(read).unwrap_or(u64::MAX));
        // Without a Content-Length it could go on for ever.
        if request.size.is_some_and(|size| part.len() > size) {
            check_size(request, Some(part.len()))?;
        }
        if !receive(chunk) {
            return Ok(End::Stopped);
        }
    }
    match part.total() {
        Some(total) if total > part.len() => Err(Failure::More),
        _ => {
            check_size(request, Some(part.len()))?;
            Ok(End::Complete)
        }
    }
}

fn check_size(
    request: &Request<'_>,
    found: Option<u64>,
) -> Result<(), FetchErrorKind> {
    match (request.size, found) {
        (Some(expected), Some(found)) if expected != found => {
            Err(FetchErrorKind::Size { expected, found })
        }
        _ => Ok(()),
    }
}

fn bad_status(response: &Response, status: StatusCode) -> Failure {
    let kind = FetchErrorKind::Status(status.as_u16());
    let again = [408, 429, 500, 502, 503, 504];
    if !again.contains(&status.as_u16()) {
        return Failure::Final(kind);
    }
    let wait = header(response.headers(), reqwest::header::RETRY_AFTER);
    Failure::Transient(kind, wait.as_deref().and_then(retry::retry_after))
}

fn refuse_page(headers: &HeaderMap) -> Result<(), FetchErrorKind> {
    let kind = header(headers, CONTENT_TYPE).unwrap_or_default();
    match kind.trim_start().to_ascii_lowercase().starts_with("text/html") {
        true => Err(FetchErrorKind::WebPage),
        false => Ok(()),
    }
}

fn looks_like_a_page(bytes: &[u8]) -> bool {
    let start: String = bytes
        .iter()
        .take(256)
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect();
    let start = start.trim_start();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

fn version_of(headers: &HeaderMap) -> Version {
    Version {
        etag: header(headers, ETAG),
        last_modified: header(headers, LAST_MODIFIED),
    }
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}
