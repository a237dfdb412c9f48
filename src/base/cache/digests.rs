//! Digests of images that are files of the user's own, so that one which is
//! as it was need not be read again.

use super::Cache;
use crate::base::{digest::Sha256, whole};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

const FORMAT: u32 = 1;
/// File times are as coarse as the kernel's tick, and on some file systems as
/// two seconds: what changes twice meanwhile may look as if it had not.
const COARSE: i64 = 2;

/// What changes with a file's content. The ctime is the kernel's: nobody can
/// set it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    size: u64,
    /// Seconds since 1970, and nanoseconds.
    mtime: (i64, i64),
    ctime: (i64, i64),
    device: u64,
    inode: u64,
}

impl Stamp {
    pub(super) fn of(found: &Metadata) -> Self {
        Self {
            size: found.len(),
            mtime: (found.mtime(), found.mtime_nsec()),
            ctime: (found.ctime(), found.ctime_nsec()),
            device: found.dev(),
            inode: found.ino(),
        }
    }

    /// Returns whether any change from now on would be seen.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        now.and_then(|now| i64::try_from(now.as_secs()).ok())
            .is_some_and(|now| self.ctime.0.saturating_add(COARSE) < now)
    }
}

/// One file's digest, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    format: u32,
    /// Absolute, without links.
    path: PathBuf,
    stamp: Stamp,
    sha256: Sha256,
}

impl Cache {
    /// Returns the digest of `file`, which was opened at `path`: as it is
    /// known, else as `read` finds it.
    ///
    /// # Errors
    ///
    /// Those of `read`. A digest that cannot be kept is read again next time.
    pub fn digest_of(
        &self,
        path: &Path,
        file: &File,
        read: impl FnOnce() -> io::Result<Sha256>,
    ) -> io::Result<Sha256> {
        let stamp = || file.metadata().map(|found| Stamp::of(&found));
        let (Ok(path), Ok(before)) = (fs::canonicalize(path), stamp()) else {
            return read();
        };
        let name = format!("{}.json", Sha256::of(path.as_os_str().as_bytes()));
        let record = self.digests().join(name);
        if let Some(known) = recall(&record)
            && (&known.path, &known.stamp) == (&path, &before)
        {
            return Ok(known.sha256);
        }
        let settled = before.is_settled();
        let sha256 = read()?;
        if settled && stamp().is_ok_and(|after| after == before) {
            let known = Known { format: FORMAT, path, stamp: before, sha256 };
            let _ = keep(&record, &known);
        }
        Ok(sha256)
    }

    /// Returns where the digests are, one file each.
    pub(super) fn digests(&self) -> PathBuf {
        self.dir.join("digests")
    }
}

/// Returns whether a record is of a file that is gone or has changed.
pub(super) fn is_stale(record: &Path) -> bool {
    recall(record).is_none_or(|known| {
        let found = fs::metadata(&known.path).ok();
        found.is_none_or(|found| Stamp::of(&found) != known.stamp)
    })
}

fn recall(record: &Path) -> Option<Known> {
    let known: Known = serde_json::from_slice(&fs::read(record).ok()?).ok()?;
    (known.format == FORMAT).then_some(known)
}

fn keep(record: &Path, known: &Known) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(known)?;
    if let Some(folder) = record.parent() {
        fs::create_dir_all(folder)?;
    }
    whole::write(record, &text)
}
