//! ext4 as `ext4-view` reads it: a reader that is not ours.

use ext4_view::{Ext4, Ext4Read, FileType, Metadata};
use piflash::fs::{
    Corruption, DirEntry, Fault, FileKind, FsError, FsErrorKind, Meta, Reader,
    Stat, Structure,
};
use std::{error::Error, fs::File, os::unix::fs::FileExt, path::Path};

/// A partition of an image.
struct Slice {
    image: File,
    offset: u64,
}

impl Ext4Read for Slice {
    fn read(
        &mut self,
        start_byte: u64,
        dst: &mut [u8],
    ) -> Result<(), Box<dyn Error + Send + Sync + 'static>> {
        Ok(self.image.read_exact_at(dst, self.offset + start_byte)?)
    }
}

/// The ext4 at a byte offset of an image.
pub struct Ext4View(pub Ext4);

impl Ext4View {
    pub fn open(image: &Path, offset: u64) -> Self {
        let image = File::open(image).unwrap();
        let ext4 = Ext4::load(Box::new(Slice { image, offset })).unwrap();
        Self(ext4)
    }

    pub fn metadata(&self, path: &str) -> Option<Metadata> {
        match self.0.symlink_metadata(path) {
            Ok(metadata) => Some(metadata),
            Err(ext4_view::Ext4Error::NotFound) => None,
            Err(error) => panic!("ext4-view: {path}: {error}"),
        }
    }
}

fn corrupt(path: &str, error: impl ToString) -> FsError {
    let fault = Fault::Rule(error.to_string());
    let structure = Structure::FileSystem;
    FsErrorKind::Corrupt(Corruption { structure, fault }).at(path)
}

pub fn kind(file_type: FileType) -> FileKind {
    match file_type {
        FileType::Regular => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Special,
    }
}

impl Reader for Ext4View {
    fn stat(&self, path: &str) -> Result<Option<Stat>, FsError> {
        let Some(metadata) = self.metadata(path) else { return Ok(None) };
        let meta = Meta {
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mtime: metadata.modified().seconds(),
        };
        let kind = kind(metadata.file_type());
        Ok(Some(Stat { kind, meta, size: metadata.len() }))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FsError> {
        self.0.read(path).map_err(|error| corrupt(path, error))
    }

    fn read_dir(&self, path: &str) -> Result<Vec<DirEntry>, FsError> {
        let mut entries = Vec::new();
        for entry in
            self.0.read_dir(path).map_err(|error| corrupt(path, error))?
        {
            let entry = entry.map_err(|error| corrupt(path, error))?;
            let name = entry.file_name().display().to_string();
            if name == "." || name == ".." {
                continue;
            }
            let file_type =
                entry.file_type().map_err(|error| corrupt(path, error))?;
            entries.push(DirEntry { name, kind: kind(file_type) });
        }
        Ok(entries)
    }

    fn read_link(&self, path: &str) -> Result<String, FsError> {
        let target =
            self.0.read_link(path).map_err(|error| corrupt(path, error))?;
        Ok(target.display().to_string())
    }
}
