//! File systems as trees: everything that is in one, and what two of them
//! do not have in common.
//!
//! [`Reader`](super::Reader) answers questions about paths that are known.
//! Here nothing is: names are bytes, directories may lead in circles, and one
//! damaged inode is no reason to be silent about all others.

mod compare;
mod path;
mod walk;

pub use compare::{Change, Difference, compare};
pub use path::{follow, resolve};
pub use walk::{Found, Walk};

use std::io::Read;

use super::{
    Fat, FileKind, FsError, Meta,
    ext4::{EditOptions, Ext4},
    ext4_view::Ext4View,
};
use crate::disk::{Overlay, Window};
use std::sync::Arc;

/// A partition, as an editor would see it. Nothing is written to it.
pub type Volume = Window<Arc<Overlay>>;

/// A file, directory, link or device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Absolute, between `/`; a name may hold any other byte.
    pub path: Vec<u8>,
    /// Its inode or first cluster, where that is known.
    pub id: Option<u64>,
    /// What it is.
    pub kind: FileKind,
    /// As `ls -l` begins its lines: `-`, `d`, `l`, `c`, `b`, `p`, `s`; `?`
    /// for none of these.
    pub letter: char,
    /// Mode, owner and time.
    pub meta: Meta,
    /// Size in bytes.
    pub size: u64,
    /// Major and minor number of a device, where they are known.
    pub device: Option<(u32, u32)>,
}

impl Node {
    /// Returns the last name of the path; that of the root is empty.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }

    /// Returns the path of something in this directory.
    #[must_use]
    pub fn below(&self, name: &[u8]) -> Vec<u8> {
        let mut path = self.path.clone();
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path
    }
}

/// An entry of a directory: its name, and what is there.
pub type Child = (Vec<u8>, Result<Node, FsError>);

/// The content of a file, whose holes can be passed over.
pub trait Content: Read {
    /// Returns how many bytes come next that are zero and not stored
    /// anywhere; 0 where one is stored, and at the end.
    fn hole(&self) -> u64;

    /// Passes over `len` bytes of a hole.
    fn skip(&mut self, len: u64);
}

/// Content of which no holes are known.
struct Whole<R>(R);

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buf)
    }
}

impl<R: Read> Content for Whole<R> {
    fn hole(&self) -> u64 {
        0
    }

    fn skip(&mut self, _: u64) {}
}

/// A file system that is looked at as a whole.
pub trait Tree {
    /// Returns its root.
    fn root(&self) -> Result<Node, FsError>;

    /// Returns the entries of a directory, sorted by name, without `.` and
    /// `..`.
    fn list(&self, directory: &Node) -> Result<Vec<Child>, FsError>;

    /// Opens a regular file. Errors of reading hold an [`FsError`]. One that
    /// is larger than its file system is refused: nobody waits for its end.
    fn open(&self, file: &Node) -> Result<Box<dyn Read + '_>, FsError>;

    /// Opens a regular file of any size, to be read without its holes.
    fn content(&self, file: &Node) -> Result<Box<dyn Content + '_>, FsError> {
        Ok(Box::new(Whole(self.open(file)?)))
    }

    /// Returns where a symbolic link leads.
    fn target(&self, link: &Node) -> Result<Vec<u8>, FsError>;

    /// Returns whether changes that are still in a journal are not seen.
    fn is_stale(&self) -> bool {
        false
    }

    /// Returns whether two names are one: on FAT, without regard to case.
    fn is_same(&self, name: &[u8], other: &[u8]) -> bool {
        name == other
    }
}

/// Opens an ext4 file system.
///
/// One that was not unmounted, or has features that the editor does not
/// know, is read by `ext4-view`, which looks into the journal too. It knows
/// the journals of today's kernels; with an older one, what is in it is not
/// seen: see [`Tree::is_stale`].
pub fn ext4(volume: &Volume) -> Result<Box<dyn Tree + '_>, FsError> {
    // Neither is used: nothing is edited.
    let options = EditOptions { now: 0, seed: 0 };
    match Ext4::open(volume, options) {
        Ok(fs) => Ok(Box::new(fs)),
        Err(first) => match Ext4View::open(Arc::new(volume.clone())) {
            Ok(fs) => Ok(Box::new(fs)),
            Err(_) => match Ext4::open_stale(volume) {
                Ok(fs) => Ok(Box::new(fs)),
                Err(_) => Err(first),
            },
        },
    }
}

/// Opens a FAT file system.
pub fn fat(volume: &Volume) -> Result<Box<dyn Tree + '_>, FsError> {
    Ok(Box::new(Fat::open(volume.clone(), 0)?))
}

/// Returns the ranges `(offset, len)` of an ext4 file system, in bytes, that
/// belong to nothing.
pub fn unused_ext4(volume: &Volume) -> Result<Vec<(u64, u64)>, FsError> {
    Ext4::open(volume, EditOptions { now: 0, seed: 0 })?.unused()
}

/// Returns the ranges `(offset, len)` of a FAT file system, in bytes, that
/// belong to nothing.
pub fn unused_fat(volume: &Volume) -> Result<Vec<(u64, u64)>, FsError> {
    Fat::open(volume.clone(), 0)?.free_ranges()
}
