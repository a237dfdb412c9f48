//! A base image: opened, its partitions found, its facts read.

mod unchanged;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use super::{
    cache::{Cache, Cached, LocalError},
    demo::{self, DemoError},
    digest::Sha256,
    facts::{Facts, FsKind},
    lock::LockedImage,
    probe::{ProbeError, probe_image},
    signature::Verification,
    unpack::Format,
};
use crate::{
    disk::{CheckedFile, Overlay, ReadAt, Window},
    fs::{Ext4Reader, Fat, FsError, Reader},
    progress::Progress,
};
use unchanged::Stamp;

/// Where a base image came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The tiny image inside the program. It does not boot.
    Demo,
    /// A raw image in a file of the user's.
    File(PathBuf),
    /// A compressed image in a file of the user's, unpacked in the cache.
    Packed {
        /// The file.
        path: PathBuf,
        /// Its digest.
        sha256: Sha256,
    },
    /// A download in the cache.
    Download {
        /// Digest of the file as it was downloaded.
        sha256: Sha256,
        /// What that proves.
        verified: Verification,
    },
}

/// A base image, never written.
#[derive(Debug)]
pub struct Image {
    /// `demo`, a catalogue's id, or the file's name.
    pub name: String,
    /// Where it came from.
    pub origin: Origin,
    /// What it is.
    pub facts: Facts,
    device: Arc<CheckedFile>,
    stamp: Stamp,
    digest: OnceLock<Sha256>,
    /// Whether all of it was read in this run; held while it is read.
    read: Mutex<bool>,
}

/// Why an image cannot be a base.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file cannot be read.
    #[error("{} cannot be read", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The built-in image cannot be unpacked.
    #[error("the demo image cannot be unpacked")]
    Demo(#[source] DemoError),
    /// The file is compressed, and there is no cache to unpack it to.
    #[error(
        "{} is compressed ({format}), and there is no cache to unpack it to",
        .path.display()
    )]
    NoCache {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: Format,
    },
    /// The file is compressed, and cannot be unpacked.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// It is a disk, but not a system that piflash knows.
    #[error("{} is not an image that piflash can use", .path.display())]
    Probe {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<ProbeError>,
    },
}

impl Image {
    /// Opens the image that is part of the program.
    pub fn demo() -> Result<Self, ImageError> {
        let file =
            demo::unpack(&std::env::temp_dir()).map_err(ImageError::Demo)?;
        let path = Path::new("demo");
        Self::unchecked("demo", Origin::Demo, file, path)
    }

    /// Opens an image in a file of the user's; a compressed one is unpacked
    /// into `cache`, once.
    pub fn local(
        path: &Path,
        cache: Option<&Cache>,
        progress: &dyn Progress,
    ) -> Result<Self, ImageError> {
        let (file, format) = open(path)?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        let name = name.to_string_lossy();
        if format == Format::Raw {
            let origin = Origin::File(path.to_owned());
            return Self::unchecked(&name, origin, file, path);
        }
        let cache = cache.ok_or_else(|| {
            let path = path.to_owned();
            ImageError::NoCache { path, format }
        })?;
        let cached = cache.unpacked(path, &file, progress)?;
        let (path_owned, sha256) = (path.to_owned(), cached.download_sha256);
        let origin = Origin::Packed { path: path_owned, sha256 };
        Self::of_cache(&name, origin, cached, path)
    }

    /// Opens an image out of the cache.
    pub fn cached(name: &str, cached: Cached) -> Result<Self, ImageError> {
        let origin = Origin::Download {
            sha256: cached.download_sha256,
            verified: cached.verified.clone(),
        };
        let path = cached.path.clone();
        Self::of_cache(name, origin, cached, &path)
    }

    fn of_cache(
        name: &str,
        origin: Origin,
        cached: Cached,
        path: &Path,
    ) -> Result<Self, ImageError> {
        let image = Self::new(name, origin, cached.file, path)?;
        // Known, so it need not be read again.
        let _ = image.digest.set(cached.image_sha256);
        Ok(image)
    }

    /// Takes a file without checksums: the user's own.
    fn unchecked(
        name: &str,
        origin: Origin,
        file: File,
        path: &Path,
    ) -> Result<Self, ImageError> {
        let file = CheckedFile::new(file, path, None).map_err(|source| {
            let path = path.to_owned();
            ImageError::Io { path, source }
        })?;
        Self::new(name, origin, file, path)
    }

    /// Reads what it is.
    fn new(
        name: &str,
        origin: Origin,
        device: CheckedFile,
        path: &Path,
    ) -> Result<Self, ImageError> {
        let io = |source| {
            let path = path.to_owned();
            ImageError::Io { path, source }
        };
        let stamp = Stamp::of(&device.file().metadata().map_err(io)?);
        let device = Arc::new(device);
        let facts = facts_of(&device);
        // Whatever was made of it.
        if let Some(damaged) = device.damage() {
            let kind = io::ErrorKind::InvalidData;
            return Err(io(io::Error::new(kind, damaged.clone())));
        }
        let facts = facts.map_err(|source| {
            let (path, source) = (path.to_owned(), Box::new(source));
            ImageError::Probe { path, source }
        })?;
        let (name, digest) = (name.to_owned(), OnceLock::new());
        let read = Mutex::default();
        Ok(Self { name, origin, facts, device, stamp, digest, read })
    }

    /// Returns what identifies it in a lock. Reads all of it, once, unless
    /// the cache knows its digest.
    pub fn locked(
        &self,
        cache: Option<&Cache>,
        progress: &dyn Progress,
    ) -> io::Result<LockedImage> {
        let size = self.device.size();
        let read = || {
            let digest = Sha256::of_file(self.file(), "hash base", progress)?;
            progress.finish();
            *self.read.lock().unwrap_or_else(PoisonError::into_inner) = true;
            Ok(digest)
        };
        let sha256 = match (self.digest.get(), cache, &self.origin) {
            (Some(digest), ..) => *digest,
            (None, Some(cache), Origin::File(path)) => {
                cache.digest_of(path, self.file(), read)?
            }
            (None, ..) => read()?,
        };
        self.digest.get_or_init(|| sha256);
        let download_sha256 = match self.origin {
            Origin::Download { sha256, .. } | Origin::Packed { sha256, .. } => {
                Some(sha256)
            }
            Origin::Demo | Origin::File(_) => None,
        };
        let name = self.name.clone();
        Ok(LockedImage { name, size, sha256, download_sha256 })
    }

    /// Returns whether what is read of [`device`](Self::device) is compared
    /// with checksums.
    #[must_use]
    pub fn is_checked(&self) -> bool {
        self.device.is_checked()
    }

    /// Returns the whole disk.
    #[must_use]
    pub fn device(&self) -> Arc<dyn ReadAt> {
        self.device.clone()
    }

    /// Returns the file, for reflinks.
    #[must_use]
    pub fn file(&self) -> &File {
        self.device.file()
    }

    /// Returns the FAT partition that the firmware reads, seen through
    /// `disk`: this image or an overlay of it.
    pub fn boot<D: ReadAt>(&self, disk: D) -> io::Result<Window<D>> {
        self.window(disk, self.facts.boot_partition)
    }

    /// Returns the ext4 root partition, seen through `disk`.
    pub fn root<D: ReadAt>(&self, disk: D) -> io::Result<Window<D>> {
        self.window(disk, self.facts.root_partition)
    }

    fn window<D: ReadAt>(&self, disk: D, number: u32) -> io::Result<Window<D>> {
        let partitions = &self.facts.table.partitions;
        let partition = partitions
            .iter()
            .find(|partition| partition.number == number)
            .ok_or(io::ErrorKind::NotFound)?;
        Window::new(disk, partition.start, partition.len)
    }
}

fn facts_of(device: &Arc<CheckedFile>) -> Result<Facts, ProbeError> {
    // The FAT editor wants something writable; nothing is written to it.
    let overlay = Arc::new(Overlay::new(Arc::<CheckedFile>::clone(device)));
    probe_image(device.as_ref(), &|kind, partition| {
        let window =
            Window::new(Arc::clone(&overlay), partition.start, partition.len)?;
        open_reader(kind, window)
    })
}

pub(super) fn open_reader(
    kind: FsKind,
    window: Window<Arc<Overlay>>,
) -> Result<Box<dyn Reader>, FsError> {
    Ok(match kind {
        FsKind::Fat => Box::new(Fat::open(window, 0)?),
        FsKind::Ext4 => Box::new(Ext4Reader::open(window)?),
    })
}

/// Opens a file and looks how it is compressed.
fn open(path: &Path) -> Result<(File, Format), ImageError> {
    let error = |source| ImageError::Io { path: path.to_owned(), source };
    // Opening a FIFO would wait for ever, and a device has no end.
    if !fs::metadata(path).map_err(error)?.is_file() {
        return Err(error(io::Error::other("it is not a regular file")));
    }
    let file = File::open(path).map_err(error)?;
    let format = Format::of_file(&file).map_err(|source| {
        let path = path.to_owned();
        LocalError::Unpack { path, source }
    })?;
    Ok((file, format))
}
