//! Block devices: cards and disks, written without a file in between.
//!
//! ```text
//! overlay, raw file ──┐  ┌──> queue ──> workers ──> card
//! decompressor ───────┴──┴──> queue ──> workers ──> another card
//!                  read once        hash, write
//! ```
//!
//! The order makes a card that was not finished one that does not boot: its
//! first MiB, with the partition table, is erased before anything else and
//! written when all the rest was read back. Nothing is said to be written
//! before the device was flushed, and what is read back comes from the
//! device and not from the kernel's cache.

mod assembler;
mod block;
mod buffer;
mod card;
pub mod disks;
mod error;
mod flow;
pub mod opener;
mod runs;
mod target;
mod view;
mod write;

pub use block::{BlockDevice, OpenError};
pub use error::{DeviceError, DeviceErrorKind, Left};
pub use flow::{Receive, Source};
pub use runs::{Run, Runs};
pub use target::Target;
pub use view::TargetView;
pub use write::{
    Bottleneck, Check, Destination, WriteOptions, Written, write_devices,
};

/// How much in front is written last: the partition table, and whatever else
/// a board could start from.
pub const HEAD: u64 = 1 << 20;

/// Unit of everything that is written or read, in bytes: the largest sector
/// that disks have, and a page, which is what direct I/O wants of memory.
const BLOCK: u64 = 4096;

/// The largest single write or read, in bytes.
const CHUNK: usize = 4 << 20;
