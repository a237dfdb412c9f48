use super::{ReadAt, WriteAt};
use std::io::{self, Read, Seek, SeekFrom, Write};

/// A device with a position, for code that wants std's traits.
#[derive(Clone, Debug)]
pub struct Cursor<D> {
    device: D,
    position: u64,
}

impl<D: ReadAt> Cursor<D> {
    /// Starts at offset 0.
    pub fn new(device: D) -> Self {
        Self { device, position: 0 }
    }

    /// Returns how much of `wanted` bytes is left before the end.
    fn left(&self, wanted: usize) -> usize {
        // None where somebody has sought behind the end.
        let left = self.device.size().saturating_sub(self.position);
        usize::try_from(left).map_or(wanted, |left| left.min(wanted))
    }

    fn advance(&mut self, len: usize) {
        let len = u64::try_from(len).expect("lengths in memory");
        self.position =
            self.position.checked_add(len).expect("no more than is left");
    }
}

impl<D: ReadAt> Read for Cursor<D> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.left(buf.len());
        let Some(buf) = buf.get_mut(..len) else { return Ok(0) };
        if len > 0 {
            self.device.read_at(self.position, buf)?;
            self.advance(len);
        }
        Ok(len)
    }
}

impl<D: WriteAt> Write for Cursor<D> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let len = self.left(buf.len());
        let Some(buf) = buf.get(..len) else { return Ok(0) };
        if len > 0 {
            self.device.write_at(self.position, buf)?;
            self.advance(len);
        }
        // 0 at the end: `write_all` makes an error of it.
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<D: ReadAt> Seek for Cursor<D> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(by) => self.device.size().checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "seek to a negative or overflowing position",
            )
        })?;
        Ok(self.position)
    }
}
