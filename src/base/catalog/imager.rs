//! The list that rpi-imager reads, versions 3 and 4.
//!
//! rpi-imager, `doc/json-schema/os-list-schema.json`: `os_list` holds images,
//! folders with `subitems`, and folders whose content is another list at
//! `subitems_url`. A list is the work of several hands, so a row that makes
//! no sense is left out and counted; only a document that is no list at all
//! is an error.

use serde_json::Value;

use super::{Blob, Entry, Os, entry::is_on_vendor};
use crate::base::facts::{Architecture, InitFormat};

/// Where the list is.
pub const IMAGER_LIST: &str =
    "https://downloads.raspberrypi.com/os_list_imagingutility_v4.json";

/// The largest document that is read; the real one has 200 KiB.
const MAX_BYTES: usize = 8 << 20;
/// Folders in folders, documents counted in.
const MAX_DEPTH: usize = 8;
/// Further documents.
const MAX_DOCUMENTS: usize = 32;
/// Rows in all documents.
const MAX_ROWS: usize = 20_000;

/// A list of images while it is read, document by document.
///
/// [`ImagerList::next_url`] says what to fetch, [`ImagerList::read`] takes
/// it, until there is nothing more to fetch.
#[derive(Clone, Debug)]
pub struct ImagerList {
    entries: Vec<Entry>,
    rows: usize,
    foreign: usize,
    unusable: usize,
    /// Scheme and host of the first document, and a slash.
    origin: String,
    /// Every document that was ever asked for, with its depth.
    documents: Vec<(String, usize)>,
    next: usize,
}

/// Why a document is no list of images.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It is not JSON.
    #[error("{url} is not JSON")]
    Json {
        /// The document.
        url: String,
        /// Why.
        source: serde_json::Error,
    },
    /// It is JSON, but has no `os_list`.
    #[error("{0} has no `os_list`")]
    NoList(String),
    /// It is larger than any real one.
    #[error("{url} has {what}: no list of images")]
    TooLarge {
        /// The document.
        url: String,
        /// As `9000000 bytes`.
        what: String,
    },
}

impl ImagerList {
    /// Begins with the document at `url`, usually [`IMAGER_LIST`].
    #[must_use]
    pub fn new(url: &str) -> Self {
        let origin = url.split_once("://").map(|(scheme, rest)| {
            let host = rest.split('/').next().unwrap_or_default();
            format!("{scheme}://{host}/")
        });
        Self {
            entries: Vec::new(),
            rows: 0,
            foreign: 0,
            unusable: 0,
            origin: origin.unwrap_or_default(),
            documents: vec![(url.to_owned(), 0)],
            next: 0,
        }
    }

    /// Returns the next document to fetch; each only once, and only from the
    /// first document's server or a vendor's.
    #[must_use]
    pub fn next_url(&self) -> Option<&str> {
        self.documents.get(self.next).map(|(url, _)| url.as_str())
    }

    /// Reads the document that [`ImagerList::next_url`] names.
    ///
    /// # Errors
    ///
    /// It is no list. The next call of `next_url` goes on behind it.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), ListError> {
        let Some((url, depth)) = self.documents.get(self.next).cloned() else {
            return Ok(());
        };
        self.next = self.next.saturating_add(1);
        let too_large = |what| ListError::TooLarge { url: url.clone(), what };
        if bytes.len() > MAX_BYTES {
            return Err(too_large(format!("{} bytes", bytes.len())));
        }
        let document: Value = serde_json::from_slice(bytes)
            .map_err(|source| ListError::Json { url: url.clone(), source })?;
        let Some(rows) = document.get("os_list").and_then(Value::as_array)
        else {
            return Err(ListError::NoList(url));
        };
        self.folder(rows, depth).map_err(too_large)
    }

    /// Returns what was found, ready to be merged, in the list's order.
    #[must_use]
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// Returns how many images are of no kind that piflash uses.
    #[must_use]
    pub fn foreign(&self) -> usize {
        self.foreign
    }

    /// Returns how many images were left out although they are of a kind
    /// that piflash uses: no digest of the image, or rows that contradict
    /// themselves.
    #[must_use]
    pub fn unusable(&self) -> usize {
        self.unusable
    }

    /// Reads rows; the error says what there is too much of.
    fn folder(&mut self, rows: &[Value], depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} folders in folders"));
        }
        let inner = depth.saturating_add(1);
        for row in rows {
            self.rows = self.rows.saturating_add(1);
            if self.rows > MAX_ROWS {
                return Err(format!("more than {MAX_ROWS} rows"));
            }
            if let Some(rows) = row.get("subitems").and_then(Value::as_array) {
                self.folder(rows, inner)?;
            } else if let Some(url) = text(row, "subitems_url") {
                self.document(url, inner)?;
            } else if let Some(url) = text(row, "url") {
                self.image(row, url);
            }
        }
        Ok(())
    }

    /// Notes a further document.
    fn document(&mut self, url: &str, depth: usize) -> Result<(), String> {
        let same_server = !self.origin.is_empty()
            && url.len() <= 2048
            && url.starts_with(&self.origin)
            && url.bytes().all(|byte| byte.is_ascii_graphic());
        if !same_server && !is_on_vendor(url) {
            self.foreign = self.foreign.saturating_add(1);
            return Ok(());
        }
        if self.documents.iter().any(|(known, _)| known == url) {
            return Ok(());
        }
        if self.documents.len() > MAX_DOCUMENTS {
            return Err(format!("more than {MAX_DOCUMENTS} further lists"));
        }
        self.documents.push((url.to_owned(), depth));
        Ok(())
    }

    fn image(&mut self, row: &Value, url: &str) {
        let tags = architectures(row);
        let Ok(entry) = Entry::of_url(url, tags.first().copied()) else {
            self.foreign = self.foreign.saturating_add(1);
            return;
        };
        match completed(entry, row, &tags) {
            Some(entry) => self.entries.push(entry),
            None => self.unusable = self.unusable.saturating_add(1),
        }
    }
}

/// Adds what the row says of the content; `None` where that is no use.
fn completed(
    mut entry: Entry,
    row: &Value,
    tags: &[Architecture],
) -> Option<Entry> {
    if !tags.is_empty() && !tags.contains(&entry.arch) {
        return None;
    }
    let size = |key| row.get(key).and_then(Value::as_u64).filter(|n| *n > 0);
    entry.image = Blob {
        size: size("extract_size"),
        sha256: Some(text(row, "extract_sha256")?.parse().ok()?),
        pinned: false,
    };
    entry.download = Blob {
        size: size("image_download_size"),
        sha256: match text(row, "image_download_sha256") {
            Some(digest) => Some(digest.parse().ok()?),
            None => None,
        },
        pinned: false,
    };
    if entry.os == Os::Ubuntu {
        entry.date = text(row, "release_date").and_then(|d| d.parse().ok());
    }
    entry.init_format = match text(row, "init_format") {
        Some("systemd") => Some(InitFormat::Systemd),
        Some("cloudinit") => Some(InitFormat::Cloudinit),
        Some("cloudinit-rpi") => Some(InitFormat::CloudinitRpi),
        Some("none") => Some(InitFormat::None),
        _ => None,
    };
    entry.check().ok()?;
    Some(entry)
}

/// Which architectures the row's device tags allow: `pi5-64bit`,
/// `pi1-32bit`; none where it has no tags.
fn architectures(row: &Value) -> Vec<Architecture> {
    let tags = row.get("devices").and_then(Value::as_array);
    let has = |end: &str| {
        tags.is_some_and(|tags| {
            let mut names = tags.iter().filter_map(Value::as_str);
            names.any(|tag| tag.ends_with(end))
        })
    };
    let mut found = Vec::new();
    if has("-64bit") {
        found.push(Architecture::Arm64);
    }
    if has("-32bit") {
        found.push(Architecture::Armhf);
    }
    found
}

/// Returns a text that is not empty.
fn text<'a>(row: &'a Value, key: &str) -> Option<&'a str> {
    row.get(key)?.as_str().filter(|text| !text.is_empty())
}
