//! The identities of clusters: each a set of files in a directory of its own,
//! made once and whole.

use std::collections::BTreeMap;

use super::{
    AuthorityError, Damaged, Files, Secret, Store, StoreError, StoreErrorKind,
};

/// What is kept of a cluster.
pub trait Kept: Sized {
    /// The name of its directory.
    const DIR: &'static str;

    /// Names every file of the set.
    fn names() -> Vec<&'static str>;

    /// Makes all of it anew; `now` is in seconds since 1970.
    ///
    /// # Errors
    /// As [`Authority::make`](super::Authority::make).
    fn make(now: i64) -> Result<Self, AuthorityError>;

    /// Takes what [`Kept::files`] once gave.
    ///
    /// # Errors
    /// The first file that is missing or of no use.
    fn read(files: &BTreeMap<String, Secret>) -> Result<Self, Damaged>;

    /// Returns the files to keep.
    fn files(&self) -> Files;

    /// Loads the cluster of `store`, or makes it where there is none. Of
    /// several runs at the same time one makes it, and the others get what
    /// that one made.
    ///
    /// # Errors
    /// If it cannot be read or written; and if only a part of it is there,
    /// or one that makes no sense: then nothing is made or changed.
    fn load_or_make(store: &Store, now: i64) -> Result<Self, StoreError> {
        if store.has(Self::DIR)? {
            return load(store);
        }
        let locked = store.lock()?;
        if store.has(Self::DIR)? {
            return load(store);
        }
        let made = Self::make(now).map_err(|error| {
            StoreErrorKind::Make(error.to_string()).at(&store.path(Self::DIR))
        })?;
        locked.put_all(Self::DIR, &made.files())?;
        Ok(made)
    }
}

fn load<K: Kept>(store: &Store) -> Result<K, StoreError> {
    let mut files = BTreeMap::new();
    for name in K::names() {
        let path = format!("{}/{name}", K::DIR);
        let Some(content) = store.load(&path)? else { continue };
        let text = String::from_utf8(content).map_err(|_| {
            StoreErrorKind::Cluster("damaged: not text".to_owned(), None)
                .at(&store.path(&path))
        })?;
        files.insert(name.to_owned(), Secret::new(&text));
    }
    K::read(&files).map_err(|damaged| {
        let path = store.path(K::DIR).join(damaged.file);
        let word = damaged.why.word().to_owned();
        StoreErrorKind::Cluster(word, Some(damaged.why)).at(&path)
    })
}
