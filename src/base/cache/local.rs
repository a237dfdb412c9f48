//! Compressed images that are files of the user's own: unpacked once, and
//! found again by the digest of the file.

use super::{
    Cache, Cached, Entry,
    digests::Stamp,
    entry,
    fill::{create, publish},
    lock::Lock,
};
use crate::{
    base::{
        FileError,
        digest::{FromStart, Hasher, Sha256},
        signature::Verification,
        unpack::{Limits, UnpackError, unpack},
        whole::remove,
    },
    disk::{CheckedFile, Sums},
    progress::Progress,
};
use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

const BUFFER: usize = 256 << 10;

/// Why a compressed file gives no image.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Its content is to blame, or it cannot be read.
    #[error("{} cannot be unpacked", .path.display())]
    Unpack {
        /// The file.
        path: PathBuf,
        /// Why.
        source: UnpackError,
    },
    /// Somebody writes to it.
    #[error("{} changed while it was unpacked", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The cache cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl LocalError {
    /// Returns what to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unpack { source, .. } => hint(source),
            Self::Changed { .. } => "wait until it is complete",
            Self::File(error) => error.hint(),
        }
    }

    /// Returns whether the file is not what it should be.
    #[must_use]
    pub fn is_mismatch(&self) -> bool {
        matches!(self, Self::Unpack { source, .. } if source.is_data())
    }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> LocalError {
    let path = path.to_owned();
    |error| LocalError::Unpack { path, source: UnpackError::Read(error) }
}

fn hint(error: &UnpackError) -> &'static str {
    match error {
        UnpackError::Unsupported(_) => {
            "unpack it yourself and give the path of the raw image; \
             understood are raw, xz, gz, zst, zip"
        }
        UnpackError::Window { .. } => {
            "unpack it yourself (zstd -d --long=31) and give the path of the \
             raw image"
        }
        UnpackError::Members(_) | UnpackError::Memory { .. } => {
            "unpack it yourself and give the path of the raw image"
        }
        UnpackError::TooLarge { .. } | UnpackError::Bomb { .. } => {
            "no card holds such an image: find out what the file is"
        }
        UnpackError::Read(_) | UnpackError::Write(_) => "check the disk",
        _ => {
            "download or copy it again; if it stays so, it was damaged where \
             it came from"
        }
    }
}

impl Cache {
    /// Returns the raw image of a compressed file, which was opened at
    /// `path`: as it is in the cache, else unpacked into it. Of several runs
    /// that want the same, one does that and the others wait.
    ///
    /// # Errors
    ///
    /// See [`LocalError`]; nothing is left of a file that is wrong.
    pub fn unpacked(
        &self,
        path: &Path,
        file: &File,
        progress: &dyn Progress,
    ) -> Result<Cached, LocalError> {
        let read = || {
            let digest = Sha256::of_file(file, "hash base", progress);
            progress.finish();
            digest
        };
        let packed =
            self.digest_of(path, file, read).map_err(unreadable(path))?;
        if let Some(cached) = self.find_intact(packed, progress)? {
            return Ok(cached);
        }
        // A download of the same file has this key too.
        let key = format!("download-{packed}");
        let _lock = Lock::take(&self.dir, &key, progress)?;
        if let Some(cached) = self.find_unpacked(packed, progress)? {
            return Ok(cached);
        }
        let to = self.dir.join("partial").join(format!("{key}.img"));
        let image = create(&to)?;
        progress.start("unpack", file.metadata().map(|m| m.len()).ok());
        let unpacked = unpack_into(&image, path, file, packed, progress);
        match &unpacked {
            Ok(_) => progress.finish(),
            Err(_) => progress.fail(),
        }
        match unpacked {
            Ok((entry, sums)) => {
                self.keep(entry, packed, (image, sums), &to, progress)
            }
            Err(error) => {
                remove(&to).map_err(FileError::at("remove", &to))?;
                Err(match error {
                    LocalError::Unpack {
                        source: UnpackError::Write(error),
                        ..
                    } => FileError::new("write", to, error).into(),
                    error => error,
                })
            }
        }
    }

    /// Returns what a file with this digest was unpacked to, where it looks
    /// as it was.
    fn find_intact(
        &self,
        packed: Sha256,
        progress: &dyn Progress,
    ) -> Result<Option<Cached>, FileError> {
        let entries = self.list().unwrap_or_default().into_iter();
        for entry in entries.filter(|entry| entry.is_of(packed)) {
            if let Some((file, _)) = self.open_intact(&entry, progress)? {
                return Ok(Some(self.local(&entry, packed, file, true)));
            }
        }
        Ok(None)
    }

    /// The same, where it is as it was; what is damaged is removed. The
    /// caller has the lock.
    fn find_unpacked(
        &self,
        packed: Sha256,
        progress: &dyn Progress,
    ) -> Result<Option<Cached>, FileError> {
        let entries = self.list().unwrap_or_default();
        for mut entry in entries.into_iter().filter(|e| e.is_of(packed)) {
            if let Some(file) = self.open_entry(&mut entry, progress)? {
                return Ok(Some(self.local(&entry, packed, file, true)));
            }
            let path = self.image_path(entry.image_sha256);
            self.discard(entry.image_sha256)
                .map_err(FileError::at("remove", &path))?;
        }
        Ok(None)
    }

    /// Gives a new image its name. Where it is there already, as from a
    /// download, that one stays, with all that is proven of it.
    fn keep(
        &self,
        mut entry: Entry,
        packed: Sha256,
        (image, sums): (File, Sums),
        from: &Path,
        progress: &dyn Progress,
    ) -> Result<Cached, LocalError> {
        let entries = self.list().unwrap_or_default();
        let same = |known: &Entry| known.image_sha256 == entry.image_sha256;
        if let Some(mut known) = entries.into_iter().find(same)
            && let Some(file) = self.open_entry(&mut known, progress)?
        {
            remove(from).map_err(FileError::at("remove", from))?;
            known.copies.push(packed);
            let images = self.images();
            known.write(&images).map_err(FileError::at("write", &images))?;
            return Ok(self.local(&known, packed, file, false));
        }
        let image = publish(self, &mut entry, image, sums, from)?;
        Ok(self.local(&entry, packed, image, false))
    }

    fn local(
        &self,
        entry: &Entry,
        packed: Sha256,
        file: CheckedFile,
        hit: bool,
    ) -> Cached {
        Cached {
            file,
            path: self.image_path(entry.image_sha256),
            image_sha256: entry.image_sha256,
            download_sha256: packed,
            verified: Verification::None,
            unsigned: None,
            hit,
            summed: false,
        }
    }
}

/// Unpacks a file that had the digest `packed` a moment ago; returns what is
/// to be recorded of it, and the checksums of the image.
fn unpack_into(
    image: &File,
    path: &Path,
    file: &File,
    packed: Sha256,
    progress: &dyn Progress,
) -> Result<(Entry, Sums), LocalError> {
    let stamp = || {
        let found = file.metadata().map_err(unreadable(path))?;
        Ok::<_, LocalError>(Stamp::of(&found))
    };
    let before = stamp()?;
    let mut seen = Seen {
        inner: FromStart::of(file),
        hasher: Hasher::default(),
        size: 0,
        progress,
    };
    let input = BufReader::with_capacity(BUFFER, &mut seen);
    let unpacked =
        unpack(input, || file.try_clone(), image, &Limits::default());
    // Before its content is blamed: it may still be on its way here.
    if stamp()? != before {
        return Err(LocalError::Changed { path: path.to_owned() });
    }
    let unpacked = unpacked.map_err(|source| {
        let path = path.to_owned();
        LocalError::Unpack { path, source }
    })?;
    let Seen { hasher, size, .. } = seen;
    if hasher.finish() != packed {
        return Err(LocalError::Changed { path: path.to_owned() });
    }
    let from = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let sums = unpacked.sums;
    let entry = Entry {
        format: entry::FORMAT,
        url: from.display().to_string(),
        url_sha256: Sha256::of(from.as_os_str().as_bytes()),
        download_sha256: packed,
        copies: Vec::new(),
        download_size: size,
        compression: unpacked.format,
        image_sha256: unpacked.sha256,
        image_size: unpacked.size,
        fetched: entry::now(),
        verified: Verification::None,
        mtime: (0, 0),
    };
    Ok((entry, sums))
}

/// A reader that knows what was read.
struct Seen<'a, R> {
    inner: R,
    hasher: Hasher,
    size: u64,
    progress: &'a dyn Progress,
}

impl<R: Read> Read for Seen<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.hasher.update(buf.get(..read).unwrap_or_default());
        let more = u64::try_from(read).unwrap_or(u64::MAX);
        self.size = self.size.saturating_add(more);
        self.progress.advance(more);
        Ok(read)
    }
}
