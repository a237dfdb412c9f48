//! Downloads that are kept as they came: .xz files of many blocks, which a
//! compressed output can take over.

use super::{Cache, Checked, entry::Entry};
use crate::{
    base::{digest::Sha256, fetch::Part, unpack::Format, whole::remove},
    disk::{CheckedFile, ImageFile, xz::XzIndex},
    progress::Progress,
};
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

impl Cache {
    /// Returns the path of a download that is kept.
    #[must_use]
    pub fn packed_path(&self, download: Sha256) -> PathBuf {
        self.packed_dir().join(format!("{download}.xz"))
    }

    /// Opens the download that an image came from, where it was kept, and
    /// reads it: blocks of it are taken over without being decoded. One that
    /// is damaged is removed.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn packed(
        &self,
        download: Sha256,
        progress: &dyn Progress,
    ) -> io::Result<Option<CheckedFile>> {
        let path = self.packed_path(download);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match self.check_whole(file, &path, download, progress)? {
            Checked::Right(file) => Ok(Some(file)),
            Checked::Wrong => {
                remove(&path)?;
                Ok(None)
            }
        }
    }

    /// Returns whether the download of an entry is kept.
    #[must_use]
    pub fn has_packed(&self, download: Sha256) -> bool {
        self.packed_path(download).is_file()
    }

    pub(super) fn packed_dir(&self) -> PathBuf {
        self.dir.join("packed")
    }

    /// Keeps a download that has been unpacked, where that is worth it, else
    /// removes it. Nothing depends on it: an error only costs time later.
    pub(super) fn keep_packed(
        &self,
        part: Part,
        at: &Path,
        format: Format,
        download: Sha256,
    ) {
        let is_xz = matches!(format, Format::Xz);
        if !(is_xz && is_reusable(at)) {
            let _ = part.remove();
            return;
        }
        let to = self.packed_path(download);
        if part.keep(&to).is_err() {
            let _ = remove(at);
        }
    }

    /// Returns the downloads that are not what they were, of `entries`.
    pub(super) fn damaged_packed(
        &self,
        entries: &[Entry],
        progress: &dyn Progress,
    ) -> io::Result<Vec<PathBuf>> {
        let mut damaged = Vec::new();
        for entry in entries {
            let download = entry.download_sha256;
            let path = self.packed_path(download);
            let kept = self.has_packed(download);
            if kept && self.packed(download, progress)?.is_none() {
                damaged.push(path);
            }
        }
        Ok(damaged)
    }
}

fn is_reusable(path: &Path) -> bool {
    let index = ImageFile::open(path).ok().map(|file| XzIndex::read(&file));
    matches!(index, Some(Ok(index)) if index.is_reusable())
}
