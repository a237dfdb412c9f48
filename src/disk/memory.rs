use super::{Extent, ReadAt, WriteAt, check_range, past_end};
use std::{
    io,
    sync::{PoisonError, RwLock},
};

/// How finely memory is searched for zeros.
const SCAN: usize = 4096;

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        u64::try_from(self.len()).expect("64 bits at most")
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let source = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..)?.get(..buf.len()));
        match source {
            Some(source) => {
                buf.copy_from_slice(source);
                Ok(())
            }
            None => check_range(self.size(), offset, buf.len()),
        }
    }

    fn extent_at(&self, offset: u64) -> io::Result<Extent> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..))
            .ok_or_else(past_end)?;
        let mut chunks = rest.chunks(SCAN).map(|c| (is_zero(c), c.len()));
        let Some((zero, mut len)) = chunks.next() else {
            return Err(past_end());
        };
        for (_, more) in chunks.take_while(|(z, _)| *z == zero) {
            len = len.checked_add(more).expect("lengths in memory");
        }
        let len = u64::try_from(len).map_err(|_| past_end())?;
        Ok(Extent { offset, len, zero })
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> u64 {
        self.as_slice().size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_at(offset, buf)
    }
    fn extent_at(&self, offset: u64) -> io::Result<Extent> {
        self.as_slice().extent_at(offset)
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// A device in memory.
#[derive(Debug, Default)]
pub struct Memory(RwLock<Vec<u8>>);

impl Memory {
    /// Takes the bytes as the device's content.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(RwLock::new(bytes))
    }

    /// Returns the content.
    pub fn into_inner(self) -> Vec<u8> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadAt for Memory {
    fn size(&self) -> u64 {
        self.0.read().unwrap_or_else(PoisonError::into_inner).size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let bytes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        bytes.read_at(offset, buf)
    }
    fn extent_at(&self, offset: u64) -> io::Result<Extent> {
        let bytes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        bytes.extent_at(offset)
    }
}

impl WriteAt for Memory {
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        let mut bytes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let target = usize::try_from(offset)
            .ok()
            .and_then(|start| bytes.get_mut(start..)?.get_mut(..buf.len()));
        match target {
            Some(target) => {
                target.copy_from_slice(buf);
                Ok(())
            }
            None => check_range(bytes.size(), offset, buf.len()),
        }
    }
}

/// A device of zeros: the base of an image made from nothing.
#[derive(Clone, Copy, Debug)]
pub struct Zeros(pub u64);

impl ReadAt for Zeros {
    fn size(&self) -> u64 {
        self.0
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        check_range(self.0, offset, buf.len())?;
        buf.fill(0);
        Ok(())
    }
    fn extent_at(&self, offset: u64) -> io::Result<Extent> {
        let len = self.0.checked_sub(offset).ok_or_else(past_end)?;
        Ok(Extent { offset, len, zero: true })
    }
}
