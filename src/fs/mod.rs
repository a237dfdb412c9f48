//! File systems edited in place, inside an image, without a mount.
//!
//! [`Editor`] is what a plan needs of a file system. `fat` and `ext4` provide
//! it over any [`WriteAt`](crate::disk::WriteAt); `apply` is the only bridge
//! from a plan to bytes.

pub mod apply;
pub mod cmdline;
pub mod config_txt;
mod corruption;
mod error;
pub mod ext4;
mod ext4_reader;
pub mod ext4_view;
mod fat;
mod ranges;
pub mod summary;
pub mod tree;

use crate::disk::ReadAt;
pub use corruption::{Corruption, Fault, Structure};
pub use error::{FsError, FsErrorKind};
pub use ext4_reader::Ext4Reader;
pub use fat::Fat;
pub use ranges::Range;
use ranges::join;

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device node, socket or FIFO.
    Special,
}

/// Mode, owner and time of a file, directory or link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits, `0o7777` at most.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time in seconds since the epoch.
    pub mtime: i64,
}

/// What `stat` tells of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: FileKind,
    /// Mode, owner and time.
    pub meta: Meta,
    /// Size in bytes.
    pub size: u64,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The name, without a path. Bytes that are not UTF-8 are replaced.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
}

/// Reads a file system.
///
/// Paths are absolute, `/`-separated, without `.` and `..`. Symbolic links
/// in the middle of a path are followed as the running system would follow
/// them (inside this file system); the last component is not followed.
pub trait Reader {
    /// Returns what is at `path`, or `None` where nothing is.
    fn stat(&self, path: &str) -> Result<Option<Stat>, FsError>;

    /// Returns the content of the regular file at `path`.
    fn read(&self, path: &str) -> Result<Vec<u8>, FsError>;

    /// Gives the content of the regular file at `path` to `receive`, in
    /// pieces one after another.
    ///
    /// All in one piece, where a reader does not know better.
    fn read_pieces(
        &self,
        path: &str,
        receive: &mut dyn FnMut(&[u8]),
    ) -> Result<(), FsError> {
        receive(&self.read(path)?);
        Ok(())
    }

    /// Returns the entries of the directory at `path`, without `.` and `..`.
    fn read_dir(&self, path: &str) -> Result<Vec<DirEntry>, FsError>;

    /// Returns the target of the symbolic link at `path`.
    fn read_link(&self, path: &str) -> Result<String, FsError>;
}

/// Changes a file system.
///
/// Nothing is promised to be on the device before [`Editor::commit`]; after
/// an error the device below is to be thrown away.
pub trait Editor: Reader {
    /// Creates the regular file at `path`, or replaces its content, mode,
    /// owner and time; extended attributes of a replaced file stay, as far
    /// as write(2) and chmod(2) leave them. The parent directory must exist.
    fn write(
        &mut self,
        path: &str,
        content: &dyn ReadAt,
        meta: Meta,
    ) -> Result<(), FsError>;

    /// Creates the directory at `path`; its parent must exist. An existing
    /// directory keeps its entries and takes `meta`.
    fn mkdir(&mut self, path: &str, meta: Meta) -> Result<(), FsError>;

    /// Creates the symbolic link at `path`, in place of any file or link
    /// that was there. The mode of `meta` is ignored (links are 0777).
    fn symlink(
        &mut self,
        path: &str,
        target: &str,
        meta: Meta,
    ) -> Result<(), FsError>;

    /// Sets mode, owner and time of what is at `path`.
    fn set_meta(&mut self, path: &str, meta: Meta) -> Result<(), FsError>;

    /// Removes the file, the link or the directory with all it holds.
    /// Nothing at `path` is not an error.
    fn remove(&mut self, path: &str) -> Result<(), FsError>;

    /// Writes everything still held back to the device, and zeroes what the
    /// files that were removed or replaced took.
    fn commit(&mut self) -> Result<(), FsError>;
}
