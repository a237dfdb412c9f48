//! Adding what a list says to what is known.

use super::{Blob, Catalog, Entry};

/// What a list has added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Images that were not known.
    pub images: usize,
    /// Known images of which more is known now: a digest, a size, a date.
    pub completed: usize,
}

/// Two sources say different things of one image. One of them is wrong, or
/// the file was swapped: nothing is taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "two sources contradict each other on `{id}`: the {what} is {ours} \
     ({our_url}), or {theirs} ({their_url})"
)]
pub struct MergeError {
    /// The image.
    pub id: Box<str>,
    /// As `SHA-256 of the download`.
    pub what: &'static str,
    /// What was known.
    pub ours: Box<str>,
    /// Where that is from.
    pub our_url: Box<str>,
    /// What the list says.
    pub theirs: Box<str>,
    /// Where that is from.
    pub their_url: Box<str>,
}

impl Catalog {
    /// Adds what a list says; of a known image only what was not known of
    /// it. The URL of a known image stays as it is.
    ///
    /// # Errors
    ///
    /// The list contradicts what is known; then nothing is added.
    pub fn merge(&mut self, list: Vec<Entry>) -> Result<Added, MergeError> {
        let mut entries = self.entries.clone();
        let mut updates = self.updates.clone();
        let mut added = Added::default();
        for entry in &list {
            match add(&mut entries, entry)? {
                Change::New => added.images = added.images.saturating_add(1),
                Change::More => {
                    added.completed = added.completed.saturating_add(1);
                }
                Change::Nothing => continue,
            }
            // What agrees with `entries` agrees with their parts.
            add(&mut updates, entry)?;
        }
        *self = Self::new(entries, updates);
        Ok(added)
    }
}

/// What an entry brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    New,
    More,
    Nothing,
}

/// Adds an entry to `entries`.
pub(super) fn add(
    entries: &mut Vec<Entry>,
    entry: &Entry,
) -> Result<Change, MergeError> {
    let Some(known) = entries.iter_mut().find(|known| known.id == entry.id)
    else {
        entries.push(entry.clone());
        return Ok(Change::New);
    };
    let mut merged = known.clone();
    complete(
        &mut merged.download,
        entry.download,
        ["SHA-256 of the download", "size of the download"],
        (known, entry),
    )?;
    complete(
        &mut merged.image,
        entry.image,
        ["SHA-256 of the image", "size of the image"],
        (known, entry),
    )?;
    merged.date = merged.date.or(entry.date);
    merged.init_format = merged.init_format.or(entry.init_format);
    if merged == *known {
        return Ok(Change::Nothing);
    }
    *known = merged;
    Ok(Change::More)
}

/// Completes what is known of a file by what another source says of it.
fn complete(
    ours: &mut Blob,
    theirs: Blob,
    [digest, size]: [&'static str; 2],
    (known, entry): (&Entry, &Entry),
) -> Result<(), MergeError> {
    let contradiction = |what, ours: String, theirs: String| MergeError {
        id: known.id.as_str().into(),
        what,
        ours: ours.into(),
        our_url: known.url.as_str().into(),
        theirs: theirs.into(),
        their_url: entry.url.as_str().into(),
    };
    match (ours.sha256, theirs.sha256) {
        (Some(a), Some(b)) if a != b => {
            return Err(contradiction(digest, a.to_string(), b.to_string()));
        }
        (None, Some(_)) => {
            ours.sha256 = theirs.sha256;
            ours.pinned = theirs.pinned;
        }
        _ => {}
    }
    match (ours.size, theirs.size) {
        (Some(a), Some(b)) if a != b => {
            return Err(contradiction(size, a.to_string(), b.to_string()));
        }
        _ => ours.size = ours.size.or(theirs.size),
    }
    Ok(())
}
