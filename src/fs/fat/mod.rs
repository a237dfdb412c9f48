//! FAT12, FAT16 and FAT32.
//!
//! Reading is our own: it is a few lines, and images are not to be trusted.
//! Writing is by `fatfs`, in front of which stands what it lacks: the volume
//! is checked whole before the first edit (`check`), space is counted before
//! anything is written, and its writes go to a cache (`pages`), so that only
//! sectors whose content changed reach the image, and only on commit. Two
//! defects of `fatfs` 0.3.6 are made good here: it gives a grown FAT32 root
//! directory a cluster with old data, and `.` and `..` long names and, in
//! FAT32's root, a wrong parent.

mod agree;
mod check;
mod clock;
mod dir;
mod edit;
mod pages;
mod summary;
mod tree;
mod usage;
mod volume;

use super::{
    DirEntry, FileKind, FsError, FsErrorKind, Meta, Reader, Stat, Structure,
};
use crate::disk::ReadAt;
use dir::{Directory, Entry};
use pages::Pages;
use std::sync::Arc;
pub(super) use summary::summary;
use volume::Volume;

/// Why offsets and lengths can be added: [`Volume::read`] compares them with
/// the device's size, and a directory's entries are in memory.
const INSIDE: &str = "inside of the volume and its device";

/// A FAT volume, read and edited without a mount.
///
/// Mode and owner do not exist on FAT: they are ignored, and read as 0755
/// and root. All times of what is written are the build time.
pub struct Fat<D> {
    pages: Arc<Pages<D>>,
    volume: Volume,
    build_time: i64,
    checked: bool,
}

impl<D: ReadAt> Fat<D> {
    /// Opens the volume that fills `device`. `build_time` in seconds since
    /// the epoch is the time of all that will be written.
    ///
    /// A volume marked dirty can be read, as Linux mounts it with a warning,
    /// but not edited: fsck.vfat has to look at it first.
    pub fn open(device: D, build_time: i64) -> Result<Self, FsError> {
        let pages = Arc::new(Pages::new(device));
        let volume = Volume::read(&*pages)?;
        Ok(Self { pages, volume, build_time, checked: false })
    }

    fn directory(&self, entry: &Entry) -> Result<Directory, FsErrorKind> {
        Directory::read(&self.volume, &*self.pages, entry.cluster)
    }

    /// Returns what is at `path`.
    fn lookup(&self, path: &str) -> Result<Option<Entry>, FsErrorKind> {
        let mut entry = Entry::root();
        for name in components(path)? {
            if !entry.is_dir {
                return Ok(None);
            }
            let entries = self.directory(&entry)?.entries(&self.volume);
            match entries.into_iter().find(|e| e.is_named(name)) {
                Some(found) => entry = found,
                None => return Ok(None),
            }
        }
        Ok(Some(entry))
    }

    fn existing(&self, path: &str) -> Result<Entry, FsErrorKind> {
        self.lookup(path)?.ok_or(FsErrorKind::NotFound)
    }

    fn read_file(&self, path: &str) -> Result<Vec<u8>, FsErrorKind> {
        let entry = self.existing(path)?;
        if entry.is_dir {
            return Err(FsErrorKind::WrongKind("is a directory"));
        }
        let chain = self.volume.chain(&*self.pages, entry.cluster)?;
        let size = usize::try_from(entry.size).expect("32 bits");
        let clusters = u64::try_from(chain.len()).expect(INSIDE);
        if clusters < self.volume.clusters_of(entry.size.into()) {
            let what = "fewer clusters than its size needs";
            return Err(Structure::Entry.rule(what));
        }
        let mut content = vec![0; size];
        let step = usize::try_from(self.volume.cluster).expect(INSIDE);
        for (part, cluster) in content.chunks_mut(step).zip(chain) {
            self.pages
                .read_at(self.volume.cluster_offset(cluster), part)
                .map_err(FsErrorKind::Io)?;
        }
        Ok(content)
    }
}

impl Entry {
    fn stat(&self) -> Stat {
        let kind =
            if self.is_dir { FileKind::Directory } else { FileKind::File };
        let meta = Meta { mode: 0o755, uid: 0, gid: 0, mtime: self.mtime };
        Stat { kind, meta, size: self.size.into() }
    }
}

impl<D: ReadAt> Reader for Fat<D> {
    fn stat(&self, path: &str) -> Result<Option<Stat>, FsError> {
        let found = self.lookup(path).map_err(|kind| kind.at(path))?;
        Ok(found.map(|entry| entry.stat()))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FsError> {
        self.read_file(path).map_err(|kind| kind.at(path))
    }

    fn read_dir(&self, path: &str) -> Result<Vec<DirEntry>, FsError> {
        let entry = self.existing(path).map_err(|kind| kind.at(path))?;
        if !entry.is_dir {
            let kind = FsErrorKind::WrongKind("is not a directory");
            return Err(kind.at(path));
        }
        let directory = self.directory(&entry).map_err(|k| k.at(path))?;
        let entries = directory.entries(&self.volume).into_iter();
        Ok(entries
            .map(|e| DirEntry { kind: e.stat().kind, name: e.name })
            .collect())
    }

    fn read_link(&self, path: &str) -> Result<String, FsError> {
        self.existing(path).map_err(|kind| kind.at(path))?;
        Err(FsErrorKind::WrongKind("is not a symbolic link").at(path))
    }
}

/// Splits an absolute path.
fn components(path: &str) -> Result<Vec<&str>, FsErrorKind> {
    let bad = |why: &str| FsErrorKind::BadPath(why.to_owned());
    let rest =
        path.strip_prefix('/').ok_or_else(|| bad("it is not absolute"))?;
    let names: Vec<_> = rest.split('/').filter(|n| !n.is_empty()).collect();
    if names.iter().any(|name| matches!(*name, "." | "..")) {
        return Err(bad("`.` or `..` in it"));
    }
    Ok(names)
}
