//! Any disk image or card, opened to be looked at: raw or compressed, stock
//! or made, sound or not.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    facts::{Facts, FsKind, PartitionFacts, TableFacts},
    image::open_reader,
    probe::{ProbeError, probe_image, read_table},
    unpack::{Format, Limits, UnpackError, unpack},
};
use crate::{
    disk::{
        ImageFile, Overlay, ReadAt, Window,
        xz::{XzErrorKind, XzImage, XzLimits},
    },
    fs::{
        FsError, Reader,
        summary::{self, Summary},
        tree::{self, Tree, Volume},
    },
    progress::Progress,
};

/// In which form an image was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A block device.
    Device,
    /// A raw image in a file.
    Raw,
    /// An .xz file, of which only those blocks are unpacked that are read.
    Blocks,
    /// A compressed file that had to be unpacked as a whole.
    Unpacked(Format),
}

/// An opened image.
pub struct DiskImage {
    /// As it was named.
    pub path: PathBuf,
    /// In which form it was found.
    pub form: Form,
    /// Its partitions.
    pub table: TableFacts,
    // The ext4 reader wants something writable; nothing is written to it.
    overlay: Arc<Overlay>,
    volumes: Vec<Volume>,
}

/// Why an image cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be read.
    #[error("{} cannot be read", .path.display())]
    Io {
        /// The file or device.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory, pipe or the like.
    #[error("{} is neither a file nor a block device", .0.display())]
    Kind(PathBuf),
    /// It cannot be unpacked.
    #[error("{} cannot be unpacked", .path.display())]
    Unpack {
        /// The file.
        path: PathBuf,
        /// Why.
        source: UnpackError,
    },
    /// It has no partitions that could be looked at.
    #[error("{} is not a disk image", .path.display())]
    Table {
        /// The file or device.
        path: PathBuf,
        /// Why.
        source: Box<ProbeError>,
    },
}

impl DiskImage {
    /// Opens the image in a file or on a block device. What is compressed
    /// without an index goes to a temporary file without a name.
    pub fn open(
        path: &Path,
        progress: &dyn Progress,
    ) -> Result<Self, OpenError> {
        let (device, form) = open_device(path, progress)?;
        Self::new(path, form, device)
    }

    /// Takes an open device.
    pub fn new(
        path: &Path,
        form: Form,
        device: Arc<dyn ReadAt>,
    ) -> Result<Self, OpenError> {
        let overlay = Arc::new(Overlay::new(device));
        Self::of_overlay(path, form, overlay)
    }

    /// Takes a card that was made in memory.
    pub fn of_overlay(
        path: &Path,
        form: Form,
        overlay: Arc<Overlay>,
    ) -> Result<Self, OpenError> {
        let table = read_table(&overlay).map_err(|source| {
            let (path, source) = (path.to_owned(), Box::new(source));
            OpenError::Table { path, source }
        })?;
        let window = |p: &PartitionFacts| {
            Window::new(Arc::clone(&overlay), p.start, p.len)
        };
        let volumes = table.partitions.iter().map(window);
        let volumes = volumes.collect::<io::Result<_>>().map_err(|source| {
            OpenError::Io { path: path.to_owned(), source }
        })?;
        Ok(Self { path: path.to_owned(), form, table, overlay, volumes })
    }

    /// Returns all of it.
    #[must_use]
    pub fn device(&self) -> &dyn ReadAt {
        &self.overlay
    }

    /// Reads what system it is.
    pub fn facts(&self) -> Result<Facts, ProbeError> {
        probe_image(&self.overlay, &|kind, partition| {
            let window = Window::new(
                Arc::clone(&self.overlay),
                partition.start,
                partition.len,
            )?;
            open_reader(kind, window)
        })
    }

    /// Returns a partition by its number.
    #[must_use]
    pub fn partition(&self, number: u32) -> Option<&PartitionFacts> {
        self.table.partitions.iter().find(|p| p.number == number)
    }

    /// Returns the numbers of the boot and the root partition: those of the
    /// system, or else the first FAT and the last ext4.
    #[must_use]
    pub fn boot_and_root(&self) -> (Option<u32>, Option<u32>) {
        if let Ok(facts) = self.facts() {
            return (Some(facts.boot_partition), Some(facts.root_partition));
        }
        let of = |kind| {
            let all = self.table.partitions.iter();
            all.filter(move |p| p.volume.fs == Some(kind)).map(|p| p.number)
        };
        (of(FsKind::Fat).next(), of(FsKind::Ext4).next_back())
    }

    fn volume(&self, number: u32) -> Option<(FsKind, &Volume)> {
        let mut both = self.table.partitions.iter().zip(&self.volumes);
        let (facts, volume) = both.find(|(p, _)| p.number == number)?;
        Some((facts.volume.fs?, volume))
    }

    /// Opens the file system of a partition to read known paths.
    #[must_use]
    pub fn reader(
        &self,
        number: u32,
    ) -> Option<Result<Box<dyn Reader>, FsError>> {
        let (kind, volume) = self.volume(number)?;
        Some(open_reader(kind, volume.clone()))
    }

    /// Opens the file system of a partition; none where it has none that is
    /// known.
    pub fn tree(
        &self,
        number: u32,
    ) -> Option<Result<Box<dyn Tree + '_>, FsError>> {
        let (kind, volume) = self.volume(number)?;
        Some(match kind {
            FsKind::Fat => tree::fat(volume),
            FsKind::Ext4 => tree::ext4(volume),
        })
    }

    /// Reads what the file system of a partition says of itself.
    #[must_use]
    pub fn summary(&self, number: u32) -> Option<Result<Summary, FsError>> {
        let (kind, volume) = self.volume(number)?;
        Some(match kind {
            FsKind::Fat => summary::fat(volume),
            FsKind::Ext4 => summary::ext4(volume),
        })
    }

    /// Returns the ranges `(offset, len)` of a partition in bytes that
    /// belong to no file and to no table.
    #[must_use]
    pub fn unused(
        &self,
        number: u32,
    ) -> Option<Result<Vec<(u64, u64)>, FsError>> {
        let (kind, volume) = self.volume(number)?;
        Some(match kind {
            FsKind::Fat => tree::unused_fat(volume),
            FsKind::Ext4 => tree::unused_ext4(volume),
        })
    }
}

fn open_device(
    path: &Path,
    progress: &dyn Progress,
) -> Result<(Arc<dyn ReadAt>, Form), OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    // Asked before it is opened: opening a pipe would wait for ever.
    let kind = fs::metadata(path).map_err(io)?.file_type();
    if !kind.is_file() && !kind.is_block_device() {
        return Err(OpenError::Kind(path.to_owned()));
    }
    let mut file = File::open(path).map_err(io)?;
    if kind.is_block_device() {
        let device = ImageFile::new(file).map_err(io)?;
        return Ok((Arc::new(device), Form::Device));
    }
    let mut magic = Vec::new();
    (&mut file).take(8).read_to_end(&mut magic).map_err(io)?;
    // What is of no known format is left to the partition table.
    let format = Format::of(&magic).unwrap_or(Format::Raw);
    if format == Format::Raw {
        let device = ImageFile::new(file).map_err(io)?;
        return Ok((Arc::new(device), Form::Raw));
    }
    if format == Format::Xz {
        let packed = ImageFile::new(file).map_err(io)?;
        match XzImage::open(Arc::new(packed), XzLimits::default()) {
            Ok(image) => return Ok((Arc::new(image), Form::Blocks)),
            // One block is all of the image: as with any other format.
            Err(error)
                if matches!(error.kind, XzErrorKind::TooLarge { .. }) => {}
            Err(error) => return Err(io(error.into())),
        }
    }
    let unpacked = unpack_whole(path, progress)?;
    let device = ImageFile::new(unpacked).map_err(io)?;
    Ok((Arc::new(device), Form::Unpacked(format)))
}

/// Unpacks a file into one that nobody else sees.
fn unpack_whole(
    path: &Path,
    progress: &dyn Progress,
) -> Result<File, OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    let out = tempfile::tempfile().map_err(io)?;
    let file = File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    progress.start("unpack", Some(size));
    let input = BufReader::new(Counted { file, progress });
    unpack(input, || File::open(path), &out, &Limits::default()).map_err(
        |source| OpenError::Unpack { path: path.to_owned(), source },
    )?;
    progress.finish();
    Ok(out)
}

struct Counted<'p> {
    file: File,
    progress: &'p dyn Progress,
}

impl Read for Counted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buf)?;
        self.progress.advance(u64::try_from(read).unwrap_or(0));
        Ok(read)
    }
}
