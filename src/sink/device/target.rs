use std::io;

/// What is written to: a block device, or something that behaves like one.
///
/// Threads may use one at the same time. Offsets and lengths are multiples of
/// the sector size, and buffers begin at multiples of 4096 in memory: direct
/// I/O takes nothing else.
pub trait Target: Send + Sync {
    /// Returns the size in bytes, a multiple of the sector size.
    fn size(&self) -> u64;

    /// Returns the logical sector size in bytes.
    fn sector(&self) -> u64;

    /// Writes all of `bytes` at `offset`, or returns an error. On the medium
    /// only after [`Self::flush`].
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Fills `buf` from `offset`, from the device and from no cache of the
    /// kernel's.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Makes the range read as zero where the device can do that by itself;
    /// returns whether it did. Where it did not, it holds anything.
    fn clear(&self, offset: u64, len: u64) -> io::Result<bool>;

    /// Returns when everything written is on the medium.
    fn flush(&self) -> io::Result<()>;

    /// Makes the kernel look at the partition table again.
    fn reread_table(&self) -> io::Result<()>;
}
