//! What a file system says of itself, whether it can be edited or not.

use super::FsError;
use crate::disk::ReadAt;

/// What a file system says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// `ext4`, or `ext2` and `ext3` by their features; `FAT12`, `FAT16`,
    /// `FAT32`.
    pub kind: &'static str,
    /// Its features, as `tune2fs -l` calls them.
    pub features: Vec<String>,
    /// Size of a block or cluster in bytes.
    pub block_size: u64,
    /// Its size in bytes; the partition may be larger.
    pub size: u64,
    /// Free bytes.
    pub free: u64,
    /// Inodes, and how many of them are free.
    pub inodes: Option<(u64, u64)>,
    /// What a checker would object to: `not unmounted`.
    pub problems: Vec<String>,
    /// What is known of its use.
    pub history: Option<History>,
}

/// How a file system was used. Times are in seconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// How often it was mounted since it was checked last.
    pub mounts: u16,
    /// When it was mounted last; 0 for never.
    pub mounted: u32,
    /// When it was written last.
    pub written: u32,
}

/// Reads the summary of an ext4 file system.
pub fn ext4(device: &dyn ReadAt) -> Result<Summary, FsError> {
    super::ext4::summary(device)
}

/// Reads the summary of a FAT file system. All of the FAT is read.
pub fn fat(device: &dyn ReadAt) -> Result<Summary, FsError> {
    super::fat::summary(device)
}
