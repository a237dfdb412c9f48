//! What the store holds, and its removal.

use std::{collections::BTreeMap, fmt, fs::File, io};

use super::{Store, store::read_record};
use crate::{
    base::{
        cache::{Prune, age, files, is_old, size_on_disk},
        digest::Sha256,
        whole::remove,
    },
    progress::Progress,
};

/// A file in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Its digest when it came.
    pub sha256: Sha256,
    /// Where it came from, without secrets; empty where nothing is on
    /// record.
    pub urls: Vec<String>,
    /// When it was downloaded last, in seconds since 1970.
    pub fetched: Option<u64>,
}

impl fmt::Display for StoredFile {
    /// Its URLs, or its digest where they are not known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.urls[..] {
            [] => write!(f, "{}", self.sha256),
            urls => f.write_str(&urls.join(", ")),
        }
    }
}

impl Store {
    /// Returns what there is, by digest.
    ///
    /// # Errors
    ///
    /// The directory cannot be read. One that is missing is empty.
    pub fn list(&self) -> io::Result<Vec<StoredFile>> {
        let mut found = BTreeMap::new();
        let paths = files(&self.files_dir())?;
        let name = |path: &std::path::Path| {
            path.file_name()?.to_str().map(str::to_owned)
        };
        for path in &paths {
            let digest = name(path).and_then(|name| name.parse().ok());
            let Some(sha256) = digest else { continue };
            let (urls, fetched) = (Vec::new(), None);
            found.insert(sha256, StoredFile { sha256, urls, fetched });
        }
        for path in &paths {
            let Some(record) = read_record(path) else { continue };
            if let Some(file) = found.get_mut(&record.sha256) {
                file.fetched = file.fetched.max(Some(record.fetched));
                file.urls.push(record.url);
            }
        }
        Ok(found.into_values().collect())
    }

    /// Reads every file and returns those that are not what they were.
    ///
    /// # Errors
    ///
    /// The directory or a file cannot be read.
    pub fn verify(
        &self,
        progress: &dyn Progress,
    ) -> io::Result<Vec<StoredFile>> {
        let mut damaged = Vec::new();
        for stored in self.list()? {
            let file = match File::open(self.path(stored.sha256)) {
                Ok(file) => file,
                // Pruned meanwhile.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let digest = Sha256::of_file(&file, "verify", progress)?;
            progress.finish();
            if digest != stored.sha256 {
                damaged.push(stored);
            }
        }
        Ok(damaged)
    }

    /// Removes files by age (all without one) and the records of files that
    /// are gone; returns the files, and how many bytes are free then.
    /// Downloads under way are the cache's: see
    /// [`Cache::prune`](crate::base::cache::Cache::prune).
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn prune(&self, what: &Prune) -> io::Result<(Vec<StoredFile>, u64)> {
        let (mut pruned, mut freed) = (Vec::new(), 0_u64);
        for stored in self.list()? {
            let path = self.path(stored.sha256);
            let keep = match (what.older_than, stored.fetched) {
                (Some(limit), Some(fetched)) => age(fetched) <= limit,
                // Perhaps its record is about to be written.
                (_, None) => !is_old(&path),
                (None, Some(_)) => false,
            };
            if keep {
                continue;
            }
            freed = freed.saturating_add(size_on_disk(&path));
            if !what.dry_run {
                remove(&path)?;
            }
            pruned.push(stored);
        }
        if !what.dry_run {
            for path in files(&self.files_dir())? {
                let Some(record) = read_record(&path) else { continue };
                if !self.path(record.sha256).exists() {
                    remove(&path)?;
                }
            }
        }
        Ok((pruned, freed))
    }
}
