//! Base images in compressed form, cut for taking blocks from. Made once for
//! each image and way of making, by whoever needs one first.

use super::{Cache, Checked, lock::Lock, prune, sums::digest_and_sums};
use crate::{
    base::{
        FileError,
        digest::Sha256,
        whole::{self, remove},
    },
    disk::CheckedFile,
    progress::Progress,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

const FORMAT: u32 = 1;

/// What a prepared base is made from, and how: the same recipe gives the same
/// bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// Digest of the raw image.
    pub image_sha256: Sha256,
    /// Digest of the compressed file whose blocks are taken over.
    pub taken_from: Option<Sha256>,
    /// Suffix of its format, as `xz`.
    pub suffix: String,
    /// How it is cut and encoded, in the words of whoever does it.
    pub method: String,
}

impl Recipe {
    /// Names the file.
    fn key(&self) -> Sha256 {
        // A structure of plain fields: it cannot fail.
        Sha256::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// A prepared base, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedEntry {
    format: u32,
    /// What it was made from.
    pub recipe: Recipe,
    /// Digest of the file.
    pub sha256: Sha256,
    /// Size of the file in bytes.
    pub size: u64,
    /// When it was made, in seconds since 1970.
    pub made: u64,
    /// The file's time of change: seconds since 1970, and nanoseconds.
    mtime: (i64, i64),
}

impl PreparedEntry {
    fn is_intact(&self, file: &File) -> io::Result<bool> {
        let found = file.metadata()?;
        let times = (found.mtime(), found.mtime_nsec());
        Ok(found.len() == self.size && times == self.mtime)
    }

    fn write(&self, record: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        whole::write(record, &text)
    }
}

/// What the cache has of a recipe.
#[derive(Debug)]
pub enum Prepared {
    /// The file.
    Ready(CheckedFile),
    /// Nothing: it is to be made.
    Missing(Slot),
}

/// A place for a prepared base, which nobody else fills meanwhile.
#[derive(Debug)]
pub struct Slot {
    cache: Cache,
    recipe: Recipe,
    path: PathBuf,
    record: PathBuf,
    _lock: Lock,
}

impl Slot {
    /// Returns where it is to be put, whole.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes what was put there into the cache.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn fill(
        self,
        progress: &dyn Progress,
    ) -> Result<CheckedFile, FileError> {
        let path = &self.path;
        let file = File::open(path).map_err(FileError::at("open", path))?;
        let look = FileError::at("look at", path);
        let found = file.metadata().map_err(look)?;
        let (sha256, sums) = digest_and_sums(&file, progress)
            .map_err(FileError::at("read", path))?;
        progress.finish();
        let kept = self.cache.keep_sums(sha256, sums);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let entry = PreparedEntry {
            format: FORMAT,
            recipe: self.recipe,
            sha256,
            size: found.len(),
            made: now.map_or(0, |now| now.as_secs()),
            mtime: (found.mtime(), found.mtime_nsec()),
        };
        let write = FileError::at("write", &self.record);
        entry.write(&self.record).map_err(write)?;
        CheckedFile::new(file, path, Some(kept))
            .map_err(FileError::at("look at", path))
    }
}

impl Cache {
    /// Returns a prepared base, or a place to make it. Of several runs and
    /// threads that want the same, one makes it and the others wait. One that
    /// is not as it was is made again: by its size, its time of change and
    /// whatever its checksums find when it is read; with `whole` by all of it,
    /// now.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn prepared(
        &self,
        recipe: &Recipe,
        whole: bool,
        progress: &dyn Progress,
    ) -> Result<Prepared, FileError> {
        let (path, record) = self.prepared_paths(recipe);
        let intact = || self.intact_prepared(&path, &record, recipe);
        if let Some(file) = intact().filter(|_| !whole) {
            return Ok(Prepared::Ready(file));
        }
        let key = format!("prepared-{}", recipe.key());
        let lock = Lock::take(&self.dir, &key, progress)?;
        if let Some(file) = intact().filter(|_| !whole) {
            return Ok(Prepared::Ready(file));
        }
        let entry = recall(&record).filter(|entry| entry.recipe == *recipe);
        if let Some(entry) = entry {
            let verified = self.verify_one(&entry, progress);
            if verified.map_err(FileError::at("verify", &path))?
                && let Some(file) = intact()
            {
                return Ok(Prepared::Ready(file));
            }
        }
        for path in [&record, &path] {
            remove(path).map_err(FileError::at("remove", path))?;
        }
        let (cache, recipe) = (self.clone(), recipe.clone());
        let slot = Slot { cache, recipe, path, record, _lock: lock };
        Ok(Prepared::Missing(slot))
    }

    /// Returns the prepared bases in the cache.
    ///
    /// # Errors
    ///
    /// The directory cannot be read. One that is missing is empty.
    pub fn list_prepared(&self) -> io::Result<Vec<PreparedEntry>> {
        let files = prune::files(&self.prepared_dir())?;
        let records = files.iter().filter(|path| is_record(path));
        let mut entries: Vec<_> =
            records.filter_map(|path| recall(path)).collect();
        entries.sort_by_key(|entry| (entry.recipe.image_sha256, entry.sha256));
        Ok(entries)
    }

    /// Reads every prepared base and returns those that are not what they
    /// were.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub fn verify_prepared(
        &self,
        progress: &dyn Progress,
    ) -> io::Result<Vec<PreparedEntry>> {
        let mut damaged = Vec::new();
        for entry in self.list_prepared()? {
            if !self.verify_one(&entry, progress)? {
                damaged.push(entry);
            }
        }
        Ok(damaged)
    }

    /// Returns the path of a prepared base.
    #[must_use]
    pub fn prepared_path(&self, entry: &PreparedEntry) -> PathBuf {
        self.prepared_paths(&entry.recipe).0
    }

    /// Removes a prepared base, the record first.
    pub(super) fn discard_prepared(
        &self,
        entry: &PreparedEntry,
    ) -> io::Result<()> {
        let (path, record) = self.prepared_paths(&entry.recipe);
        remove(&record)?;
        remove(&self.sums_path(entry.sha256))?;
        remove(&path)
    }

    /// Opens one that looks as it was, and has checksums.
    fn intact_prepared(
        &self,
        path: &Path,
        record: &Path,
        recipe: &Recipe,
    ) -> Option<CheckedFile> {
        let entry = recall(record).filter(|entry| entry.recipe == *recipe)?;
        let file = File::open(path).ok()?;
        let kept = self.sums(entry.sha256)?;
        let intact = entry.is_intact(&file).ok()?;
        intact.then(|| CheckedFile::new(file, path, Some(kept)).ok())?
    }

    pub(super) fn prepared_dir(&self) -> PathBuf {
        self.dir.join("prepared")
    }

    /// The file and its record.
    fn prepared_paths(&self, recipe: &Recipe) -> (PathBuf, PathBuf) {
        let (dir, key) = (self.prepared_dir(), recipe.key());
        let file = dir.join(format!("{key}.{}", recipe.suffix));
        (file, dir.join(format!("{key}.json")))
    }

    /// Reads one; that of one which is right gets its time of change written
    /// down again.
    fn verify_one(
        &self,
        entry: &PreparedEntry,
        progress: &dyn Progress,
    ) -> io::Result<bool> {
        let (path, record) = self.prepared_paths(&entry.recipe);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let found = file.metadata()?;
        if found.len() != entry.size {
            remove(&self.sums_path(entry.sha256))?;
            return Ok(false);
        }
        let checked = self.check_whole(file, &path, entry.sha256, progress)?;
        if matches!(checked, Checked::Wrong) {
            return Ok(false);
        }
        let mtime = (found.mtime(), found.mtime_nsec());
        if mtime != entry.mtime {
            PreparedEntry { mtime, ..entry.clone() }.write(&record)?;
        }
        Ok(true)
    }
}

fn recall(record: &Path) -> Option<PreparedEntry> {
    let text = fs::read(record).ok()?;
    let entry: PreparedEntry = serde_json::from_slice(&text).ok()?;
    (entry.format == FORMAT).then_some(entry)
}

pub(super) fn is_record(path: &Path) -> bool {
    path.extension().is_some_and(|suffix| suffix == "json")
}
