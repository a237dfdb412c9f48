use std::{error::Error, fmt, path::PathBuf};

use super::NotOfForm;
use crate::base::{
    FileError,
    digest::Sha256,
    fetch::{FetchError, FetchErrorKind},
};

/// Why there is no artefact.
#[derive(Debug, thiserror::Error)]
pub enum ArtefactErrorKind {
    /// It is not in the cache, and the network is not to be used.
    #[error("it is not in the cache, and --offline forbids to download it")]
    Offline,
    /// It is in the cache, but not as it was; the network is not to be used.
    #[error(
        "{} is damaged, and --offline forbids to download it again",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be downloaded.
    #[error("it cannot be downloaded")]
    Fetch(#[source] FetchError),
    /// The list of its checksums cannot be downloaded.
    #[error("its checksum cannot be downloaded")]
    Sums(#[source] FetchError),
    /// The list of checksums does not have it.
    #[error("{sums} has no checksum of {file}")]
    NotListed {
        /// URL of the list, without secrets.
        sums: String,
        /// The name looked for.
        file: String,
    },
    /// Every time the rest was asked for, the file was another, or came from
    /// its start.
    #[error(
        "the download had to start again {0} times: the server's file changes \
         all the time, or it cannot be resumed"
    )]
    Changing(u32),
    /// It is larger than any file of its kind.
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
    /// It is another file.
    #[error("its SHA-256 is {found} instead of {expected}")]
    Digest {
        /// What was known.
        expected: Sha256,
        /// What it is.
        found: Sha256,
    },
    /// It is not what it is called.
    #[error("it is no {0}")]
    Form(#[source] NotOfForm),
    /// The cache cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// An [`ArtefactErrorKind`] and the artefact it is about.
#[derive(Debug)]
pub struct ArtefactError {
    /// As `k3s-arm64`.
    pub name: String,
    /// Its release, where it has one.
    pub version: Option<String>,
    /// Its URL, without name, password and query.
    pub url: String,
    /// The variables that decide on it.
    pub set_by: &'static str,
    /// What went wrong.
    pub kind: Box<ArtefactErrorKind>,
}

impl ArtefactError {
    /// Returns what to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        use ArtefactErrorKind as Kind;
        let set_by = self.set_by;
        let text = match &*self.kind {
            Kind::Offline | Kind::Damaged { .. } => {
                "run it once without --offline"
            }
            Kind::Fetch(error) | Kind::Sums(error) => {
                if let FetchErrorKind::Status(404 | 410) = error.kind {
                    return format!(
                        "the server has no such file: check {set_by}"
                    );
                }
                error.hint()
            }
            Kind::Changing(_) => {
                "the server is at fault: try later, or another mirror"
            }
            Kind::NotListed { .. } | Kind::TooLarge(_) | Kind::Form(_) => {
                return format!(
                    "the server has something else than the release there: \
                     check {set_by}"
                );
            }
            Kind::Digest { .. } => {
                "the file is not the one that was expected: do not use it. \
                 Run it again; if it stays so, take another mirror"
            }
            Kind::File(error) => error.hint(),
        };
        text.to_owned()
    }

    /// Returns whether the file is not what it is said to be.
    #[must_use]
    pub fn is_mismatch(&self) -> bool {
        use ArtefactErrorKind as Kind;
        matches!(
            *self.kind,
            Kind::Digest { .. }
                | Kind::Form(_)
                | Kind::NotListed { .. }
                | Kind::TooLarge(_)
        )
    }

    /// Returns whether it only lacks because of `--offline`.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        use ArtefactErrorKind as Kind;
        matches!(*self.kind, Kind::Offline | Kind::Damaged { .. })
    }
}

impl fmt::Display for ArtefactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if let Some(version) = &self.version {
            write!(f, " {version}")?;
        }
        write!(f, " ({}): {}", self.url, self.kind)
    }
}

impl Error for ArtefactError {
    // The kind is already part of the message.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}
