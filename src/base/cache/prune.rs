use super::{
    Cache, Entry, PreparedEntry, digests, entry, lock::Lock, prepared,
};
use crate::base::{digest::Sha256, whole::remove};
use std::{
    collections::BTreeSet, fs, io, os::unix::fs::MetadataExt, path::Path,
    time::Duration,
};

/// What to remove from the cache.
#[derive(Clone, Debug, Default)]
pub struct Prune {
    /// Images that were downloaded longer ago; none of this age or younger.
    pub older_than: Option<Duration>,
    /// Only say what would be removed.
    pub dry_run: bool,
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Images.
    pub entries: Vec<Entry>,
    /// Prepared bases.
    pub prepared: Vec<PreparedEntry>,
    /// Parts of downloads, images without a record, digests of files that
    /// have changed.
    pub leftovers: usize,
    /// Bytes that the files took on the disk.
    pub freed: u64,
}

impl Cache {
    /// Removes images by age (all without one), and what broken runs left.
    /// Downloads under way are left alone.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn prune(&self, what: &Prune) -> io::Result<Pruned> {
        let mut pruned = Pruned::default();
        let mut known = BTreeSet::new();
        for entry in self.list()? {
            known.insert(entry.image_sha256);
            if what.older_than.is_some_and(|limit| age(entry.fetched) <= limit)
            {
                continue;
            }
            let image = self.image_path(entry.image_sha256);
            let packed = self.packed_path(entry.download_sha256);
            for path in [&image, &packed] {
                pruned.freed = pruned.freed.saturating_add(size_on_disk(path));
            }
            if !what.dry_run {
                self.discard(entry.image_sha256)?;
                remove(&packed)?;
                remove(&self.sums_path(entry.download_sha256))?;
            }
            pruned.entries.push(entry);
        }
        self.prune_prepared(what, &mut pruned)?;
        self.prune_leftovers(what, &known, &mut pruned)?;
        Ok(pruned)
    }

    fn prune_prepared(
        &self,
        what: &Prune,
        pruned: &mut Pruned,
    ) -> io::Result<()> {
        for entry in self.list_prepared()? {
            if what.older_than.is_some_and(|limit| age(entry.made) <= limit) {
                continue;
            }
            let path = self.prepared_path(&entry);
            pruned.freed = pruned.freed.saturating_add(size_on_disk(&path));
            if !what.dry_run {
                self.discard_prepared(&entry)?;
            }
            pruned.prepared.push(entry);
        }
        Ok(())
    }

    fn prune_leftovers(
        &self,
        what: &Prune,
        known: &BTreeSet<Sha256>,
        pruned: &mut Pruned,
    ) -> io::Result<()> {
        for path in files(&self.dir.join("partial"))? {
            let name = path.file_name().and_then(|name| name.to_str());
            let key = name.and_then(|name| name.split('.').next());
            let Some(key) = key else { continue };
            let Some(_lock) = Lock::try_take(&self.dir, key)? else { continue };
            drop_file(&path, what, pruned)?;
        }
        for path in files(&self.digests())? {
            if digests::is_stale(&path) {
                drop_file(&path, what, pruned)?;
            }
        }
        for path in files(&self.images())? {
            let known_image = entry::digest_of(&path, "img")
                .or_else(|| entry::digest_of(&path, "json"))
                .is_some_and(|digest| known.contains(&digest));
            if !known_image && is_old(&path) {
                drop_file(&path, what, pruned)?;
            }
        }
        let listed: BTreeSet<_> =
            self.list()?.iter().map(|e| e.download_sha256).collect();
        for path in files(&self.packed_dir())? {
            let digest = entry::digest_of(&path, "xz");
            let wanted = digest.is_some_and(|found| listed.contains(&found));
            if !wanted && is_old(&path) {
                drop_file(&path, what, pruned)?;
            }
        }
        let images = self.list()?.into_iter();
        let of = |e: Entry| [e.image_sha256, e.download_sha256];
        let prepared = self.list_prepared()?.into_iter();
        let prepared = prepared.map(|entry| entry.sha256);
        let summed = images.flat_map(of).chain(prepared).collect();
        for path in self.stale_sums(&summed)? {
            if is_old(&path) {
                drop_file(&path, what, pruned)?;
            }
        }
        for path in files(&self.prepared_dir())? {
            let record = path.with_extension("json");
            let has_record = prepared::is_record(&path) || record.exists();
            if !has_record && is_old(&path) {
                drop_file(&path, what, pruned)?;
            }
        }
        Ok(())
    }
}

/// Returns how long ago a time in seconds since 1970 is.
pub(in crate::base) fn age(then: u64) -> Duration {
    Duration::from_secs(entry::now().saturating_sub(then))
}

/// A run that is about to write the record has a moment for it.
pub(in crate::base) fn is_old(path: &Path) -> bool {
    let changed = fs::symlink_metadata(path).and_then(|m| m.modified());
    let age = changed.ok().and_then(|changed| changed.elapsed().ok());
    age.is_some_and(|age| age > Duration::from_secs(3600))
}

fn drop_file(path: &Path, what: &Prune, pruned: &mut Pruned) -> io::Result<()> {
    pruned.leftovers = pruned.leftovers.saturating_add(1);
    pruned.freed = pruned.freed.saturating_add(size_on_disk(path));
    if what.dry_run { Ok(()) } else { remove(path) }
}

pub(in crate::base) fn size_on_disk(path: &Path) -> u64 {
    let found = fs::symlink_metadata(path);
    found.map_or(0, |found| found.blocks().saturating_mul(512))
}

/// Files of a directory, none where it is missing.
pub(in crate::base) fn files(
    dir: &Path,
) -> io::Result<Vec<std::path::PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}
