use crate::base::{
    FileError,
    digest::Sha256,
    fetch::{FetchError, FetchErrorKind},
    signature::SignatureError,
    unpack::UnpackError,
};
use std::{error::Error, fmt, path::PathBuf};

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
    /// Every time the rest was asked for, the file was another, or came from
    /// its start.
    #[error(
        "the download had to start again {0} times: the server's file changes \
         all the time, or it cannot be resumed"
    )]
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
    /// The vendor's signature of the download is there, but no good.
    #[error("the vendor's signature is refused: {0}")]
    Signature(SignatureError),
    /// The signature of the vendor's list of checksums is there, but no good.
    #[error("the signature of the vendor's SHA256SUMS is refused: {0}")]
    SumsSignature(SignatureError),
    /// The vendor has signed another digest.
    #[error(
        "the download's SHA-256 is {found}, but the vendor has signed \
         {expected}"
    )]
    Sums {
        /// What was signed.
        expected: Sha256,
        /// What it is.
        found: Sha256,
    },
    /// The cache cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
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
                "give its SHA-256 (--image-sha256, or `image_sha256` in the \
                 inventory), or accept any content with --insecure"
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
            Kind::Unpack(UnpackError::Window { .. }) => {
                "download it, unpack it yourself (zstd -d --long=31) and give \
                 the path of the raw image"
            }
            Kind::Unpack(UnpackError::Memory { .. }) => {
                "unpack it yourself and give the path of the raw image"
            }
            Kind::Unpack(_) => {
                "run it again; if it stays so, the server's file is damaged: \
                 take another mirror or image"
            }
            Kind::Signature(SignatureError::Bad { .. }) | Kind::Sums { .. } => {
                "the file is not the one that the vendor signed: do not use \
                 it. Run it again; if it stays so, ask the vendor"
            }
            Kind::Signature(error) | Kind::SumsSignature(error) => {
                signature_hint(error)
            }
            Kind::File(error) => error.hint(),
        }
    }

    /// Returns whether the server no longer has the file.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(
            &self.kind,
            CacheErrorKind::Fetch(error)
                if matches!(error.kind, FetchErrorKind::Status(404 | 410))
        )
    }

    /// Returns whether the image is not what it is said to be.
    #[must_use]
    pub fn is_mismatch(&self) -> bool {
        use CacheErrorKind as Kind;
        matches!(
            self.kind,
            Kind::DownloadDigest { .. }
                | Kind::ImageDigest { .. }
                | Kind::Signature(_)
                | Kind::SumsSignature(_)
                | Kind::Sums { .. }
                | Kind::Unpack(_)
                | Kind::Unverified
        ) || matches!(
            &self.kind,
            Kind::Fetch(error)
                if matches!(error.kind, FetchErrorKind::Size { .. })
        )
    }
}

fn signature_hint(error: &SignatureError) -> &'static str {
    use SignatureError as Error;
    match error {
        Error::NoKey { .. } | Error::NotPinned { .. } => {
            "do not use the image; if the vendor has a new key, a newer \
             piflash knows it"
        }
        Error::KeyExpired { .. } | Error::Unusable { .. } => {
            "a newer copy of the vendor's key may say otherwise: --keyring"
        }
        Error::Revoked { .. } | Error::Expired { .. } => {
            "do not use the image: ask the vendor"
        }
        _ => {
            "run it again; if it stays so, the vendor's server or somebody \
             on the way hands out wrong files: do not use them"
        }
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
