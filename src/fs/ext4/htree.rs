//! The index of a large directory: a tree of hashes over its blocks.
//!
//! Block 0 is the root, made to look like a block with `.` and `..` only;
//! the nodes below look like one unused record. Format: the kernel's
//! `ext4/directory.rst` documentation, "Hash Tree Directories".

use super::checksum::crc32c;
use super::directory::Directory;
use super::hash::HashKind;
use super::le::{index, put_u16, put_u32, u8_at, u16_at, u32_at};
use super::leaf::{self, Link};
use super::{Ext4, Result};
use crate::fs::FsErrorKind;

const ROOT_ENTRIES: usize = 0x20;
const NODE_ENTRIES: usize = 8;
const ENTRY: usize = 8;
pub(super) const HASH_VERSION: usize = 0x1C;
pub(super) const INFO_LENGTH: usize = 0x1D;
pub(super) const INDIRECT_LEVELS: usize = 0x1E;
/// Without `large_dir`: the root, and one level of nodes.
const MAX_LEVELS: u8 = 1;
/// How often one insertion can make room: two levels and the leaf.
const ATTEMPTS: u32 = 8;

/// One node on the way to a leaf.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) logical: u64,
    physical: u64,
    is_root: bool,
    /// Hash from which on, and block; the first hash counts as zero.
    pub(super) entries: Vec<(u32, u32)>,
    /// Which entry was taken.
    pub(super) at: usize,
}

impl Node {
    fn child(&self) -> u64 {
        self.entries.get(self.at).map_or(0, |entry| entry.1.into())
    }

    fn aim(&mut self, hash: u32) {
        let after = self
            .entries
            .get(1..)
            .expect("at least one entry: see `load_node`")
            .partition_point(|entry| entry.0 <= hash);
        self.at = after;
    }
}

impl Ext4<'_> {
    /// Returns how many entries a node can hold.
    fn node_limit(&self, is_root: bool) -> usize {
        let at = if is_root { ROOT_ENTRIES } else { NODE_ENTRIES };
        let room = index(self.sb.block_size)
            .checked_sub(at)
            .expect("blocks have 1024 bytes or more")
            / ENTRY;
        room.checked_sub(usize::from(self.sb.metadata_csum()))
            .expect("blocks have 1024 bytes or more")
    }

    /// Returns the place of a node's checksum and the checksum.
    fn node_checksum(
        &self,
        dir: &Directory,
        bytes: &[u8],
        is_root: bool,
    ) -> Option<(usize, u32)> {
        let at = if is_root { ROOT_ENTRIES } else { NODE_ENTRIES };
        let limit = usize::from(u16_at(bytes, at));
        let count = usize::from(u16_at(bytes, at.checked_add(2)?));
        let used = at.checked_add(count.checked_mul(ENTRY)?)?;
        let tail = at.checked_add(limit.checked_mul(ENTRY)?)?;
        let reserved = bytes.get(tail..tail.checked_add(4)?)?;
        let place = tail.checked_add(4)?;
        bytes.get(place..place.checked_add(4)?)?;
        let sum = crc32c(self.dir_seed(dir), bytes.get(..used)?);
        Some((place, crc32c(crc32c(sum, reserved), &[0; 4])))
    }

    /// Refuses a node of the index whose checksum is another one.
    pub(super) fn verify_node(
        &self,
        dir: &Directory,
        logical: u64,
        bytes: &[u8],
    ) -> Result<()> {
        if !self.sb.metadata_csum() {
            return Ok(());
        }
        let structure = dir.block(logical);
        let Some((place, sum)) = self.node_checksum(dir, bytes, logical == 0)
        else {
            return Err(structure.rule("limit or count of the index"));
        };
        match u32_at(bytes, place) {
            found if found == sum => Ok(()),
            found => Err(structure.checksum(found, sum)),
        }
    }

    fn load_node(
        &self,
        dir: &Directory,
        logical: u64,
        is_root: bool,
    ) -> Result<Node> {
        let wrong = || dir.block(logical).rule("not a node of the index");
        if !is_root && (logical == 0 || logical >= dir.blocks) {
            return Err(wrong());
        }
        let physical = dir.mapping.find(logical).ok_or_else(wrong)?;
        let bytes = self.blocks.read(physical)?;
        self.verify_node(dir, logical, &bytes)?;
        let at = if is_root { ROOT_ENTRIES } else { NODE_ENTRIES };
        let limit = usize::from(u16_at(&bytes, at));
        let count = usize::from(u16_at(
            &bytes,
            at.checked_add(2).expect("both far inside of a block"),
        ));
        if limit != self.node_limit(is_root) || !(1..=limit).contains(&count) {
            return Err(wrong());
        }
        let entries: Vec<_> = bytes
            .get(at..)
            .expect("a block is longer than its header")
            .chunks_exact(ENTRY)
            .take(count)
            .map(|entry| (u32_at(entry, 0), u32_at(entry, 4)))
            .collect();
        let hashes = entries.get(1..).expect("at least one entry, see above");
        if !hashes.is_sorted_by_key(|entry| entry.0) {
            return Err(wrong());
        }
        Ok(Node { logical, physical, is_root, entries, at: 0 })
    }

    /// Writes a node's entries back, with the checksum.
    pub(super) fn store_node(
        &mut self,
        dir: &Directory,
        node: &Node,
    ) -> Result<()> {
        let mut bytes = self.blocks.read(node.physical)?.to_vec();
        let start = if node.is_root { ROOT_ENTRIES } else { NODE_ENTRIES };
        let mut at = start;
        for &(hash, block) in &node.entries {
            put_u32(&mut bytes, at, hash);
            put_u32(
                &mut bytes,
                at.checked_add(4).expect("both far inside of a block"),
                block,
            );
            at = at.checked_add(ENTRY).expect("both far inside of a block");
        }
        // The first entry's hash gives way to limit and count.
        let limit = self.node_limit(node.is_root);
        let limit = u16::try_from(limit).expect("a block holds 511");
        let count = node.entries.len();
        let count = u16::try_from(count).expect("a block holds 511");
        put_u16(&mut bytes, start, limit);
        put_u16(
            &mut bytes,
            start.checked_add(2).expect("both far inside of a block"),
            count,
        );
        if self.sb.metadata_csum()
            && let Some((place, sum)) =
                self.node_checksum(dir, &bytes, node.is_root)
        {
            put_u32(&mut bytes, place, sum);
        }
        self.blocks.write(node.physical, bytes);
        Ok(())
    }

    /// Appends an empty node to the directory.
    pub(super) fn append_node(
        &mut self,
        dir: &mut Directory,
        entries: Vec<(u32, u32)>,
    ) -> Result<Node> {
        let (logical, physical) = self.append_block(dir)?;
        let mut bytes = vec![0; index(self.sb.block_size)];
        let whole = u16::try_from(bytes.len()).expect("4096 at most");
        put_u16(&mut bytes, 4, whole);
        self.blocks.write(physical, bytes);
        let node = Node { logical, physical, is_root: false, entries, at: 0 };
        self.store_node(dir, &node)?;
        Ok(node)
    }

    /// Returns the root of a fresh index, over block 1.
    pub(super) fn first_root(&self, physical: u64) -> Node {
        Node {
            logical: 0,
            physical,
            is_root: true,
            entries: vec![(0, 1)],
            at: 0,
        }
    }

    pub(super) fn has_room(&self, node: &Node) -> bool {
        node.entries.len() < self.node_limit(node.is_root)
    }

    /// Returns the hash of the directory's names, and the index's depth.
    pub(super) fn index_info(&self, dir: &Directory) -> Result<(HashKind, u8)> {
        let physical =
            dir.mapping.find(0).ok_or_else(|| dir.corrupt("root"))?;
        let bytes = self.blocks.read(physical)?;
        let kind = HashKind {
            version: u8_at(&bytes, HASH_VERSION),
            unsigned: self.sb.unsigned_hash(),
            seed: self.sb.s_hash_seed(),
        };
        let levels = u8_at(&bytes, INDIRECT_LEVELS);
        if !kind.is_known() {
            return Err(FsErrorKind::Unsupported(format!(
                "hash version {} of directory {}",
                kind.version, dir.inode.ino
            )));
        }
        if levels > MAX_LEVELS || u8_at(&bytes, INFO_LENGTH) != 8 {
            return Err(dir.corrupt("root of the index"));
        }
        Ok((kind, levels))
    }

    /// Walks from the root towards `hash`; the last node names the leaf.
    pub(super) fn probe(
        &self,
        dir: &Directory,
        hash: u32,
        levels: u8,
    ) -> Result<Vec<Node>> {
        let mut node = self.load_node(dir, 0, true)?;
        let mut path = Vec::new();
        for _ in 0..levels {
            node.aim(hash);
            let child = node.child();
            path.push(node);
            node = self.load_node(dir, child, false)?;
        }
        node.aim(hash);
        path.push(node);
        Ok(path)
    }

    /// Moves on to the next leaf, if names with `hash` continue there.
    fn advance(
        &self,
        dir: &Directory,
        path: &mut [Node],
        hash: u32,
    ) -> Result<bool> {
        let more = path.iter().rposition(|node| {
            node.at.checked_add(1).expect("as many as a node holds")
                < node.entries.len()
        });
        let Some(level) = more else { return Ok(false) };
        let mut child = None;
        for (number, node) in path.iter_mut().enumerate().skip(level) {
            if number == level {
                node.at =
                    node.at.checked_add(1).expect("as many as a node holds");
                let from = node.entries.get(node.at).map_or(0, |e| e.0);
                if from != hash | 1 {
                    return Ok(false);
                }
            } else if let Some(child) = child {
                *node = self.load_node(dir, child, false)?;
            }
            child = Some(node.child());
        }
        Ok(true)
    }

    /// Reads the leaf a path leads to: it must be one.
    pub(super) fn leaf_of(
        &self,
        dir: &Directory,
        path: &[Node],
    ) -> Result<u64> {
        let leaf = path.last().map_or(0, Node::child);
        if leaf == 0 || leaf >= dir.blocks {
            return Err(dir.corrupt("the index leads nowhere"));
        }
        Ok(leaf)
    }

    pub(super) fn locate_indexed(
        &self,
        dir: &Directory,
        name: &[u8],
    ) -> Result<Option<(u64, u32)>> {
        let (kind, levels) = self.index_info(dir)?;
        let hash = kind.hash(name);
        let mut path = self.probe(dir, hash, levels)?;
        loop {
            let logical = self.leaf_of(dir, &path)?;
            let block = self.dir_block(dir, logical)?;
            if let Some(found) = leaf::find(&block.bytes, &block.records, name)
            {
                return Ok(Some((logical, found.inode)));
            }
            if !self.advance(dir, &mut path, hash)? {
                return Ok(None);
            }
        }
    }

    /// Adds a name where its hash belongs, splitting what is full.
    pub(super) fn add_indexed(
        &mut self,
        dir: &mut Directory,
        link: &Link,
    ) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let (kind, levels) = self.index_info(dir)?;
            let hash = kind.hash(&link.name);
            let path = self.probe(dir, hash, levels)?;
            let leaf = self.leaf_of(dir, &path)?;
            if self.add_to_leaf(dir, leaf, link)? {
                return Ok(());
            }
            match path.last() {
                Some(last) if self.has_room(last) => {
                    self.split_leaf(dir, last.clone(), leaf, kind)?;
                }
                _ => self.grow_index(dir, path)?,
            }
        }
        Err(dir.corrupt("a full block does not get room by splitting"))
    }
}
