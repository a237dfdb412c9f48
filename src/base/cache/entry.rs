use crate::base::{
    digest::Sha256, signature::Verification, unpack::Format, whole,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// What is known of an image in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Version of this record.
    pub format: u32,
    /// Where it came from: a URL without secrets, or the path of a file.
    pub url: String,
    /// Digest of that as it was given.
    pub url_sha256: Sha256,
    /// Digest of what it was unpacked from.
    pub download_sha256: Sha256,
    /// Digests of other files that unpacked to the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<Sha256>,
    /// Size of what it was unpacked from, in bytes.
    pub download_size: u64,
    /// How it was compressed.
    pub compression: Format,
    /// Digest of the raw image.
    pub image_sha256: Sha256,
    /// Size of the raw image in bytes.
    pub image_size: u64,
    /// When it was downloaded or unpacked, in seconds since 1970.
    pub fetched: u64,
    /// What was proven of it then.
    pub verified: Verification,
    /// The file's time of change: seconds since 1970, and nanoseconds.
    pub mtime: (i64, i64),
}

/// What a look at the file's size and times says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Intact,
    /// Something about the file changed.
    Suspect,
    Missing,
}

/// Records of format 1 knew no signatures: their images are fetched again.
pub(super) const FORMAT: u32 = 2;

impl Entry {
    /// Returns whether a file with this digest unpacks to it.
    pub(super) fn is_of(&self, packed: Sha256) -> bool {
        self.download_sha256 == packed || self.copies.contains(&packed)
    }

    pub(super) fn state(&self, path: &Path) -> State {
        match fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() => State::Missing,
            Ok(found) => {
                let times = (found.mtime(), found.mtime_nsec());
                let same = found.len() == self.image_size;
                match same && times == self.mtime {
                    true => State::Intact,
                    false => State::Suspect,
                }
            }
            Err(_) => State::Missing,
        }
    }

    pub(super) fn take_times(&mut self, file: &File) -> io::Result<()> {
        let found = file.metadata()?;
        self.mtime = (found.mtime(), found.mtime_nsec());
        Ok(())
    }

    /// Writes the record, whole or not at all.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        whole::write(&record_path(dir, self.image_sha256), &text)
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

pub(super) fn record_path(dir: &Path, digest: Sha256) -> PathBuf {
    dir.join(format!("{digest}.json"))
}

/// Reads all records, by digest. One that makes no sense is left out: its
/// image counts as not there.
pub(super) fn read_all(dir: &Path) -> io::Result<Vec<Entry>> {
    let files = match fs::read_dir(dir) {
        Ok(files) => files,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut entries = Vec::new();
    for file in files {
        let path = file?.path();
        let Some(digest) = digest_of(&path, "json") else { continue };
        let entry = fs::read(&path)
            .ok()
            .and_then(|text| serde_json::from_slice::<Entry>(&text).ok())
            .filter(|entry| entry.format == FORMAT)
            .filter(|entry| entry.image_sha256 == digest);
        entries.extend(entry);
    }
    entries.sort_by_key(|entry| entry.image_sha256);
    Ok(entries)
}

/// Returns the digest in `SHA256.extension`.
pub(super) fn digest_of(path: &Path, extension: &str) -> Option<Sha256> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(extension)?.strip_suffix('.')?.parse().ok()
}
