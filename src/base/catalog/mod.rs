//! Which base images there are: those that are part of the program, and what
//! the vendors' own lists have added.

mod alias;
mod entry;
mod imager;
mod merge;
mod name;
mod release;
mod state;
mod store;
mod sums;

use std::collections::BTreeMap;

pub use alias::UnknownImage;
pub use entry::{Blob, Entry, EntryError, Expected, Os};
pub use imager::{IMAGER_LIST, ImagerList, ListError};
pub use merge::{Added, MergeError};
pub use state::Cached;
pub use store::StoreError;
pub use sums::{SumsError, listed_digest, parse_sha256sums};

use release::Version;

const EMBEDDED: &str = include_str!("../../../images/catalog.yaml");

/// Base images by id and alias.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// Newest first.
    entries: Vec<Entry>,
    /// What lists have added, as they had it.
    updates: Vec<Entry>,
    /// Places in `entries`.
    aliases: BTreeMap<String, usize>,
}

/// Why a catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The program was built with rows that cannot be read.
    #[error("the catalogue in this program cannot be read")]
    Parse(#[from] serde_saphyr::Error),
    /// The program was built with a wrong row.
    #[error("the catalogue in this program is wrong")]
    Entry(#[from] EntryError),
    /// The program was built with two rows that contradict each other.
    #[error("the catalogue in this program is wrong")]
    Merge(#[from] MergeError),
}

impl Catalog {
    /// Returns the catalogue that is part of the program
    /// (`images/catalog.yaml`).
    ///
    /// # Errors
    ///
    /// Only if the program was built with a wrong one.
    pub fn embedded() -> Result<Self, CatalogError> {
        let mut rows: Vec<Entry> = serde_saphyr::from_str(EMBEDDED)?;
        let mut entries = Vec::new();
        for row in &mut rows {
            row.check()?;
            row.pin();
            merge::add(&mut entries, row)?;
        }
        Ok(Self::new(entries, Vec::new()))
    }

    fn new(mut entries: Vec<Entry>, updates: Vec<Entry>) -> Self {
        entries.sort_by(|a, b| release::older_first(b, a));
        let aliases = alias::aliases(&entries);
        Self { entries, updates, aliases }
    }

    /// Returns every image: Raspberry Pi OS, then Ubuntu, newest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns every alias with the image that it now means.
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.aliases.iter().filter_map(|(alias, place)| {
            Some((alias.as_str(), self.entries.get(*place)?))
        })
    }

    /// Returns the aliases that now mean `id`, sorted.
    #[must_use]
    pub fn aliases_of(&self, id: &str) -> Vec<&str> {
        let of = self.aliases().filter(|(_, entry)| entry.id == id);
        of.map(|(alias, _)| alias).collect()
    }

    /// Returns the newest image that takes the place of `entry`, where that
    /// is another one: of its own release first.
    #[must_use]
    pub fn newer(&self, entry: &Entry) -> Option<&Entry> {
        let of_arch = |it: &&Entry| it.os == entry.os && it.arch == entry.arch;
        let of_series =
            |it: &&Entry| release::series(it) == release::series(entry);
        let newer = |it: &&Entry| release::older_first(entry, it).is_lt();
        // Newest first.
        let all = || self.entries.iter().filter(of_arch).filter(newer);
        all().find(of_series).or_else(|| all().next())
    }

    /// Finds an image by its id or by an alias.
    ///
    /// # Errors
    ///
    /// There is none; the error has names like it.
    pub fn find(&self, name: &str) -> Result<&Entry, UnknownImage> {
        let by_id = || self.entries.iter().find(|entry| entry.id == name);
        let by_alias = || self.entries.get(*self.aliases.get(name)?);
        by_alias().or_else(by_id).ok_or_else(|| {
            let ids = self.entries.iter().map(|entry| entry.id.as_str());
            let aliases = self.aliases.keys().map(String::as_str);
            UnknownImage::new(name, aliases.chain(ids))
        })
    }
}
