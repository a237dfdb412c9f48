use std::{error::Error, fmt, io};

/// Why an .xz file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum XzErrorKind {
    /// The file does not end, or a stream does not begin, as one of .xz.
    #[error("it is not an .xz file, or it is cut off: {0}")]
    NotXz(&'static str),
    /// The data contradicts itself.
    #[error("damaged .xz data: {0}")]
    Corrupt(&'static str),
    /// Legal, but nothing that piflash reads.
    #[error("unsupported .xz data: {0}")]
    Unsupported(&'static str),
    /// Legal, but beyond every sane image.
    #[error("{what} in .xz data: {found}, the limit is {limit}")]
    TooLarge {
        /// Of what there is too much.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much is accepted.
        limit: u64,
    },
    /// The file could not be read.
    #[error("reading failed")]
    Io(#[source] io::Error),
}

/// An [`XzErrorKind`] and where it happened.
#[derive(Debug)]
pub struct XzError {
    /// Offset in the .xz file, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub kind: XzErrorKind,
}

impl XzError {
    pub(super) fn corrupt(offset: u64, what: &'static str) -> Self {
        Self { offset, kind: XzErrorKind::Corrupt(what) }
    }

    pub(super) fn unsupported(offset: u64, what: &'static str) -> Self {
        Self { offset, kind: XzErrorKind::Unsupported(what) }
    }

    pub(super) fn not_xz(offset: u64, what: &'static str) -> Self {
        Self { offset, kind: XzErrorKind::NotXz(what) }
    }

    pub(super) fn io(offset: u64, error: io::Error) -> Self {
        Self { offset, kind: XzErrorKind::Io(error) }
    }
}

impl fmt::Display for XzError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {} of the file)", self.kind, self.offset)
    }
}

impl Error for XzError {
    // The kind is already part of the message.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}

impl From<XzError> for io::Error {
    fn from(error: XzError) -> Self {
        let kind = match &error.kind {
            XzErrorKind::Io(error) => error.kind(),
            XzErrorKind::Unsupported(_) => io::ErrorKind::Unsupported,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
