use std::{error::Error, fmt, io, path::PathBuf};

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SinkErrorKind {
    /// The destination is something that must not be replaced by a file.
    #[error("{0}")]
    BadDestination(&'static str),
    /// The base does not fit the image.
    #[error("{0}")]
    BadBase(&'static str),
    /// The file system of the destination is full.
    #[error("no space left: {needed} bytes needed, {available} available")]
    NoSpace {
        /// What the image takes there, in bytes.
        needed: u64,
        /// What there is for this user, in bytes.
        available: u64,
    },
    /// The base image could not be read.
    #[error("reading the image failed")]
    Read(#[source] io::Error),
    /// The file system refused.
    #[error("writing failed")]
    Io(#[source] io::Error),
}

/// A [`SinkErrorKind`] and where it happened.
#[derive(Debug)]
pub struct SinkError {
    /// The destination, not the temporary name.
    pub path: PathBuf,
    /// Offset in the image in bytes, where there was one.
    pub offset: Option<u64>,
    /// What was being done, as `rename`.
    pub op: &'static str,
    /// What went wrong.
    pub kind: SinkErrorKind,
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.op, self.path.display())?;
        if let Some(offset) = self.offset {
            write!(f, " at offset {offset}")?;
        }
        write!(f, ": {}", self.kind)
    }
}

impl Error for SinkError {
    // The kind is already part of the message.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}
