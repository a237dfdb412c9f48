//! A base image: opened, its partitions found, its facts read.

use std::{
    cell::OnceCell,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    cache::{Cache, Cached},
    demo::{self, DemoError},
    digest::Sha256,
    facts::{Facts, FsKind},
    lock::LockedImage,
    probe::{ProbeError, probe_image},
    signature::Verification,
    unpack::Format,
};
use crate::{
    disk::{Cursor, ImageFile, Overlay, ReadAt, Window},
    fs::{Fat, FsError, Reader, ext4_view::Ext4View},
    progress::Progress,
};

/// Where a base image came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The tiny image inside the program. It does not boot.
    Demo,
    /// A raw image in a file of the user's.
    File(PathBuf),
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
    device: Arc<ImageFile>,
    digest: OnceCell<Sha256>,
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
    /// The file is compressed.
    #[error("{} is compressed ({format})", .path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: Format,
        /// The command that unpacks it.
        command: &'static str,
    },
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
        Self::new("demo", Origin::Demo, file, Path::new("demo"))
    }

    /// Opens a raw image in a file.
    pub fn local(path: &Path) -> Result<Self, ImageError> {
        let file = open_raw(path)?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        let origin = Origin::File(path.to_owned());
        Self::new(&name.to_string_lossy(), origin, file, path)
    }

    /// Opens an image out of the cache.
    pub fn cached(name: &str, cached: Cached) -> Result<Self, ImageError> {
        let origin = Origin::Download {
            sha256: cached.download_sha256,
            verified: cached.verified,
        };
        let image = Self::new(name, origin, cached.file, &cached.path)?;
        // Known, so it need not be read again.
        let _ = image.digest.set(cached.image_sha256);
        Ok(image)
    }

    /// Reads what it is.
    fn new(
        name: &str,
        origin: Origin,
        file: File,
        path: &Path,
    ) -> Result<Self, ImageError> {
        let device = ImageFile::new(file).map_err(|source| {
            let path = path.to_owned();
            ImageError::Io { path, source }
        })?;
        let device = Arc::new(device);
        let facts = facts_of(&device).map_err(|source| {
            let (path, source) = (path.to_owned(), Box::new(source));
            ImageError::Probe { path, source }
        })?;
        let (name, digest) = (name.to_owned(), OnceCell::new());
        Ok(Self { name, origin, facts, device, digest })
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
            progress.start("hash base", Some(size));
            let reader = Cursor::new(&self.device);
            let digest = Sha256::of_reader(reader, |read| {
                progress.advance(u64::try_from(read).unwrap_or(0));
            })?;
            progress.finish();
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
            Origin::Download { sha256, .. } => Some(sha256),
            Origin::Demo | Origin::File(_) => None,
        };
        let name = self.name.clone();
        Ok(LockedImage { name, size, sha256, download_sha256 })
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

fn facts_of(device: &Arc<ImageFile>) -> Result<Facts, ProbeError> {
    // The FAT editor wants something writable; nothing is written to it.
    let overlay = Arc::new(Overlay::new(Arc::<ImageFile>::clone(device)));
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
        FsKind::Ext4 => Box::new(Ext4View::open(Arc::new(window))?),
    })
}

/// Returns what unpacks a format, by hand.
fn unpacker(format: Format) -> Option<&'static str> {
    match format {
        Format::Raw => None,
        Format::Xz => Some("xz -dk"),
        Format::Gz => Some("gunzip -k"),
        Format::Zst => Some("zstd -d"),
        Format::Zip => Some("unzip"),
    }
}

fn open_raw(path: &Path) -> Result<File, ImageError> {
    let error = |source| ImageError::Io { path: path.to_owned(), source };
    // Opening a FIFO would wait for ever, and a device has no end.
    if !fs::metadata(path).map_err(error)?.is_file() {
        return Err(error(io::Error::other("it is not a regular file")));
    }
    let mut file = File::open(path).map_err(error)?;
    let mut magic = Vec::new();
    (&mut file).take(8).read_to_end(&mut magic).map_err(error)?;
    // What is of no known format is left to the partition table.
    let format = Format::of(&magic).unwrap_or(Format::Raw);
    if let Some(command) = unpacker(format) {
        let path = path.to_owned();
        return Err(ImageError::Compressed { path, format, command });
    }
    Ok(file)
}
