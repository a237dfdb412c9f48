//! Disks as numbered bytes: the waist between images and file systems.
//!
//! ```text
//! base image (ReadAt) ──> Overlay (WriteAt) ──> Window (one partition) ──> fs
//! ```

use std::io;

/// Reads at a position; the size never changes.
pub trait ReadAt: Send + Sync {
    /// Returns the size in bytes.
    fn size(&self) -> u64;

    /// Fills `buf` from `offset`: every byte of it, or an error.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
}

/// Writes at a position, never past the end.
pub trait WriteAt: ReadAt {
    /// Writes all of `buf` at `offset`, or returns an error.
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()>;
}
