//! What lists have added, kept in a file.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Catalog, Entry, EntryError, MergeError};
use crate::base::whole;

/// The format of the file.
const VERSION: u32 = 1;
/// The largest file that is read; a thousand images have 1 MiB.
const MAX_BYTES: u64 = 16 << 20;

#[derive(Deserialize)]
struct Stored {
    version: u32,
    entries: Vec<Entry>,
}

#[derive(Serialize)]
struct Storing<'a> {
    version: u32,
    entries: &'a [Entry],
}

/// Why a file of additions cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be read.
    #[error("{} cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("{} cannot be written", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It has more bytes than piflash ever writes.
    #[error("{} is too large", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is not what piflash writes.
    #[error("{} is damaged", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Another version of piflash has written it.
    #[error("{} has format {version}, not {VERSION}", .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u32,
    },
    /// An image in it makes no sense.
    #[error("{} is damaged", .path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// Why.
        source: EntryError,
    },
    /// It contradicts what this version of piflash knows.
    #[error("{} does not fit this version of piflash", .path.display())]
    Merge {
        /// The file.
        path: PathBuf,
        /// How.
        source: Box<MergeError>,
    },
}

impl Catalog {
    /// Adds what [`Catalog::save`] has kept in a file; a file that is not
    /// there adds nothing.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is damaged, or contradicts what is known;
    /// then nothing is added.
    pub fn load(&mut self, path: &Path) -> Result<(), StoreError> {
        let error = |source| StoreError::Read { path: path.into(), source };
        let file = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file.map_err(error)?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(error)?;
        if u64::try_from(bytes.len()).is_ok_and(|size| size > MAX_BYTES) {
            return Err(StoreError::TooLarge { path: path.into() });
        }
        let damaged =
            |source| StoreError::Damaged { path: path.into(), source };
        let stored: Stored = serde_json::from_slice(&bytes).map_err(damaged)?;
        if stored.version != VERSION {
            let version = stored.version;
            return Err(StoreError::Version { path: path.into(), version });
        }
        for entry in &stored.entries {
            entry.check().map_err(|source| StoreError::Entry {
                path: path.into(),
                source,
            })?;
        }
        self.merge(stored.entries).map_err(|source| StoreError::Merge {
            path: path.into(),
            source: Box::new(source),
        })?;
        Ok(())
    }

    /// Keeps what lists have added, but not what is part of the program, in
    /// a file. It appears under its name only when it is complete.
    ///
    /// # Errors
    ///
    /// The file cannot be written; an older one stays as it is.
    pub fn save(&self, path: &Path) -> Result<(), StoreError> {
        self.write(path)
            .map_err(|source| StoreError::Write { path: path.into(), source })
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let storing = Storing { version: VERSION, entries: &self.updates };
        let mut text = serde_json::to_vec_pretty(&storing)?;
        text.push(b'\n');
        whole::write(path, &text)
    }
}
