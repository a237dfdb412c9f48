//! A base image: opened, its partitions found, its facts read.

use std::{
    cell::OnceCell,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::{
    demo::{self, DemoError},
    facts::{Facts, FsKind},
    lock::LockedImage,
    probe::{ProbeError, probe_image},
};
use crate::{
    disk::{ImageFile, Overlay, ReadAt, Window},
    fs::{Fat, FsError, Reader, ext4_view::Ext4View},
    progress::Progress,
};

const CHUNK: usize = 1 << 20;

/// How a base image is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageSource {
    /// The tiny image inside the program. It does not boot.
    Demo,
    /// A raw image in a file.
    File(PathBuf),
}

impl ImageSource {
    /// Understands `demo` and paths; a relative path begins at `folder`.
    #[must_use]
    pub fn parse(text: &str, folder: &Path) -> Self {
        match text {
            "demo" => Self::Demo,
            path => Self::File(folder.join(path)),
        }
    }
}

/// A base image, never written.
#[derive(Debug)]
pub struct Image {
    /// `demo`, or the file's name.
    pub name: String,
    /// Where it came from.
    pub source: ImageSource,
    /// What it is.
    pub facts: Facts,
    device: Arc<ImageFile>,
    digest: OnceCell<String>,
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
        /// As `xz`.
        format: &'static str,
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
    /// Opens an image and reads what it is.
    pub fn open(source: ImageSource) -> Result<Self, ImageError> {
        let (name, path, file) = match &source {
            ImageSource::Demo => {
                let file = demo::unpack(&std::env::temp_dir())
                    .map_err(ImageError::Demo)?;
                ("demo".to_owned(), PathBuf::from("demo"), file)
            }
            ImageSource::File(path) => {
                let file = open_raw(path)?;
                let name = path.file_name().unwrap_or(path.as_os_str());
                (name.to_string_lossy().into_owned(), path.clone(), file)
            }
        };
        let device = ImageFile::new(file)
            .map_err(|source| ImageError::Io { path: path.clone(), source })?;
        let device = Arc::new(device);
        let facts = facts_of(&device).map_err(|source| ImageError::Probe {
            path,
            source: Box::new(source),
        })?;
        let digest = OnceCell::new();
        Ok(Self { name, source, facts, device, digest })
    }

    /// Returns what identifies it in a lock. Reads all of it, once.
    pub fn locked(&self, progress: &dyn Progress) -> io::Result<LockedImage> {
        let size = self.device.size();
        let sha256 = match self.digest.get() {
            Some(digest) => digest.clone(),
            None => {
                let digest = sha256(&*self.device, progress)?;
                self.digest.get_or_init(|| digest).clone()
            }
        };
        Ok(LockedImage { name: self.name.clone(), size, sha256 })
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

fn sha256(device: &dyn ReadAt, progress: &dyn Progress) -> io::Result<String> {
    progress.start("hash base", Some(device.size()));
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut offset = 0_u64;
    while let Some(rest @ 1..) = device.size().checked_sub(offset) {
        let len = usize::try_from(rest).unwrap_or(CHUNK).min(CHUNK);
        let part = buffer.get_mut(..len).unwrap_or_default();
        device.read_at(offset, part)?;
        hash.update(&*part);
        let done = u64::try_from(len).unwrap_or(rest);
        progress.advance(done);
        offset = offset.saturating_add(done);
    }
    progress.finish();
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
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

fn open_reader(
    kind: FsKind,
    window: Window<Arc<Overlay>>,
) -> Result<Box<dyn Reader>, FsError> {
    Ok(match kind {
        FsKind::Fat => Box::new(Fat::open(window, 0)?),
        FsKind::Ext4 => Box::new(Ext4View::open(Arc::new(window))?),
    })
}

/// Compressed formats by their first bytes, and what unpacks them.
const COMPRESSED: &[(&[u8], &str, &str)] = &[
    (b"\xfd7zXZ\0", "xz", "xz -dk"),
    (b"\x1f\x8b", "gzip", "gunzip -k"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -d"),
    (b"PK\x03\x04", "zip", "unzip"),
];

fn open_raw(path: &Path) -> Result<File, ImageError> {
    let error = |source| ImageError::Io { path: path.to_owned(), source };
    // Opening a FIFO would wait for ever, and a device has no end.
    if !fs::metadata(path).map_err(error)?.is_file() {
        return Err(error(io::Error::other("it is not a regular file")));
    }
    let mut file = File::open(path).map_err(error)?;
    let mut magic = Vec::new();
    (&mut file).take(8).read_to_end(&mut magic).map_err(error)?;
    for (bytes, format, command) in COMPRESSED {
        if magic.starts_with(bytes) {
            let path = path.to_owned();
            return Err(ImageError::Compressed { path, format, command });
        }
    }
    Ok(file)
}
