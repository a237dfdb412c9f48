//! A base image: opened, its partitions found, its facts read.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    demo::{self, DemoError},
    facts::{Facts, FsKind, PartitionFacts, TableFacts, TableKind},
    probe::{ProbeError, identify, probe_volumes},
};
use crate::{
    disk::{
        self, ImageFile, Overlay, Partition, PartitionTable, ReadAt,
        TableError, Window,
    },
    fs::{Fat, FsError, Reader, ext4_view::Ext4View},
};

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
    boot: Partition,
    root: Partition,
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
    /// No usable partition table.
    #[error("{} has no usable partition table", .path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TableError,
    },
    /// A file system cannot be read.
    #[error("{}: partition {number} cannot be read", .path.display())]
    FileSystem {
        /// The file.
        path: PathBuf,
        /// The partition.
        number: u32,
        /// Why.
        source: FsError,
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
        let table = PartitionTable::read(&device).map_err(|source| {
            ImageError::Table { path: path.clone(), source }
        })?;
        let device = Arc::new(device);
        let facts = facts_of(&device, &table, &path)?;
        let partition = |number| table.partition(number).cloned();
        match (partition(facts.boot_partition), partition(facts.root_partition))
        {
            (Some(boot), Some(root)) => {
                Ok(Self { name, source, facts, device, boot, root })
            }
            _ => unreachable!("facts name partitions of the table"),
        }
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

    /// Returns the FAT partition that the firmware reads.
    #[must_use]
    pub fn boot(&self) -> &Partition {
        &self.boot
    }

    /// Returns the ext4 root partition.
    #[must_use]
    pub fn root(&self) -> &Partition {
        &self.root
    }
}

fn facts_of(
    device: &Arc<ImageFile>,
    table: &PartitionTable,
    path: &Path,
) -> Result<Facts, ImageError> {
    let io = |source| ImageError::Io { path: path.to_owned(), source };
    let mut known = TableFacts {
        kind: match table.kind {
            disk::TableKind::Mbr => TableKind::Mbr,
            disk::TableKind::Gpt => TableKind::Gpt,
        },
        disk_id: table.disk_id.clone(),
        partitions: Vec::new(),
    };
    // The FAT editor wants something writable; nothing is written to it.
    let overlay = Arc::new(Overlay::new(Arc::<ImageFile>::clone(device)));
    let mut readers: Vec<(u32, Box<dyn Reader>)> = Vec::new();
    for partition in &table.partitions {
        let window = partition.window(Arc::clone(&overlay)).map_err(io)?;
        let volume = identify(&window).map_err(io)?;
        let reader = match volume.fs {
            Some(kind) => {
                Some(open_reader(kind, window).map_err(|source| {
                    let (path, number) = (path.to_owned(), partition.number);
                    ImageError::FileSystem { path, number, source }
                })?)
            }
            None => None,
        };
        readers.extend(reader.map(|reader| (partition.number, reader)));
        known.partitions.push(PartitionFacts {
            number: partition.number,
            start: partition.start,
            len: partition.len,
            type_id: partition.kind.to_string(),
            volume,
        });
    }
    let volumes: Vec<(u32, &dyn Reader)> =
        readers.iter().map(|(number, reader)| (*number, &**reader)).collect();
    probe_volumes(&volumes, &known).map_err(|source| ImageError::Probe {
        path: path.to_owned(),
        source: Box::new(source),
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
