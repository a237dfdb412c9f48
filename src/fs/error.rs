use std::{error::Error, fmt, io};

use super::Corruption;

/// Why a file system could not be read or edited.
#[derive(Debug, thiserror::Error)]
pub enum FsErrorKind {
    /// Nothing is at the path.
    #[error("no such file or directory")]
    NotFound,
    /// Something of another kind is at the path.
    #[error("{0}")]
    WrongKind(&'static str),
    /// The path or name is not one this file system can hold.
    #[error("not a usable path: {0}")]
    BadPath(String),
    /// The file system is full.
    #[error(
        "no space left in the file system: {needed} {what} needed, \
         {available} available"
    )]
    NoSpace {
        /// `bytes` or `inodes`.
        what: &'static str,
        /// How many the operation needed.
        needed: u64,
        /// How many there were.
        available: u64,
    },
    /// The file system uses a feature that piflash cannot edit. The image is
    /// not damaged.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// The journal holds changes that were not written back.
    #[error(
        "the file system was not unmounted, its journal needs recovery: run \
         e2fsck -p on a copy"
    )]
    DirtyJournal,
    /// The file system contradicts itself.
    #[error("corrupt: {0}")]
    Corrupt(Corruption),
    /// The device below failed.
    #[error("reading or writing the image failed")]
    Io(#[source] io::Error),
}

/// An [`FsErrorKind`] and where it happened.
#[derive(Debug)]
pub struct FsError {
    /// The path inside the file system, where one was at hand.
    pub path: Option<String>,
    /// What went wrong.
    pub kind: FsErrorKind,
}

impl fmt::Display for FsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{path}: {}", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

impl Error for FsError {
    // The kind is already part of the message.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}

impl FsErrorKind {
    /// Adds the path at which it happened.
    #[must_use]
    pub fn at(self, path: &str) -> FsError {
        FsError { path: Some(path.to_owned()), kind: self }
    }
}

impl From<FsErrorKind> for FsError {
    fn from(kind: FsErrorKind) -> Self {
        Self { path: None, kind }
    }
}

impl From<io::Error> for FsError {
    fn from(error: io::Error) -> Self {
        FsErrorKind::Io(error).into()
    }
}
