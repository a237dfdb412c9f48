//! Whether images in the cache are what they were.

use super::{
    Cache, Checked,
    entry::{self, Entry, State},
};
use crate::{
    base::{FileError, digest::Sha256, whole::remove},
    disk::CheckedFile,
    progress::Progress,
};
use std::{fs::File, io};

impl Cache {
    /// Opens an entry's image, and reads it first where something about it
    /// changed; nothing where it is gone or damaged.
    pub(super) fn open_entry(
        &self,
        entry: &mut Entry,
        progress: &dyn Progress,
    ) -> Result<Option<CheckedFile>, FileError> {
        if let Some((file, _)) = self.open_intact(entry, progress)? {
            return Ok(Some(file));
        }
        let path = self.image_path(entry.image_sha256);
        if entry.state(&path) != State::Suspect
            || !self
                .read_again(entry, progress)
                .map_err(FileError::at("verify", &path))?
        {
            return Ok(None);
        }
        let opened = self.open_intact(entry, progress)?;
        Ok(opened.map(|(file, _)| file))
    }

    /// Opens an entry's image where its size and time of change are those
    /// that were written down; one without checksums is read whole. Returns
    /// whether it was.
    pub(super) fn open_intact(
        &self,
        entry: &Entry,
        progress: &dyn Progress,
    ) -> Result<Option<(CheckedFile, bool)>, FileError> {
        let digest = entry.image_sha256;
        let path = self.image_path(digest);
        if entry.state(&path) != State::Intact {
            return Ok(None);
        }
        // It may have been pruned a moment ago.
        let Ok(file) = File::open(&path) else { return Ok(None) };
        let summed = self.sums(digest).is_none();
        let checked = self
            .check(file, &path, digest, progress)
            .map_err(FileError::at("verify", &path))?;
        Ok(match checked {
            Checked::Right(file) => Some((file, summed)),
            Checked::Wrong => None,
        })
    }

    /// Reads an image, and makes its checksums again; one that is right gets
    /// its time of change written down again. Returns whether it is.
    pub(super) fn read_again(
        &self,
        entry: &mut Entry,
        progress: &dyn Progress,
    ) -> io::Result<bool> {
        let path = self.image_path(entry.image_sha256);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let digest = entry.image_sha256;
        if file.metadata()?.len() != entry.image_size {
            remove(&self.sums_path(digest))?;
            return Ok(false);
        }
        match self.check_whole(file, &path, digest, progress)? {
            Checked::Wrong => Ok(false),
            Checked::Right(file) => {
                if entry.state(&path) == State::Suspect {
                    entry.take_times(file.file())?;
                    entry.write(&self.images())?;
                }
                Ok(true)
            }
        }
    }

    /// Removes an entry, the record first.
    pub(super) fn discard(&self, digest: Sha256) -> io::Result<()> {
        remove(&entry::record_path(&self.images(), digest))?;
        remove(&self.sums_path(digest))?;
        remove(&self.image_path(digest))
    }
}
