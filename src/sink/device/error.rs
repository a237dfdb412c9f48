use super::Run;
use std::{error::Error, fmt, io, sync::Arc};

/// Why a card was not written.
#[derive(Debug, thiserror::Error)]
pub enum DeviceErrorKind {
    /// The image does not fit.
    #[error("it has {device} bytes, but the image {image}")]
    TooSmall {
        /// Size of the image, or what is known to be needed, in bytes.
        image: u64,
        /// Size of the device in bytes.
        device: u64,
    },
    /// Sectors that the program cannot address.
    #[error("it has sectors of {0} bytes")]
    Sector(u64),
    /// The image could not be read, or is damaged.
    #[error("the image cannot be read")]
    Source(#[source] Arc<dyn Error + Send + Sync>),
    /// The device refused.
    #[error("{op} failed{}", at(*.offset))]
    Io {
        /// What was being done.
        op: &'static str,
        /// Where on the device, in bytes.
        offset: Option<u64>,
        /// Why.
        source: io::Error,
    },
    /// A fault of piflash: a piece that its buffers do not hold.
    #[error(
        "{} bytes at byte {} were to be handled at once, and {limit} can be: \
         this is a fault of piflash",
        .run.len(), .run.start
    )]
    TooLong {
        /// The piece.
        run: Run,
        /// What a buffer holds, in bytes.
        limit: usize,
    },
    /// What is read is not what was written.
    #[error("{}", differ(.0))]
    Mismatch(Vec<Run>),
    /// The bytes are right, and yet files are not what they should be.
    #[error("what was put into the image does not read back from the device")]
    Check(#[source] Box<dyn Error + Send + Sync>),
    /// A signal came.
    #[error("interrupted")]
    Interrupted,
}

/// How many ranges an error lists.
const LISTED: usize = 8;

fn at(offset: Option<u64>) -> String {
    offset.map_or_else(String::new, |offset| format!(" at byte {offset}"))
}

fn differ(runs: &[Run]) -> String {
    let listed: Vec<_> = runs
        .iter()
        .take(LISTED)
        .map(|run| format!("{} to {}", run.start, run.end.saturating_sub(1)))
        .collect();
    let more = match runs.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(", and {more} more ranges"),
    };
    format!(
        "what is read is not what was written: bytes {}{more}",
        listed.join(", ")
    )
}

/// What a failure left on the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// What was there before: nothing was written.
    Untouched,
    /// No partition table, so nothing that boots.
    Erased,
    /// Nobody knows: it could not be erased again.
    Unknown,
}

/// A [`DeviceErrorKind`], and what it left behind.
#[derive(Debug)]
pub struct DeviceError {
    /// What went wrong.
    pub kind: DeviceErrorKind,
    /// What is on the card now.
    pub left: Left,
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, f)
    }
}

impl Error for DeviceError {
    // The kind is the message.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}
