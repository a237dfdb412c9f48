//! A device in memory that checks how it is used, and fails as it is told.

use piflash::sink::device::Target;
use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

/// What a device does wrong.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Writes that touch this byte fail.
    pub bad_write: Option<u64>,
    /// Reads that touch this byte fail.
    pub bad_read: Option<u64>,
    /// This byte is kept wrong, and nothing is said.
    pub flipped: Option<u64>,
    /// From this byte on nothing is kept, and nothing is said: a card that
    /// claims to be larger than it is.
    pub counterfeit: Option<u64>,
    /// After that many writes it is gone.
    pub dies_after: Option<usize>,
    /// That many writes later the stop is set.
    pub stops_after: Option<(usize, Arc<AtomicBool>)>,
    /// Flushes fail once this many writes were made.
    pub bad_flush_after: Option<usize>,
}

/// One call, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Write(u64, u64),
    Clear(u64, u64),
    Flush,
    Reread,
}

pub struct Faulty {
    bytes: Mutex<Vec<u8>>,
    sector: u64,
    clears: bool,
    faults: Faults,
    writes: AtomicUsize,
    calls: Mutex<Vec<Call>>,
}

impl Faulty {
    /// A device full of what was on it before.
    pub fn new(size: u64, sector: u64, clears: bool, faults: Faults) -> Self {
        Self {
            bytes: Mutex::new(vec![0xaa; size as usize]),
            sector,
            clears,
            faults,
            writes: AtomicUsize::new(0),
            calls: Mutex::default(),
        }
    }

    pub fn content(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    fn call(&self, call: Call) {
        self.calls.lock().unwrap().push(call);
    }

    /// The contract: whole sectors, inside of the device, from memory that
    /// direct I/O takes.
    fn check(&self, offset: u64, bytes: &[u8]) {
        assert_eq!(offset % self.sector, 0, "{offset}");
        assert_eq!(bytes.len() as u64 % self.sector, 0, "{}", bytes.len());
        assert!(!bytes.is_empty());
        assert!(offset + bytes.len() as u64 <= self.size());
        assert_eq!(bytes.as_ptr().align_offset(4096), 0);
    }

    fn gone(&self) -> io::Result<()> {
        let dead = |after| self.writes.load(SeqCst) > after;
        if self.faults.dies_after.is_some_and(dead) {
            return Err(io::Error::from_raw_os_error(6));
        }
        Ok(())
    }
}

fn touches(offset: u64, len: usize, byte: Option<u64>) -> bool {
    byte.is_some_and(|byte| (offset..offset + len as u64).contains(&byte))
}

impl Target for Faulty {
    fn size(&self) -> u64 {
        self.bytes.lock().unwrap().len() as u64
    }

    fn sector(&self) -> u64 {
        self.sector
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check(offset, bytes);
        let count = self.writes.fetch_add(1, SeqCst) + 1;
        if let Some((after, stop)) = &self.faults.stops_after
            && count >= *after
        {
            stop.store(true, SeqCst);
        }
        self.gone()?;
        self.call(Call::Write(offset, bytes.len() as u64));
        if touches(offset, bytes.len(), self.faults.bad_write) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let mut kept = self.bytes.lock().unwrap();
        let end = self.faults.counterfeit.unwrap_or(u64::MAX);
        let len = end.saturating_sub(offset).min(bytes.len() as u64) as usize;
        let start = offset as usize;
        kept[start..][..len].copy_from_slice(&bytes[..len]);
        if touches(offset, len, self.faults.flipped) {
            kept[self.faults.flipped.unwrap() as usize] ^= 1;
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.check(offset, buf);
        self.gone()?;
        if touches(offset, buf.len(), self.faults.bad_read) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let kept = self.bytes.lock().unwrap();
        buf.copy_from_slice(&kept[offset as usize..][..buf.len()]);
        Ok(())
    }

    fn clear(&self, offset: u64, len: u64) -> io::Result<bool> {
        assert_eq!((offset % 4096, len % 4096), (0, 0));
        self.gone()?;
        if self.clears {
            self.call(Call::Clear(offset, len));
            let mut kept = self.bytes.lock().unwrap();
            kept[offset as usize..][..len as usize].fill(0);
        }
        Ok(self.clears)
    }

    fn flush(&self) -> io::Result<()> {
        self.gone()?;
        self.call(Call::Flush);
        let bad = |after| self.writes.load(SeqCst) >= after;
        if self.faults.bad_flush_after.is_some_and(bad) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }

    fn reread_table(&self) -> io::Result<()> {
        self.call(Call::Reread);
        Ok(())
    }
}
