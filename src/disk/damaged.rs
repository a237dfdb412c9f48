//! The error of a file that lost bits.

use std::{error::Error, fmt, io, path::PathBuf};

/// What was read is not what was written down: the kind of an `io::Error` of
/// a [`CheckedFile`](super::CheckedFile).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The file.
    pub path: PathBuf,
    /// Where in it, in bytes: the piece that begins there.
    pub offset: u64,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, offset } = self;
        write!(
            f,
            "{} is not what it was when it was written (at offset {offset}): \
             its disk or this machine's memory loses bits",
            path.display()
        )
    }
}

impl Error for Damaged {}

impl Damaged {
    /// Returns what an error says of damage, if it is one of that, in
    /// whatever it is wrapped.
    #[must_use]
    pub fn of<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(damaged) = error.downcast_ref::<Self>() {
                return Some(damaged);
            }
            // An `io::Error` is not the source of what it holds.
            let inner = error.downcast_ref::<io::Error>();
            let inner = inner.and_then(io::Error::get_ref);
            if let Some(damaged) = inner.and_then(|e| Self::of(e)) {
                return Some(damaged);
            }
            next = error.source();
        }
        None
    }
}
