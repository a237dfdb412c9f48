use super::{BLOCK, Target};
use rustix::{
    fs::{
        Advice, FallocateFlags, Mode, OFlags, fadvise, fallocate, fstat,
        ioctl_blksszget, open,
    },
    io::Errno,
};
use std::{
    fs::File,
    io::{self, Seek, SeekFrom},
    os::{
        fd::OwnedFd,
        unix::fs::{FileExt, FileTypeExt},
    },
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// Asks somebody who may to make the kernel read a partition table again.
type Reread = Box<dyn Fn() -> io::Result<()> + Send + Sync>;

/// A block device that is open for nobody else.
///
/// Read and written by direct I/O, past the kernel's cache, where it can be.
pub struct BlockDevice {
    file: Mutex<File>,
    /// The same, for reading and writing at a position.
    data: File,
    size: u64,
    sector: u64,
    direct: bool,
    /// Whether it still may be able to clear ranges.
    clears: AtomicBool,
    reread: Option<Reread>,
}

/// Why a device could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not a block device.
    #[error("it is not a block device")]
    NotADevice,
    /// Somebody else uses it: a mount, a swap, LVM, RAID, another writer.
    #[error("something else uses it")]
    Busy,
    /// This user may not.
    #[error("this user may not write to it")]
    Denied,
    /// A lock on the card, or a device that cannot be written.
    #[error("it is read-only")]
    ReadOnly,
    /// A reader without a card.
    #[error("no card is in it")]
    NoMedium,
    /// Anything else.
    #[error("it cannot be opened")]
    Io(#[source] io::Error),
}

impl OpenError {
    /// Sorts out what open(2) said.
    #[must_use]
    pub fn of(error: Errno) -> Self {
        match error {
            Errno::BUSY => Self::Busy,
            Errno::ACCESS | Errno::PERM => Self::Denied,
            Errno::ROFS => Self::ReadOnly,
            Errno::NOMEDIUM => Self::NoMedium,
            error => Self::Io(error.into()),
        }
    }
}

/// Opens a device for reading and writing, for nobody else at the same time:
/// the kernel then refuses mounts of it and of its partitions, and itself is
/// refused where there is one (open(2), `O_EXCL` of block devices).
///
/// # Errors
///
/// Those of open(2).
pub(super) fn open_exclusive(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC;
    match open(path, flags | OFlags::DIRECT, Mode::empty()) {
        // Not every driver has direct I/O.
        Err(Errno::INVAL) => open(path, flags, Mode::empty()),
        result => result,
    }
}

impl BlockDevice {
    /// Opens the device at `path`; see [`open_exclusive`].
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::new(open_exclusive(path).map_err(OpenError::of)?, None)
    }

    /// Takes a device that was opened by [`open_exclusive`]. Without a
    /// `reread`, the partition table is read again by this process.
    ///
    /// # Errors
    ///
    /// It is no block device, or does not answer.
    pub fn new(fd: OwnedFd, reread: Option<Reread>) -> Result<Self, OpenError> {
        let mut file = File::from(fd);
        let metadata = file.metadata().map_err(OpenError::Io)?;
        if !metadata.file_type().is_block_device() {
            return Err(OpenError::NotADevice);
        }
        let flags = rustix::fs::fcntl_getfl(&file);
        let flags = flags.map_err(|e| OpenError::Io(e.into()))?;
        let sector = ioctl_blksszget(&file);
        let sector = sector.map_err(|e| OpenError::Io(e.into()))?;
        let size = file.seek(SeekFrom::End(0)).map_err(OpenError::Io)?;
        let data = file.try_clone().map_err(OpenError::Io)?;
        Ok(Self {
            file: Mutex::new(file),
            data,
            size,
            sector: sector.into(),
            direct: flags.contains(OFlags::DIRECT),
            clears: AtomicBool::new(true),
            reread,
        })
    }

    /// Returns major and minor number.
    ///
    /// # Errors
    ///
    /// Those of fstat(2).
    pub fn number(&self) -> io::Result<(u32, u32)> {
        let number = fstat(&self.data)?.st_rdev;
        Ok((rustix::fs::major(number), rustix::fs::minor(number)))
    }
}

impl Target for BlockDevice {
    fn size(&self) -> u64 {
        self.size
    }

    fn sector(&self) -> u64 {
        self.sector
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.data.write_all_at(bytes, offset)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if !self.direct {
            // Only what is clean is dropped: flush comes first.
            let len = u64::try_from(buf.len()).unwrap_or(0);
            let len = std::num::NonZeroU64::new(len);
            fadvise(&self.data, offset, len, Advice::DontNeed)?;
        }
        self.data.read_exact_at(buf, offset)
    }

    /// `PUNCH_HOLE` of a block device promises zeros, and fails where the
    /// device does not do that by itself (block/fops.c of Linux). A discard
    /// would promise nothing.
    fn clear(&self, offset: u64, len: u64) -> io::Result<bool> {
        if !self.clears.load(Ordering::Relaxed) || !offset.is_multiple_of(BLOCK)
        {
            return Ok(false);
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.data, flags, offset, len) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {
                self.clears.store(false, Ordering::Relaxed);
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn flush(&self) -> io::Result<()> {
        self.data.sync_data()
    }

    fn reread_table(&self) -> io::Result<()> {
        if let Some(reread) = &self.reread {
            return reread();
        }
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        reread_table(&mut file)
    }
}

/// Makes the kernel read the partition table of an open device again.
///
/// # Errors
///
/// Those of the `BLKRRPART` ioctl. Devices that have no partitions by design
/// are none.
pub(super) fn reread_table(file: &mut File) -> io::Result<()> {
    use gptman::linux::{BlockError, reread_partition_table};
    match reread_partition_table(file) {
        Ok(()) => Ok(()),
        Err(BlockError::Metadata(error)) => Err(error),
        // A loop device without partition scan.
        Err(BlockError::RereadTable(error)) => {
            match io::Error::from(error)
                .raw_os_error()
                .map(Errno::from_raw_os_error)
            {
                Some(Errno::INVAL) => Ok(()),
                Some(error) => Err(error.into()),
                None => Err(io::Error::other("BLKRRPART failed")),
            }
        }
        Err(error) => Err(io::Error::other(error)),
    }
}
