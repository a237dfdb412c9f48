use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a file of the cache cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file system is full.
    #[error("no space left for {}", .path.display())]
    NoSpace {
        /// What was being written.
        path: PathBuf,
    },
    /// Anything else.
    #[error("{op} {}", .path.display())]
    Io {
        /// As `open`.
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl FileError {
    /// Makes an error of what the file system says.
    pub(super) fn new(
        op: &'static str,
        path: impl Into<PathBuf>,
        source: io::Error,
    ) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { path }
            }
            _ => Self::Io { op, path, source },
        }
    }

    /// The same, for `map_err`.
    pub(super) fn at(
        op: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::new(op, path, source)
    }

    /// Returns what to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoSpace { .. } => {
                "make room, or put the cache elsewhere (PIFLASH_CACHE); \
                 run it again, and it goes on where it stopped"
            }
            Self::Io { .. } => "check the cache directory (PIFLASH_CACHE)",
        }
    }
}
