use crate::base::{FileError, digest::Sha256, whole::remove};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Which version of a file a server has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
}

impl Version {
    /// What `If-Range` may hold: a strong ETag, else the date.
    fn validator(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|e| !e.starts_with("W/"));
        strong.or(self.last_modified.as_deref())
    }

    /// Returns whether nothing that both tell differs.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        let agree = |a: &Option<String>, b: &Option<String>| {
            a.is_none() || b.is_none() || a == b
        };
        agree(&self.etag, &other.etag)
            && agree(&self.last_modified, &other.last_modified)
    }
}

/// What is written down beside a part.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    format: u32,
    /// Digest of the URL, which may hold a password.
    url: Sha256,
    version: Version,
    total: Option<u64>,
}

const FORMAT: u32 = 1;

/// The bytes of a download that have arrived, and of which version of the
/// file they are: `NAME.part` and `NAME.part.json`.
///
/// Whoever has one must be alone with it.
#[derive(Debug)]
pub struct Part {
    path: PathBuf,
    url: Sha256,
    file: File,
    len: u64,
    version: Version,
    total: Option<u64>,
}

impl Part {
    /// Opens the part at `path`, or begins an empty one where there is none
    /// of this URL.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn open(path: &Path, url: &str) -> Result<Self, super::FetchError> {
        Self::open_for(path, Sha256::of(url.as_bytes()))
            .map_err(|error| super::FetchError::new(url, error.into()))
    }

    fn open_for(path: &Path, url: Sha256) -> Result<Self, FileError> {
        let io = |op| FileError::at(op, path);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io("open"))?;
        let len = file.metadata().map_err(io("look at"))?.len();
        let (version, total) = (Version::default(), None);
        let mut part =
            Self { path: path.to_owned(), url, file, len, version, total };
        let record = fs::read(part.record_path())
            .ok()
            .and_then(|text| serde_json::from_slice::<Record>(&text).ok())
            .filter(|record| record.format == FORMAT && record.url == url)
            .filter(|record| record.total.is_none_or(|total| len <= total));
        match record {
            Some(record) => {
                part.version = record.version;
                part.total = record.total;
            }
            None => part.clear()?,
        }
        Ok(part)
    }

    /// Returns how many bytes there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the file's size, where the server told it.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Opens what there is for reading, from the start.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn reader(&self) -> io::Result<File> {
        File::open(&self.path)
    }

    /// Removes it from the disk.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn remove(self) -> io::Result<()> {
        remove(&self.record_path())?;
        remove(&self.path)
    }

    /// Gives the file, which is complete, another name; what was written
    /// down beside it is gone then.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn keep(self, to: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, to)?;
        remove(&self.record_path())
    }

    pub(super) fn version(&self) -> &Version {
        &self.version
    }

    pub(super) fn has_validator(&self) -> bool {
        self.validator().is_some()
    }

    pub(super) fn validator(&self) -> Option<&str> {
        self.version.validator()
    }

    /// Empties it.
    pub(super) fn clear(&mut self) -> Result<(), FileError> {
        // First the record: bytes without one are never used.
        let record = self.record_path();
        remove(&record).map_err(FileError::at("remove", &record))?;
        self.file.set_len(0).map_err(FileError::at("truncate", &self.path))?;
        self.len = 0;
        self.version = Version::default();
        self.total = None;
        Ok(())
    }

    /// Begins a version of the file.
    pub(super) fn begin(
        &mut self,
        version: Version,
        total: Option<u64>,
    ) -> Result<(), FileError> {
        self.clear()?;
        let (format, url) = (FORMAT, self.url);
        let record = Record { format, url, version, total };
        let path = self.record_path();
        let new = path.with_extension("json.new");
        let text = serde_json::to_vec(&record).map_err(io::Error::from);
        text.and_then(|text| File::create(&new)?.write_all(&text))
            .and_then(|()| fs::rename(&new, &path))
            .map_err(FileError::at("write", &path))?;
        self.version = record.version;
        self.total = total;
        Ok(())
    }

    /// Takes the size that came with a range, where none was known.
    pub(super) fn learn_total(&mut self, total: u64) {
        self.total.get_or_insert(total);
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.file
            .write_all_at(bytes, self.len)
            .map_err(FileError::at("write", &self.path))?;
        let added = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.len = self.len.saturating_add(added);
        Ok(())
    }

    fn record_path(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".json");
        name.into()
    }
}
