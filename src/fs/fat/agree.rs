//! Names are looked up twice: here, and by `fatfs`, which makes the edits.
//! Where a long name is damaged, or one name is there twice, the two may
//! find different entries. What an edit has left is therefore looked at.

use std::io;

use super::{Fat, components, dir::Entry};
use crate::{
    disk::ReadAt,
    fs::{FsErrorKind, Structure},
};

impl<D: ReadAt> Fat<D> {
    /// Returns what is at `path`, which is at most one entry.
    pub(super) fn only(
        &self,
        path: &str,
    ) -> Result<Option<Entry>, FsErrorKind> {
        let names = components(path)?;
        let Some((name, above)) = names.split_last() else {
            return self.lookup(path);
        };
        let parent = self.lookup(&format!("/{}", above.join("/")))?;
        let Some(parent) = parent.filter(|parent| parent.is_dir) else {
            return Ok(None);
        };
        let entries = self.directory(&parent)?.entries(&self.volume);
        let mut found = entries.into_iter().filter(|e| e.is_named(name));
        match (found.next(), found.next()) {
            (first, None) => Ok(first),
            _ => Err(Structure::Entry.rule("two of one name")),
        }
    }

    /// Refuses an edit after which there is no file with this content at
    /// `path`.
    pub(super) fn check_written(
        &self,
        path: &str,
        content: &dyn ReadAt,
    ) -> Result<(), FsErrorKind> {
        let file = self.only(path)?;
        let size = content.size();
        let file = file
            .filter(|file| !file.is_dir && u64::from(file.size) == size)
            .ok_or_else(misread)?;
        let mut chain =
            self.volume.chain(&*self.pages, file.cluster)?.into_iter();
        let mut offset = 0;
        while offset < size {
            let cluster = chain.next().ok_or_else(misread)?;
            let rest = size.checked_sub(offset).expect("it is less");
            let len = rest.min(self.volume.cluster);
            let bytes = usize::try_from(len).expect("of a cluster");
            let (mut found, mut wanted) = (vec![0; bytes], vec![0; bytes]);
            self.pages
                .read_at(self.volume.cluster_offset(cluster), &mut found)
                .map_err(FsErrorKind::Io)?;
            content.read_at(offset, &mut wanted).map_err(FsErrorKind::Io)?;
            if found != wanted {
                return Err(misread());
            }
            offset = offset.checked_add(len).expect("at most the size");
        }
        Ok(())
    }

    /// Returns the directory that an edit has made at `path`.
    pub(super) fn made(&self, path: &str) -> Result<Entry, FsErrorKind> {
        self.only(path)?.filter(|entry| entry.is_dir).ok_or_else(misread)
    }

    /// Refuses an edit that has not removed what is at `path`.
    pub(super) fn check_removed(&self, path: &str) -> Result<(), FsErrorKind> {
        match self.only(path)? {
            None => Ok(()),
            Some(_) => Err(misread()),
        }
    }
}

/// The error of an edit by `fatfs`: what it does not find is there.
pub(super) fn failed(error: io::Error) -> FsErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound => misread(),
        _ => FsErrorKind::Io(error),
    }
}

fn misread() -> FsErrorKind {
    Structure::Entry
        .rule("its long name, or one beside it, is read in two ways")
}
