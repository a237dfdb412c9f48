//! Where images go: from an overlay to a file.
//!
//! A sink asks two things of an overlay: which ranges differ from the base
//! ([`Overlay::changed`](crate::disk::Overlay::changed)) and which extents of
//! the base are data ([`extents`](crate::disk::extents)). What neither names
//! need not be read. [`Staged`] gives the file its name when it is complete;
//! every sink that writes a file goes through it.

pub mod device;
mod error;
pub mod raw;
mod source;
mod staged;
pub mod xz;

pub use error::{SinkError, SinkErrorKind};
pub use staged::Staged;
