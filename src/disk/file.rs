use super::{Extent, ReadAt, WriteAt, check_range, past_end};
use std::{
    fs::File,
    io::{self, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::Path,
};

/// A file or block device, read and written by `pread` and `pwrite`.
#[derive(Debug)]
pub struct ImageFile {
    file: File,
    size: u64,
}

impl ImageFile {
    /// Opens `path` for reading.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::new(File::open(path)?)
    }

    /// Takes an open file. The size is the one it has now; that of a block
    /// device too, which `stat` does not tell.
    pub fn new(mut file: File) -> io::Result<Self> {
        let size = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, size })
    }

    /// Returns the file itself.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl ReadAt for ImageFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        check_range(self.size, offset, buf.len())?;
        self.file.read_exact_at(buf, offset)
    }

    /// Asks the file system by `SEEK_DATA` and `SEEK_HOLE`, see lseek(2).
    fn extent_at(&self, offset: u64) -> io::Result<Extent> {
        use rustix::{
            fs::{SeekFrom::Data, SeekFrom::Hole, seek},
            io::Errno,
        };
        let rest = self.size.checked_sub(offset).ok_or_else(past_end)?;
        let to = |end: u64, zero| {
            let len = end.min(self.size).checked_sub(offset);
            let len = len.expect("compared with both above and below");
            Ok(Extent { offset, len, zero })
        };
        match seek(&self.file, Data(offset)) {
            Ok(data) if data > offset => to(data, true),
            Ok(_) => match seek(&self.file, Hole(offset)) {
                Ok(hole) if hole > offset => to(hole, false),
                // A hole that the first call did not see: the file changed.
                _ => Ok(Extent { offset, len: rest, zero: false }),
            },
            // No data from here to the end.
            Err(Errno::NXIO) => Ok(Extent { offset, len: rest, zero: true }),
            // A file system without holes, or a device.
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::SPIPE) => {
                Ok(Extent { offset, len: rest, zero: false })
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl WriteAt for ImageFile {
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        check_range(self.size, offset, buf.len())?;
        self.file.write_all_at(buf, offset)
    }
}
