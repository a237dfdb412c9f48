use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

use super::Why;

/// What is wrong with a file of the secrets.
#[derive(Debug, thiserror::Error)]
pub enum StoreErrorKind {
    /// The operating system refused.
    #[error("cannot {op}")]
    Io {
        /// As `read`.
        op: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others than its owner may get at it.
    #[error("mode {mode:04o}: it must be for its owner alone")]
    Mode {
        /// Permission bits.
        mode: u32,
    },
    /// A directory, a device, or larger than any secret.
    #[error("not a file that piflash made")]
    NotOurs,
    /// Its content makes no sense.
    #[error("damaged: {0}")]
    Damaged(String),
    /// Its content is sound, but is not what belongs there.
    #[error("foreign: {0}")]
    Foreign(String),
    /// A file of a cluster's set: missing or damaged, which the text says.
    #[error("{0}")]
    Cluster(String, #[source] Option<Why>),
    /// It is not there, and is not to be made.
    #[error("there is no such secret, or not all of them")]
    Missing,
    /// A secret could not be made.
    #[error("cannot be made: {0}")]
    Make(String),
}

/// A [`StoreErrorKind`] and the path where it happened.
#[derive(Debug)]
pub struct StoreError {
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong.
    pub kind: StoreErrorKind,
}

impl StoreErrorKind {
    pub(super) fn at(self, path: &Path) -> StoreError {
        StoreError { path: path.to_owned(), kind: self }
    }

    pub(super) fn io(op: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { op, source }
    }
}

impl StoreError {
    /// Says what to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let path = self.path.display();
        match &self.kind {
            StoreErrorKind::Io { .. } | StoreErrorKind::Make(_) => {
                "secrets are made on the first build and kept beside the \
                 images: the directory must be readable, and writable for \
                 as long as something is to be made"
                    .to_owned()
            }
            StoreErrorKind::Missing => {
                "secrets are made by the first build, beside its images: name \
                 that directory (--build-dir), or restore it from a backup"
                    .to_owned()
            }
            StoreErrorKind::Mode { .. } => {
                format!(
                    "close it, once nobody else had it: chmod go= {path}; \
                     where that changes nothing (exFAT, NTFS and FAT keep no \
                     modes), keep secrets on another file system: \
                     --secrets-dir DIR"
                )
            }
            StoreErrorKind::Cluster(..) => {
                "restore the cluster's whole directory from a backup; or, if \
                 the cluster may become another one, move that directory \
                 away, build all of its nodes again and flash them again"
                    .to_owned()
            }
            StoreErrorKind::NotOurs
            | StoreErrorKind::Damaged(_)
            | StoreErrorKind::Foreign(_)
                if path.to_string().ends_with(".pub") =>
            {
                format!("remove {path}: it is derived from the private key")
            }
            StoreErrorKind::NotOurs
            | StoreErrorKind::Damaged(_)
            | StoreErrorKind::Foreign(_) => format!(
                "restore {path} from a backup; or remove it, build again and \
                 flash that node again, for it gets a new identity"
            ),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.kind)
    }
}

impl Error for StoreError {
    // The kind is already part of the message.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}
