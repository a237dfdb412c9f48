//! That a base is what it was: during a run, and since it came into the cache.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    sync::PoisonError,
};

use rustix::fs::{IFlags, fstatfs, ioctl_getflags};

use super::{Image, Origin};
use crate::{
    base::{
        cache::{was_read_lately, was_read_now},
        digest::Sha256,
    },
    disk::{Cursor, ReadAt},
    progress::Progress,
};

/// What changes with the content of a base. Not the ctime: a new link or mode
/// is no new content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    len: u64,
    /// Seconds since 1970, and nanoseconds.
    mtime: (i64, i64),
    device: u64,
    inode: u64,
}

impl Stamp {
    pub(super) fn of(found: &Metadata) -> Self {
        Self {
            len: found.len(),
            mtime: (found.mtime(), found.mtime_nsec()),
            device: found.dev(),
            inode: found.ino(),
        }
    }
}

impl Image {
    /// Returns an error where the base is not the one that was opened: a node
    /// that was made of two is made of none.
    ///
    /// # Errors
    ///
    /// Any part that was read of it is damaged, whoever read it; its size or
    /// time of change is another, or a file of the user's was replaced by
    /// another one. One that is gone is as it was, being open.
    pub fn check_unchanged(&self) -> io::Result<()> {
        let same = |found: &Metadata| Stamp::of(found) == self.stamp;
        if let Some(damaged) = self.device.damage() {
            let kind = io::ErrorKind::InvalidData;
            return Err(io::Error::new(kind, damaged.clone()));
        }
        let mut unchanged = same(&self.file().metadata()?);
        if let Origin::File(path) = &self.origin {
            match fs::metadata(path) {
                Ok(found) => unchanged &= same(&found),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if unchanged {
            return Ok(());
        }
        let name = &self.name;
        Err(io::Error::other(format!(
            "the base image {name} was changed during the build"
        )))
    }

    /// Reads all of it, once in a run, and compares its digest where that is
    /// known.
    ///
    /// # Errors
    ///
    /// It is not what it was when it came into the cache; and those of
    /// reading.
    pub fn read_whole(&self, progress: &dyn Progress) -> io::Result<()> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if *read {
            return Ok(());
        }
        progress.start("verify", Some(self.device.size()));
        let all = Cursor::new(&*self.device);
        let found = Sha256::of_reader(all, |read| {
            progress.advance(u64::try_from(read).unwrap_or(u64::MAX));
        });
        let found = found.inspect_err(|_| progress.fail())?;
        if *self.digest.get_or_init(|| found) != found {
            progress.fail();
            return Err(self.device.damaged(0));
        }
        progress.finish();
        if let Some(sums) = self.device.sums_path() {
            was_read_now(sums);
        }
        *read = true;
        Ok(())
    }

    /// Reads all of it where an output shares its blocks and nobody has read
    /// them in a week: the file system that holds them has no checksums, and
    /// blocks that are shared pass nobody who compares them.
    ///
    /// # Errors
    ///
    /// Those of [`read_whole`](Self::read_whole).
    pub fn check_shared(&self, progress: &dyn Progress) -> io::Result<()> {
        match self.device.sums_path() {
            Some(sums)
                if !has_checksums(self.file()) && !was_read_lately(sums) =>
            {
                self.read_whole(progress)
            }
            _ => Ok(()),
        }
    }
}

/// Returns whether the file system compares what it reads of a file with
/// checksums of its own.
fn has_checksums(file: &File) -> bool {
    const BTRFS: u64 = 0x9123_683e;
    let found = fstatfs(file).map(|found| found.f_type);
    let is_btrfs = found
        .is_ok_and(|kind| u64::try_from(kind).is_ok_and(|kind| kind == BTRFS));
    // Files that are written in place have none.
    let plain =
        ioctl_getflags(file).is_ok_and(|flags| !flags.contains(IFlags::NOCOW));
    is_btrfs && plain
}
