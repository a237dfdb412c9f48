//! Ubuntu's `SHA256SUMS`, as sha256sum(1) writes them.

use std::collections::HashMap;

use super::{Blob, Entry, entry::shown};
use crate::base::digest::Sha256;

/// The largest file that is read; a real one has 2 KiB.
const MAX_BYTES: usize = 1 << 20;

/// Why a file is no `SHA256SUMS`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SumsError {
    /// It is larger than any real one.
    #[error("{url}SHA256SUMS has {size} bytes: no list of a release")]
    TooLarge {
        /// The release.
        url: String,
        /// In bytes.
        size: usize,
    },
    /// It is not text.
    #[error("{0}SHA256SUMS is not text")]
    NotText(String),
    /// A line is no digest and file name.
    #[error("{url}SHA256SUMS:{line} is no digest and file name: {text}")]
    Line {
        /// The release.
        url: String,
        /// From 1.
        line: usize,
        /// What the line has, shortened.
        text: String,
    },
    /// Two lines give one file two digests.
    #[error("{url}SHA256SUMS:{line} has another digest of {file} than before")]
    Contradiction {
        /// The release.
        url: String,
        /// From 1, the second of them.
        line: usize,
        /// The file, shortened.
        file: String,
    },
}

/// Reads the `SHA256SUMS` of the release in the folder `url`
/// (`https://cdimage.ubuntu.com/releases/24.04/release/`). Files other than
/// server images for the Raspberry Pi are left out.
///
/// # Errors
///
/// It is not such a file; a line that is none, or that contradicts an earlier
/// one, spoils the whole.
pub fn parse_sha256sums(
    url: &str,
    bytes: &[u8],
) -> Result<Vec<Entry>, SumsError> {
    let url = format!("{}/", url.trim_end_matches('/'));
    if bytes.len() > MAX_BYTES {
        return Err(SumsError::TooLarge { url, size: bytes.len() });
    }
    let Ok(content) = str::from_utf8(bytes) else {
        return Err(SumsError::NotText(url));
    };
    let mut entries = Vec::new();
    let mut digests = HashMap::new();
    for (at, line) in content.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let Some((digest, file)) = digest_and_file(line) else {
            let text = shown(line);
            let line = at.saturating_add(1);
            return Err(SumsError::Line { url, line, text });
        };
        if *digests.entry(file).or_insert(digest) != digest {
            let (line, file) = (at.saturating_add(1), shown(file));
            return Err(SumsError::Contradiction { url, line, file });
        }
        if let Ok(entry) = Entry::of_url(&format!("{url}{file}"), None) {
            let download = Blob { sha256: Some(digest), ..entry.download };
            entries.push(Entry { download, ..entry });
        }
    }
    Ok(entries)
}

/// Finds the digest of `file` in a `SHA256SUMS`; what is no row is passed
/// over. Of a file whose rows contradict each other nothing is known.
#[must_use]
pub fn listed_digest(sums: &[u8], file: &str) -> Option<Sha256> {
    let text = str::from_utf8(sums).ok()?;
    let rows = text.lines().filter_map(digest_and_file);
    let mut of_file = rows.filter(|(_, name)| *name == file);
    let (digest, _) = of_file.next()?;
    of_file.all(|(other, _)| other == digest).then_some(digest)
}

/// `<64 hex digits> *<file>`: the star says that it was read as binary.
fn digest_and_file(line: &str) -> Option<(Sha256, &str)> {
    let (digest, file) = line.split_once(' ')?;
    let digest: Result<Sha256, _> = digest.parse();
    let file = file.strip_prefix(['*', ' '])?;
    let plain = !file.is_empty() && !file.contains('/');
    plain.then_some((digest.ok()?, file))
}
