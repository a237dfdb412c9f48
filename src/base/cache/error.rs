use crate::base::{digest::Sha256, fetch::FetchError, unpack::UnpackError};
use std::{error::Error, fmt, io, path::PathBuf};

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum CacheErrorKind {
    /// It is not in the cache, and the network is not to be used.
    #[error("it is not in the cache, and --offline forbids to download it")]
    Offline,
    /// It is in the cache, but not as it was; the network is not to be used.
    #[error(
        "{} is damaged, and --offline forbids to download it again",
        .path.display()
    )]
    Damaged {
        /// The image.
        path: PathBuf,
    },
    /// There is nothing to compare it with.
    #[error("no checksum of it is known, so it cannot be verified")]
    Unverified,
    /// It cannot be downloaded.
    #[error("it cannot be downloaded")]
    Fetch(#[source] FetchError),
    /// Every time it was asked for the rest, the file was another.
    #[error("the server's file changed {0} times while it was downloaded")]
    Changing(u32),
    /// The download is not what it should be.
    #[error("the download's SHA-256 is {found} instead of {expected}")]
    DownloadDigest {
        /// What was known.
        expected: Sha256,
        /// What it is.
        found: Sha256,
    },
    /// The download cannot be unpacked.
    #[error("the download cannot be used: {0}")]
    Unpack(UnpackError),
    /// The unpacked image is not what it should be.
    #[error("the image's SHA-256 is {found} instead of {expected}")]
    ImageDigest {
        /// What was known.
        expected: Sha256,
        /// What it is.
        found: Sha256,
    },
    /// The file system is full.
    #[error("no space left for {}", .path.display())]
    NoSpace {
        /// What was being written.
        path: PathBuf,
    },
    /// The cache cannot be read or written.
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

impl CacheErrorKind {
    pub(super) fn io(
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
}

/// A [`CacheErrorKind`] and the image it is about.
#[derive(Debug)]
pub struct CacheError {
    /// The image's URL, without name, password and query.
    pub url: String,
    /// What went wrong.
    pub kind: CacheErrorKind,
}

impl CacheError {
    /// Returns what to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        use CacheErrorKind as Kind;
        match &self.kind {
            Kind::Offline | Kind::Damaged { .. } => {
                "run it once without --offline"
            }
            Kind::Unverified => {
                "give its SHA-256, or accept any content with --insecure"
            }
            Kind::Fetch(error) => error.hint(),
            Kind::Changing(_) => {
                "the server is at fault: try later, or another mirror"
            }
            Kind::DownloadDigest { .. }
            | Kind::ImageDigest { .. }
            | Kind::Unpack(
                UnpackError::TooLarge { .. } | UnpackError::TooSmall { .. },
            ) => {
                "the file is not the one that was expected: do not use it. \
                 If the vendor replaced it, update the list of images"
            }
            Kind::Unpack(UnpackError::Members(_)) => {
                "unpack the image yourself and give its path"
            }
            Kind::Unpack(UnpackError::Unsupported(_)) => {
                "unpack it yourself and give the path of the raw image; \
                 understood are raw, xz, gz, zst, zip"
            }
            Kind::Unpack(UnpackError::Memory { .. }) => {
                "unpack it yourself and give the path of the raw image"
            }
            Kind::Unpack(_) => {
                "run it again; if it stays so, the server's file is damaged: \
                 take another mirror or image"
            }
            Kind::NoSpace { .. } => {
                "make room, or put the cache elsewhere (PIFLASH_CACHE); \
                 run it again, and it goes on where it stopped"
            }
            Kind::Io { .. } => "check the cache directory (PIFLASH_CACHE)",
        }
    }

    /// Returns whether the image is not what it is said to be.
    #[must_use]
    pub fn is_mismatch(&self) -> bool {
        use CacheErrorKind as Kind;
        matches!(
            self.kind,
            Kind::DownloadDigest { .. }
                | Kind::ImageDigest { .. }
                | Kind::Unpack(_)
                | Kind::Unverified
        )
    }
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "image {}: {}", self.url, self.kind)
    }
}

impl Error for CacheError {
    // The kind is already part of the message.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            CacheErrorKind::Unpack(error) => error.source(),
            kind => kind.source(),
        }
    }
}
