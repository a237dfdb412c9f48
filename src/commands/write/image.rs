//! Images in files, and which parts of an image matter.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    base::{
        facts::FsKind,
        probe::identify,
        unpack::{Format, Limits, unpack_to},
    },
    commands::error::{CommandError, Result},
    disk::{
        ImageFile, Overlay, Partition, PartitionTable, ReadAt, Window,
        xz::{XzImage, XzLimits},
    },
    fs::{
        Fat, FsError, Range,
        ext4::{EditOptions, Ext4},
    },
    sink::device::{Runs, Source},
    ui::Report,
};

/// How much of a compressed file is read at once, in bytes.
const READ: usize = 1 << 20;

/// An image in a file, compressed or not.
pub(super) struct ImageFileSource {
    path: PathBuf,
    format: Format,
    /// The image, where it can be read at any place. What is packed is still
    /// unpacked in one go: that takes all processors.
    disk: Option<Arc<dyn ReadAt>>,
}

impl ImageFileSource {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            let what = format!("cannot read {}", path.display());
            let mut this = CommandError::failed(what, error);
            this.kind = crate::commands::error::Kind::Usage;
            this
        };
        let is_file = fs::metadata(path).map_err(|e| failed(&e))?.is_file();
        if !is_file {
            let error = io::Error::other("it is not a regular file");
            return Err(failed(&error));
        }
        let file = File::open(path).map_err(|e| failed(&e))?;
        let mut head = Vec::new();
        let mut start = (&file).take(512);
        start.read_to_end(&mut head).map_err(|e| failed(&e))?;
        let format = Format::of(&head).map_err(|e| failed(&e))?;
        let file = ImageFile::new(file).map_err(|e| failed(&e))?;
        let file: Arc<dyn ReadAt> = Arc::new(file);
        let disk = match format {
            Format::Raw => Some(file),
            // One that cannot be read block by block is unpacked all the
            // same.
            Format::Xz => XzImage::open(file, XzLimits::default())
                .ok()
                .map(|image| -> Arc<dyn ReadAt> { Arc::new(image) }),
            Format::Gz | Format::Zst | Format::Zip => None,
        };
        if let (Format::Raw, Some(disk)) = (format, &disk) {
            check_raw(path, &**disk)?;
        }
        Ok(Self { path: path.to_owned(), format, disk })
    }

    /// Returns the size of the image in bytes, where it is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.disk.as_ref().map(|disk| disk.size())
    }

    /// Returns the ranges that matter, where that can be known.
    pub(super) fn needed(&self) -> Option<Runs> {
        needed(self.disk.as_ref()?)
    }

    pub(super) fn source(&self) -> Source<'_> {
        match &self.disk {
            Some(disk) if self.format == Format::Raw => Source::Disk(&**disk),
            _ => Source::Stream {
                size: self.size(),
                read: Box::new(|receive| {
                    let open = || File::open(&self.path);
                    let input = BufReader::with_capacity(READ, open()?);
                    let limits = Limits::default();
                    let take = |_, bytes: &[u8]| receive(bytes);
                    unpack_to(input, open, take, &limits)?;
                    Ok(())
                }),
            },
        }
    }
}

/// Refuses what is no disk: any file has bytes.
fn check_raw(path: &Path, disk: &dyn ReadAt) -> Result<()> {
    PartitionTable::read(disk).map(drop).map_err(|error| {
        let what = format!("{} is not an image of a disk", path.display());
        CommandError::new(
            crate::commands::error::Kind::Usage,
            Report::new(what).because(&error),
        )
    })
}

/// Returns the ranges of an image that matter: all but the free blocks and
/// clusters of its file systems. `None` where the partition table cannot be
/// read; a file system that cannot matters as a whole.
pub(super) fn needed(disk: &Arc<dyn ReadAt>) -> Option<Runs> {
    let table = PartitionTable::read(&**disk).ok()?;
    // The editors want something writable; nothing is written to it.
    let overlay = Arc::new(Overlay::new(Arc::clone(disk)));
    let partitions = table.partitions.iter().filter(|p| !p.is_extended());
    let free = partitions.flat_map(|partition| {
        let free = free(&overlay, partition).unwrap_or_default();
        let moved =
            move |(at, len): Range| (partition.start.saturating_add(at), len);
        free.into_iter().map(moved)
    });
    Some(Runs::new(free).gaps(disk.size()))
}

fn free(
    overlay: &Arc<Overlay>,
    partition: &Partition,
) -> std::result::Result<Vec<Range>, FsError> {
    let window: Window<Arc<Overlay>> = partition.window(Arc::clone(overlay))?;
    match identify(&window)?.fs {
        Some(FsKind::Fat) => Fat::open(window, 0)?.free_ranges(),
        Some(FsKind::Ext4) => {
            let options = EditOptions { now: 0, seed: 0 };
            Ext4::open(&window, options)?.free_ranges()
        }
        None => Ok(Vec::new()),
    }
}
