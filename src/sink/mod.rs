//! Where images go: from an overlay to a file.
//!
//! A sink asks two things of an overlay: which ranges differ from the base
//! ([`Overlay::changed`](crate::disk::Overlay::changed)) and which extents of
//! the base are data ([`extents`](crate::disk::extents)). What neither names
//! need not be read. [`Staged`] gives the file its name when it is complete;
//! every sink that writes a file goes through it.

pub mod bmap;
pub mod device;
mod error;
mod packed;
pub mod raw;
mod source;
mod splice;
mod staged;
pub mod xz;
pub mod zst;

pub use error::{SinkError, SinkErrorKind};
pub use packed::Written as PackedWritten;
pub use staged::Staged;

/// What is read and written at once, in bytes: it stays in the processor's
/// cache, so that checksums cost next to nothing.
const CHUNK: usize = 128 << 10;

/// Returns how many bytes these ranges of an image have, which do not overlap.
fn total(ranges: &[(u64, u64)]) -> u64 {
    ranges.iter().fold(0, |sum: u64, (_, len)| {
        sum.checked_add(*len).expect("inside of the image")
    })
}
