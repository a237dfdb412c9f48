//! How the index of a directory begins and grows.

use super::directory::Directory;
use super::hash::HashKind;
use super::htree::{HASH_VERSION, INDIRECT_LEVELS, INFO_LENGTH, Node};
use super::inode::INDEX_FL;
use super::le::{index, put, put_u16};
use super::leaf::{self, Link};
use super::{Ext4, Result};
use crate::fs::FsErrorKind;

/// Half MD4, where the superblock does not name a version of use here.
const DEFAULT_VERSION: u8 = 1;
/// Why numbers of blocks fit into entries.
const NUMBERS: &str = "files have 32-bit many blocks: see leaf_entries";
/// Where the record of `..` lies in block 0.
const DOTDOT: usize = 12;

impl Ext4<'_> {
    /// Gives a directory of one block an index, as the kernel does before
    /// the second: block 0 becomes the root, the names go to block 1.
    pub(super) fn begin_index(&mut self, dir: &mut Directory) -> Result<()> {
        let old = self.dir_block(dir, 0)?;
        let dots = [(0, &b"."[..]), (DOTDOT, b"..")];
        let first = old.records.iter().take(2);
        if !first.map(|r| (r.at, r.name(&old.bytes))).eq(dots) {
            return Err(dir.corrupt("`.` and `..` are not its first names"));
        }
        let links = self.links(dir)?;
        let (_, leaf) = self.append_block(dir)?;
        let size = index(self.sb.block_size);
        let bytes = leaf::build(size, self.leaf_end(), &links);
        self.store_leaf(dir, leaf, bytes);

        let mut root = vec![0; size];
        put(
            &mut root,
            0,
            old.bytes
                .get(..DOTDOT.checked_mul(2).expect("two records at the start"))
                .unwrap_or(&[]),
        );
        put_u16(&mut root, 4, 12);
        let rest = size.checked_sub(DOTDOT);
        let rest = rest.and_then(|rest| u16::try_from(rest).ok());
        let rest = rest.expect("blocks have 1024 to 4096 bytes");
        put_u16(
            &mut root,
            DOTDOT.checked_add(4).expect("two records at the start"),
            rest,
        );
        let version = match self.sb.s_def_hash_version() {
            version @ 0..=2 => version,
            _ => DEFAULT_VERSION,
        };
        put(&mut root, HASH_VERSION, &[version]);
        put(&mut root, INFO_LENGTH, &[8]);
        self.blocks.write(old.physical, root);
        dir.inode.set_flags(dir.inode.i_flags() | INDEX_FL);
        let node = self.first_root(old.physical);
        self.store_node(dir, &node)
    }

    /// Moves the upper half of a leaf, by hash, to a new one. `parent` has
    /// room for another entry.
    pub(super) fn split_leaf(
        &mut self,
        dir: &mut Directory,
        mut parent: Node,
        logical: u64,
        kind: HashKind,
    ) -> Result<()> {
        let block = self.dir_block(dir, logical)?;
        let mut links: Vec<(u32, Link)> = block
            .records
            .iter()
            .filter(|record| record.inode != 0)
            .map(|record| {
                let name = record.name(&block.bytes).to_vec();
                let (inode, file_type) = (record.inode, record.file_type);
                (kind.hash(&name), Link { inode, file_type, name })
            })
            .collect();
        links.sort_by_key(|(hash, _)| *hash);
        let total: usize = links.iter().map(|(_, link)| link.size()).sum();
        let mut below = 0usize;
        let middle = links.iter().position(|(_, link)| {
            below = below.checked_add(link.size()).expect("names of one block");
            below.checked_mul(2).expect("names of one block") > total
        });
        // Without any record, see below.
        let last = links.len().saturating_sub(1);
        let at = middle.unwrap_or(0).clamp(1.min(last), last);
        let upper = links.split_off(at);
        let (Some((before, _)), Some((first, _))) =
            (links.last(), upper.first())
        else {
            return Err(dir.corrupt(&format!("block {logical}")));
        };
        let from = first | u32::from(before == first);

        let (new_logical, new_physical) = self.append_block(dir)?;
        let size = index(self.sb.block_size);
        let end = self.leaf_end();
        for (physical, half) in [(block.physical, links), (new_physical, upper)]
        {
            let half: Vec<_> = half.into_iter().map(|(_, l)| l).collect();
            self.store_leaf(dir, physical, leaf::build(size, end, &half));
        }
        let new = u32::try_from(new_logical).expect(NUMBERS);
        parent.entries.insert(
            parent.at.checked_add(1).expect("one of a few hundred"),
            (from, new),
        );
        self.store_node(dir, &parent)
    }

    /// Makes room in a full index: a level more, or a node split in two.
    pub(super) fn grow_index(
        &mut self,
        dir: &mut Directory,
        path: Vec<Node>,
    ) -> Result<()> {
        let mut path = path.into_iter();
        let Some(mut root) = path.next() else {
            return Err(dir.corrupt("index"));
        };
        let Some(mut node) = path.next() else {
            let entries = std::mem::take(&mut root.entries);
            let child = self.append_node(dir, entries)?;
            let child = u32::try_from(child.logical).expect(NUMBERS);
            root.entries = vec![(0, child)];
            self.store_node(dir, &root)?;
            if let Some(physical) = dir.mapping.find(0) {
                self.blocks.modify(physical, |bytes| {
                    put(bytes, INDIRECT_LEVELS, &[1]);
                })?;
            }
            // The depth is part of what the checksum covers.
            return self.store_node(dir, &root);
        };
        if !self.has_room(&root) {
            return Err(FsErrorKind::NoSpace {
                what: "entries in the index of the directory",
                needed: 1,
                available: 0,
            });
        }
        let upper = node.entries.split_off(node.entries.len() / 2);
        let from = upper.first().map_or(0, |entry| entry.0);
        let child = self.append_node(dir, upper)?;
        self.store_node(dir, &node)?;
        let child = u32::try_from(child.logical).expect(NUMBERS);
        root.entries.insert(
            root.at.checked_add(1).expect("one of a few hundred"),
            (from, child),
        );
        self.store_node(dir, &root)
    }
}
