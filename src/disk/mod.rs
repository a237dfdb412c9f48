//! Disks as numbered bytes: the waist between images and file systems.
//!
//! ```text
//! base image (ReadAt) ──> Overlay (WriteAt) ──> Window (one partition) ──> fs
//! ```

mod checked;
mod cursor;
mod damaged;
mod extents;
mod file;
mod gpt;
mod mbr;
mod memory;
mod overlay;
mod sums;
mod table;
mod window;
pub mod xz;
pub mod zst;

use std::{io, sync::Arc};

pub use checked::{CheckedFile, KeptSums};
pub use cursor::Cursor;
pub use damaged::Damaged;
pub use extents::{Extent, Extents, extents};
pub use file::ImageFile;
pub use memory::{Memory, Zeros};
pub use overlay::{BLOCK_SIZE, Overlay, OverlayOptions};
pub use sums::{Summing, Sums};
pub use table::{
    Partition, PartitionTable, PartitionType, SECTOR_SIZE, TableError,
    TableKind,
};
pub use window::Window;

/// Reads at a position; the size never changes.
pub trait ReadAt: Send + Sync {
    /// Returns the size in bytes.
    fn size(&self) -> u64;

    /// Fills `buf` from `offset`: every byte of it, or an error.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Returns the extent that begins at `offset`, which is below the size.
    ///
    /// A zero extent is promised to read as zero; a data extent promises
    /// nothing, so a device that knows nothing of holes is one data extent.
    /// Neighbouring extents may be of one kind.
    fn extent_at(&self, offset: u64) -> io::Result<Extent> {
        let len = self.size().checked_sub(offset).ok_or_else(past_end)?;
        Ok(Extent { offset, len, zero: false })
    }
}

/// Writes at a position, never past the end.
pub trait WriteAt: ReadAt {
    /// Writes all of `buf` at `offset`, or returns an error.
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()>;
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn size(&self) -> u64 {
        (**self).size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buf)
    }
    fn extent_at(&self, offset: u64) -> io::Result<Extent> {
        (**self).extent_at(offset)
    }
}

impl<T: WriteAt + ?Sized> WriteAt for &T {
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        (**self).write_at(offset, buf)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Arc<T> {
    fn size(&self) -> u64 {
        (**self).size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buf)
    }
    fn extent_at(&self, offset: u64) -> io::Result<Extent> {
        (**self).extent_at(offset)
    }
}

impl<T: WriteAt + ?Sized> WriteAt for Arc<T> {
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        (**self).write_at(offset, buf)
    }
}

/// Refuses a range that is not inside `size` bytes.
fn check_range(size: u64, offset: u64, len: usize) -> io::Result<()> {
    let end = u64::try_from(len).ok().and_then(|len| offset.checked_add(len));
    if end.is_some_and(|end| end <= size) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("{len} bytes at {offset} are past the end ({size})"),
    ))
}

fn past_end() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "offset is past the end")
}
