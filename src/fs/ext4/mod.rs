//! A scoped ext4 editor: what an injector needs, and nothing else.
//!
//! ```text
//! editor, reader ──> path ──> directory ──> htree, leaf
//!        │                        │
//!        ├──> content ──> extent, extent_build, block_map
//!        └──> space, inode_table ──> bitmap ──> group, superblock
//!                                 │
//!                              cache ──> device
//! ```
//!
//! Metadata is changed in memory and written by [`commit`], the superblock
//! last; data goes straight into blocks that are free. Until the commit
//! nothing on the device that anything refers to has changed. The journal is
//! clean when a file system is opened, is not used, and stays clean. Backup
//! superblocks and descriptors are left as they are: the kernel does not
//! maintain them either.
//!
//! Clock and randomness are inputs ([`EditOptions`]): the same edits of the
//! same image give the same bytes.
//!
//! What is refused before anything is touched: features not listed in
//! `features.rs`, a journal that needs recovery, orphans, errors on record,
//! checksums that do not agree.
//!
//! [`commit`]: crate::fs::Editor::commit

mod attributes;
mod bitmap;
mod block_map;
mod cache;
mod checksum;
mod content;
mod counts;
mod directory;
mod editor;
mod extent;
mod extent_build;
mod features;
mod group;
mod hash;
mod htree;
mod htree_split;
mod inode;
mod inode_table;
mod layout;
mod le;
mod leaf;
mod open;
mod path;
mod reader;
mod space;
mod summary;
mod superblock;
mod tree;
mod unlink;
mod usage;
mod xattr;

use crate::fs::FsErrorKind;
pub(super) use summary::summary;

/// Why places and lengths in blocks can be added, and have a size in bytes.
const INSIDE: &str = "blocks inside of the file system and its device";

type Result<T> = std::result::Result<T, FsErrorKind>;

/// What edits depend on besides the edits themselves.
#[derive(Clone, Copy, Debug)]
pub struct EditOptions {
    /// Seconds since the epoch: the change time of what is edited.
    pub now: i64,
    /// Seeds the generation numbers of new inodes.
    pub seed: u64,
}

/// An ext4 file system being edited. See the [module](self).
pub struct Ext4<'d> {
    blocks: cache::Blocks<'d>,
    sb: superblock::Superblock,
    groups: Vec<group::Group>,
    /// Blocks of bitmaps, tables and superblocks: ascending, disjoint,
    /// `(start, end)`.
    metadata: Vec<(u64, u64)>,
    /// What is free; known from the first edit on.
    space: Option<space::Space>,
    options: EditOptions,
    /// How many inodes were made.
    created: u64,
    /// Whether an edit was begun and not finished.
    broken: bool,
}
