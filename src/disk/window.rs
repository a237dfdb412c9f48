use super::{Extent, ReadAt, WriteAt, check_range, past_end};
use std::io;

/// One range of a device as a device of its own: a partition.
///
/// Writable where the device is. Over an `Arc` it is cheap to clone and can
/// be held by an editor.
#[derive(Clone, Debug)]
pub struct Window<D> {
    device: D,
    start: u64,
    len: u64,
}

impl<D: ReadAt> Window<D> {
    /// Takes `len` bytes from `start`, which must be inside the device.
    pub fn new(device: D, start: u64, len: u64) -> io::Result<Self> {
        let size = device.size();
        if start.checked_add(len).is_none_or(|end| end > size) {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{len} bytes at {start} are past the end ({size})"),
            ));
        }
        Ok(Self { device, start, len })
    }

    /// Returns where in the device it begins, in bytes.
    pub fn start(&self) -> u64 {
        self.start
    }

    fn absolute(&self, offset: u64, len: usize) -> io::Result<u64> {
        check_range(self.len, offset, len)?;
        self.start.checked_add(offset).ok_or_else(past_end)
    }
}

impl<D: ReadAt> ReadAt for Window<D> {
    fn size(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.device.read_at(self.absolute(offset, buf.len())?, buf)
    }

    fn extent_at(&self, offset: u64) -> io::Result<Extent> {
        let rest = self.len.checked_sub(offset).ok_or_else(past_end)?;
        let extent = self.device.extent_at(self.absolute(offset, 0)?)?;
        Ok(Extent { offset, len: extent.len.min(rest), zero: extent.zero })
    }
}

impl<D: WriteAt> WriteAt for Window<D> {
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        self.device.write_at(self.absolute(offset, buf.len())?, buf)
    }
}
