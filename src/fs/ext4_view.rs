//! ext4 read by the `ext4-view` crate: it shares no code with our editor,
//! so what it reads back is a second opinion.

mod links;
mod tree;

use std::{error::Error, io, sync::Arc};

use ext4_view::{Ext4, Ext4Error, Ext4Read, FileType, Metadata};

use links::check_link;
use tree::checked;

use super::{
    DirEntry, FileKind, FsError, FsErrorKind, Meta, Reader, Stat, Structure,
};
use crate::disk::ReadAt;

/// Pieces in which files are read, in bytes.
const PIECE: usize = 1 << 20;

/// An ext4 file system, for reading only.
pub struct Ext4View {
    fs: Ext4,
    /// Of the device, in bytes.
    size: u64,
}

struct Device(Arc<dyn ReadAt>);

impl Ext4Read for Device {
    fn read(
        &mut self,
        start_byte: u64,
        dst: &mut [u8],
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(self.0.read_at(start_byte, dst)?)
    }
}

impl Ext4View {
    /// Opens the file system on `device`.
    pub fn open(device: Arc<dyn ReadAt>) -> Result<Self, FsError> {
        let size = device.size();
        let fs = Ext4::load(Box::new(Device(device))).map_err(kind)?;
        Ok(Self { fs, size })
    }

    fn metadata(&self, path: &str) -> Result<Option<Metadata>, FsError> {
        self.check_links(path)?;
        match self.fs.symlink_metadata(path) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(Ext4Error::NotFound | Ext4Error::NotADirectory) => Ok(None),
            Err(error) => Err(kind(error).at(path)),
        }
    }

    /// Fails unless `path` itself is of this kind: the crate would follow a
    /// last symbolic link. Returns its size.
    fn expect(
        &self,
        path: &str,
        wanted: FileKind,
        unlike: &'static str,
    ) -> Result<u64, FsError> {
        match self.stat(path)? {
            Some(stat) if stat.kind == wanted => Ok(stat.size),
            Some(_) => Err(FsErrorKind::WrongKind(unlike).at(path)),
            None => Err(FsErrorKind::NotFound.at(path)),
        }
    }
}

impl Reader for Ext4View {
    fn stat(&self, path: &str) -> Result<Option<Stat>, FsError> {
        Ok(self.metadata(path)?.map(|metadata| Stat {
            kind: file_kind(metadata.file_type()),
            meta: Meta {
                mode: metadata.mode(),
                uid: metadata.uid(),
                gid: metadata.gid(),
                mtime: metadata.modified().seconds(),
            },
            size: metadata.len(),
        }))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FsError> {
        let size = self.expect(path, FileKind::File, "not a regular file")?;
        if size > self.size {
            // Holes may make it so, but nobody takes memory for them.
            return Err(too_large(size).at(path));
        }
        let mut content = Vec::new();
        let size = usize::try_from(size).ok();
        size.and_then(|size| content.try_reserve_exact(size).ok()).ok_or_else(
            || FsErrorKind::Io(io::ErrorKind::OutOfMemory.into()).at(path),
        )?;
        self.read_pieces(path, &mut |piece| content.extend_from_slice(piece))?;
        Ok(content)
    }

    fn read_pieces(
        &self,
        path: &str,
        receive: &mut dyn FnMut(&[u8]),
    ) -> Result<(), FsError> {
        self.expect(path, FileKind::File, "not a regular file")?;
        let error = |error| kind(error).at(path);
        let mut file = self.fs.open(path).map_err(error)?;
        let mut buffer = vec![0; PIECE];
        let mut used = 0;
        loop {
            // At most a block comes at a time.
            let room = buffer.get_mut(used..).expect("a piece at most");
            let read = file.read_bytes(room).map_err(error)?;
            used = used.checked_add(read).expect("no more than there was room");
            if read == 0 || used == PIECE {
                receive(buffer.get(..used).expect("a piece at most"));
                used = 0;
            }
            if read == 0 {
                return Ok(());
            }
        }
    }

    fn read_dir(&self, path: &str) -> Result<Vec<DirEntry>, FsError> {
        self.check_links(path)?;
        let error = |error| kind(error).at(path);
        let mut entries = Vec::new();
        for entry in self.fs.read_dir(path).map_err(error)? {
            let entry = entry.map_err(error)?;
            let name = entry.file_name().display().to_string();
            if name != "." && name != ".." {
                let kind = file_kind(entry.file_type().map_err(error)?);
                entries.push(DirEntry { name, kind });
            }
        }
        Ok(entries)
    }

    fn read_link(&self, path: &str) -> Result<String, FsError> {
        let stat = self.stat(path)?;
        check_link(stat.map_or(0, |stat| stat.size)).map_err(|k| k.at(path))?;
        let target =
            self.fs.read_link(path).map_err(|error| kind(error).at(path))?;
        Ok(target.display().to_string())
    }
}

fn too_large(size: u64) -> FsErrorKind {
    let what = format!("a file of {size} bytes, more than the partition has");
    FsErrorKind::Unsupported(what)
}

fn file_kind(kind: FileType) -> FileKind {
    if kind.is_regular_file() {
        FileKind::File
    } else if kind.is_dir() {
        FileKind::Directory
    } else if kind.is_symlink() {
        FileKind::Symlink
    } else {
        FileKind::Special
    }
}

fn kind(error: Ext4Error) -> FsErrorKind {
    match error {
        Ext4Error::NotFound => FsErrorKind::NotFound,
        Ext4Error::NotASymlink => FsErrorKind::WrongKind("not a link"),
        Ext4Error::IsADirectory => FsErrorKind::WrongKind("a directory"),
        Ext4Error::NotADirectory => FsErrorKind::WrongKind("not a directory"),
        Ext4Error::Incompatible(what) => {
            FsErrorKind::Unsupported(what.to_string())
        }
        Ext4Error::Corrupt(what) => {
            Structure::FileSystem.rule(what.to_string())
        }
        Ext4Error::Io(error) => FsErrorKind::Io(io::Error::other(error)),
        other => FsErrorKind::BadPath(other.to_string()),
    }
}
