use crate::{
    base::facts::{Architecture, FsKind},
    disk::TableError,
    fs::FsError,
};
use std::{fmt, io};

/// Why an image could not be understood.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No FAT partition holds `config.txt` or `cmdline.txt`.
    #[error(
        "no boot partition: none of the {fat} FAT partitions holds \
         config.txt or cmdline.txt"
    )]
    NoBoot {
        /// How many FAT partitions there are.
        fat: usize,
    },
    /// More than one partition could be the boot partition.
    #[error("partitions {0} and {1} both hold the firmware's config.txt")]
    TwoBoots(u32, u32),
    /// No ext4 partition holds an installed system.
    #[error(
        "no root partition: none of the {ext4} ext4 partitions holds \
         etc/os-release and an init{}",
        besides(foreign)
    )]
    NoRoot {
        /// How many ext4 partitions there are.
        ext4: usize,
        /// Partitions that hold something else: number and what.
        foreign: Vec<(u32, &'static str)>,
    },
    /// More than one partition could be the root partition.
    #[error("partitions {0} and {1} both hold an installed system")]
    TwoRoots(u32, u32),
    /// A file without which an image cannot be understood is missing.
    #[error("{0}: no such file")]
    Missing(Place),
    /// A file is far larger than it can sensibly be.
    #[error("{place}: {size} bytes, more than the {limit} expected")]
    TooLarge {
        /// The file.
        place: Place,
        /// Its size in bytes.
        size: u64,
        /// The most that is read.
        limit: u64,
    },
    /// A file does not hold what its name promises.
    #[error("{place}: {what}")]
    Malformed {
        /// The file.
        place: Place,
        /// What is wrong with it.
        what: String,
    },
    /// Symbolic links lead in a circle.
    #[error("{0}: too many levels of symbolic links")]
    LinkLoop(Place),
    /// Programs are for one architecture, the package database for another.
    #[error(
        "{program} is a program for {elf}, but {source_file} says that the \
         system is {dpkg}"
    )]
    ArchitectureMismatch {
        /// Program that was looked at.
        program: String,
        /// What its header says.
        elf: Architecture,
        /// The file that contradicts it.
        source_file: &'static str,
        /// What that says.
        dpkg: String,
    },
    /// No program was found whose header names the architecture.
    #[error("no program to tell the architecture by: {0}")]
    NoArchitecture(String),
    /// Neither fstab nor a directory says where the FAT is mounted.
    #[error(
        "{0}: names no mount point for the boot partition, and there is \
         neither /boot/firmware nor /boot"
    )]
    NoBootMount(Place),
    /// A file system could not be read.
    #[error("reading the {partition} partition failed")]
    Fs {
        /// Which.
        partition: &'static str,
        /// What went wrong, and at which path.
        #[source]
        source: FsError,
    },
    /// The partition table could not be read.
    #[error("reading the partition table failed")]
    Table(#[source] TableError),
    /// A file system could not be opened.
    #[error("opening partition {number} ({kind}) failed")]
    Open {
        /// The partition's number.
        number: u32,
        /// What it looked like.
        kind: FsKind,
        /// Why not.
        #[source]
        source: FsError,
    },
    /// The image could not be read.
    #[error("reading the image failed")]
    Io(#[source] io::Error),
}

/// Says what else there is, as the end of a sentence.
fn besides(foreign: &[(u32, &'static str)]) -> String {
    foreign
        .iter()
        .map(|(number, what)| {
            format!("; partition {number} holds {what}, not ext4")
        })
        .collect()
}

/// A path on one of the two partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `boot` or `root`.
    pub partition: &'static str,
    /// Absolute path in it.
    pub path: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on the {} partition", self.path, self.partition)
    }
}
