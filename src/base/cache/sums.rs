//! Checksums of the pieces of files in the cache, by the digest of the file:
//! made when it came, and compared with whatever is read of it later.

use super::{Cache, prune};
use crate::{
    base::{
        digest::{FromStart, Hasher, Sha256},
        whole,
    },
    disk::{CheckedFile, Damaged, KeptSums, Summing, Sums},
    progress::Progress,
};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// How long a file may be shared before all of it is read again.
const INTERVAL: Duration = Duration::from_secs(7 * 24 * 3600);

/// Whether a file of the cache is what its name says.
pub(super) enum Checked {
    /// It is; the checksums may just have been made.
    Right(CheckedFile),
    /// Its digest is another one.
    Wrong,
}

impl Cache {
    /// Returns the path of the checksums of a file with this digest.
    #[must_use]
    pub fn sums_path(&self, digest: Sha256) -> PathBuf {
        self.sums_dir().join(format!("{digest}.sums"))
    }

    pub(super) fn sums_dir(&self) -> PathBuf {
        self.dir.join("sums")
    }

    /// Returns the checksums that are kept of a file, where there are any and
    /// they are as they were.
    pub(super) fn sums(&self, digest: Sha256) -> Option<KeptSums> {
        let path = self.sums_path(digest);
        let sums = Sums::parse(&fs::read(&path).ok()?)?;
        Some(KeptSums { sums, path })
    }

    /// Keeps checksums. Where they cannot be kept, they are made again.
    pub(super) fn keep_sums(&self, digest: Sha256, sums: Sums) -> KeptSums {
        let path = self.sums_path(digest);
        let _ = fs::create_dir_all(self.sums_dir())
            .and_then(|()| whole::write(&path, &sums.to_bytes()));
        KeptSums { sums, path }
    }

    /// Takes a file that has to have this digest: with the checksums that
    /// are kept, else it is read whole and they are made.
    pub(super) fn check(
        &self,
        file: File,
        path: &Path,
        digest: Sha256,
        progress: &dyn Progress,
    ) -> io::Result<Checked> {
        match self.sums(digest) {
            Some(kept) => open(file, path, kept),
            None => self.check_whole(file, path, digest, progress),
        }
    }

    /// Reads all of a file, and keeps its checksums where its digest is
    /// right; where it is not, those that were kept go.
    pub(super) fn check_whole(
        &self,
        file: File,
        path: &Path,
        digest: Sha256,
        progress: &dyn Progress,
    ) -> io::Result<Checked> {
        let (found, sums) = digest_and_sums(&file, progress)?;
        if found != digest {
            progress.fail();
            whole::remove(&self.sums_path(digest))?;
            return Ok(Checked::Wrong);
        }
        progress.finish();
        let kept = self.keep_sums(digest, sums);
        open(file, path, kept)
    }

    /// Removes checksums of files that are gone.
    pub(super) fn stale_sums(
        &self,
        known: &BTreeSet<Sha256>,
    ) -> io::Result<Vec<PathBuf>> {
        let mut stale = prune::files(&self.sums_dir())?;
        stale.retain(|path| {
            let digest = super::entry::digest_of(path, "sums");
            !digest.is_some_and(|digest| known.contains(&digest))
        });
        Ok(stale)
    }
}

fn open(file: File, path: &Path, kept: KeptSums) -> io::Result<Checked> {
    match CheckedFile::new(file, path, Some(kept)) {
        Ok(file) => Ok(Checked::Right(file)),
        Err(error) if Damaged::of(&error).is_some() => Ok(Checked::Wrong),
        Err(error) => Err(error),
    }
}

/// Reads all of a file.
pub(super) fn digest_and_sums(
    file: &File,
    progress: &dyn Progress,
) -> io::Result<(Sha256, Sums)> {
    progress.start("verify", Some(file.metadata()?.len()));
    let (mut hasher, mut summing) = (Hasher::default(), Summing::default());
    let reader = FromStart::of(file);
    hasher.read_with(reader, |bytes| {
        summing.update(bytes);
        progress.advance(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    })?;
    Ok((hasher.finish(), summing.finish()))
}

/// Returns whether all of a file was read in the last week, as its checksums
/// remember by their time of change.
pub(in crate::base) fn was_read_lately(sums: &Path) -> bool {
    let changed = fs::metadata(sums).and_then(|found| found.modified());
    let age = changed.ok().and_then(|changed| changed.elapsed().ok());
    age.is_some_and(|age| age < INTERVAL)
}

/// Remembers that all of a file was read now.
pub(in crate::base) fn was_read_now(sums: &Path) {
    // Where that fails it is read once more than it need be.
    let file = File::options().append(true).open(sums);
    let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
}
