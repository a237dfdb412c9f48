//! What contradicts itself in a file system: where, what was found there,
//! and what belongs there.

use std::fmt;

use super::FsErrorKind;

/// A structure of a file system. Groups are counted from 0, inodes from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Structure {
    /// The file system as a whole.
    FileSystem,
    /// The superblock of an ext4.
    Superblock,
    /// The descriptor of a block group.
    GroupDescriptor(u32),
    /// The block bitmap of a block group.
    BlockBitmap(u32),
    /// The inode bitmap of a block group.
    InodeBitmap(u32),
    /// A block, by its number.
    Block(u64),
    /// An inode.
    Inode(u32),
    /// The extents or the block map of an inode.
    BlockMap(u32),
    /// The extended attributes of an inode.
    Attributes(u32),
    /// The entries of the directory with this inode.
    Directory(u32),
    /// One block of a directory, or of its index.
    DirectoryBlock {
        /// The directory's inode.
        inode: u32,
        /// Counted from its first block, 0.
        block: u64,
    },
    /// The superblock of the journal.
    Journal,
    /// The orphan file.
    OrphanFile,
    /// The first sector of a FAT file system.
    BootSector,
    /// The table of clusters of a FAT file system.
    ClusterTable,
    /// A cluster of a FAT file system.
    Cluster(u32),
    /// An entry of a directory, which the path names.
    Entry,
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileSystem => f.write_str("file system"),
            Self::Superblock => f.write_str("superblock"),
            Self::GroupDescriptor(group) => {
                write!(f, "descriptor of block group {group}")
            }
            Self::BlockBitmap(group) => {
                write!(f, "block bitmap of group {group}")
            }
            Self::InodeBitmap(group) => {
                write!(f, "inode bitmap of group {group}")
            }
            Self::Block(block) => write!(f, "block {block}"),
            Self::Inode(ino) => write!(f, "inode {ino}"),
            Self::BlockMap(ino) => write!(f, "block map of inode {ino}"),
            Self::Attributes(ino) => write!(f, "attributes of inode {ino}"),
            Self::Directory(ino) => write!(f, "directory {ino}"),
            Self::DirectoryBlock { inode, block } => {
                write!(f, "block {block} of directory {inode}")
            }
            Self::Journal => f.write_str("superblock of the journal"),
            Self::OrphanFile => f.write_str("orphan file"),
            Self::BootSector => f.write_str("boot sector"),
            Self::ClusterTable => f.write_str("cluster table"),
            Self::Cluster(cluster) => write!(f, "cluster {cluster}"),
            Self::Entry => f.write_str("directory entry"),
        }
    }
}

/// In what way a structure is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its checksum is another one.
    Checksum {
        /// The checksum that is stored.
        found: u32,
        /// That of the bytes.
        expected: u32,
    },
    /// A field holds what it cannot.
    Field {
        /// The field, as the format's documentation calls it.
        name: &'static str,
        /// Its value.
        found: u64,
        /// The value that belongs there, or what it must be.
        expected: String,
    },
    /// It breaks a rule that is not about one field.
    Rule(String),
}

/// A structure that contradicts itself or another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// Which structure.
    pub structure: Structure,
    /// What is wrong with it.
    pub fault: Fault,
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { structure, fault } = self;
        match fault {
            Fault::Checksum { found, expected } => write!(
                f,
                "checksum of the {structure}: {found:#x}, where {expected:#x} \
                 belongs"
            ),
            Fault::Field { name, found, expected } => write!(
                f,
                "{structure}: {name} is {found}, where {expected} belongs"
            ),
            Fault::Rule(what) => write!(f, "{structure}: {what}"),
        }
    }
}

impl From<Corruption> for FsErrorKind {
    fn from(corruption: Corruption) -> Self {
        Self::Corrupt(corruption)
    }
}

impl Structure {
    /// The error for a checksum that is not that of the bytes.
    pub(super) fn checksum(
        self,
        found: impl Into<u32>,
        expected: impl Into<u32>,
    ) -> FsErrorKind {
        let (found, expected) = (found.into(), expected.into());
        self.with(Fault::Checksum { found, expected })
    }

    /// The error for a field with a wrong value.
    pub(super) fn field(
        self,
        name: &'static str,
        found: impl Into<u64>,
        expected: impl fmt::Display,
    ) -> FsErrorKind {
        let (found, expected) = (found.into(), expected.to_string());
        self.with(Fault::Field { name, found, expected })
    }

    /// The error for a broken rule.
    pub(super) fn rule(self, what: impl Into<String>) -> FsErrorKind {
        self.with(Fault::Rule(what.into()))
    }

    fn with(self, fault: Fault) -> FsErrorKind {
        FsErrorKind::Corrupt(Corruption { structure: self, fault })
    }
}
