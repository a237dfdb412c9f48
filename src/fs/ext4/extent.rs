//! Extent trees: from an inode to runs of blocks.
//!
//! Format: the kernel's `ext4/ifork.rst` documentation.

use std::collections::HashSet;

use super::checksum::crc32c;
use super::inode::Inode;
use super::le::{index, join32, u16_at, u32_at, wide};
use super::{Ext4, Result};
use crate::fs::{FsErrorKind, Structure};

pub(super) const MAGIC: u16 = 0xF30A;
pub(super) const HEADER: usize = 12;
pub(super) const ENTRY: usize = 12;
/// A longer `ee_len` means an unwritten extent.
pub(super) const MAX_LEN: u16 = 32768;
const MAX_DEPTH: u16 = 5;

/// Consecutive blocks of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) logical: u64,
    pub(super) physical: u64,
    pub(super) len: u64,
    /// Allocated, but reads as zero.
    pub(super) unwritten: bool,
}

impl Run {
    pub(super) fn logical_end(&self) -> u64 {
        let end = self.logical.checked_add(self.len);
        end.expect("files have 32-bit many blocks")
    }
}

/// All blocks of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapping {
    /// In ascending logical order, without overlap.
    pub(super) runs: Vec<Run>,
    /// Blocks of the extent tree, or indirect blocks.
    pub(super) tree: Vec<u64>,
}

impl Mapping {
    /// Returns how many data blocks there are.
    pub(super) fn data_blocks(&self) -> u64 {
        self.runs.iter().map(|run| run.len).sum()
    }

    /// Returns where the block number `logical` of the file lies.
    pub(super) fn find(&self, logical: u64) -> Option<u64> {
        let at = self.runs.partition_point(|run| run.logical_end() <= logical);
        let run = self.runs.get(at)?;
        let into = logical.checked_sub(run.logical)?;
        run.physical.checked_add(into).filter(|_| !run.unwritten)
    }
}

/// Collects runs and refuses impossible ones.
pub(super) struct Collector<'a, 'd> {
    fs: &'a Ext4<'d>,
    ino: u32,
    mapping: Mapping,
    tree_seen: HashSet<u64>,
    total: u64,
}

impl<'a, 'd> Collector<'a, 'd> {
    pub(super) fn new(fs: &'a Ext4<'d>, ino: u32) -> Self {
        Self {
            fs,
            ino,
            mapping: Mapping::default(),
            tree_seen: HashSet::new(),
            total: 0,
        }
    }

    pub(super) fn corrupt<T>(&self, what: &str) -> Result<T> {
        Err(Structure::BlockMap(self.ino).rule(what))
    }

    pub(super) fn run(&mut self, run: Run) -> Result<()> {
        let total = self.total.checked_add(run.len);
        let total = total.filter(|n| *n <= self.fs.sb.s_blocks_count);
        let Some(total) = total else {
            return self.corrupt("more blocks than the file system has");
        };
        self.total = total;
        if run.len == 0 || !self.fs.is_data(run.physical, run.len) {
            return self.corrupt("blocks outside the file system");
        }
        if let Some(last) = self.mapping.runs.last_mut() {
            if run.logical < last.logical_end() {
                return self.corrupt("overlapping extents");
            }
            if run.logical == last.logical_end()
                && Some(run.physical) == last.physical.checked_add(last.len)
                && run.unwritten == last.unwritten
            {
                let len = last.len.checked_add(run.len);
                last.len = len.expect("no more than the total");
                return Ok(());
            }
        }
        self.mapping.runs.push(run);
        Ok(())
    }

    /// Enters a block of the tree: each but once, so that loops end.
    pub(super) fn enter(
        &mut self,
        block: u64,
    ) -> Result<std::sync::Arc<Vec<u8>>> {
        if !self.fs.is_data(block, 1) || !self.tree_seen.insert(block) {
            return self.corrupt("a block of the block map");
        }
        self.mapping.tree.push(block);
        self.fs.blocks.read(block)
    }

    fn node(&mut self, node: &[u8], depth: u16, seed: u32) -> Result<()> {
        let entries = index(u16_at(node, 2));
        if u16_at(node, 0) != MAGIC
            || u16_at(node, 2) > u16_at(node, 4)
            || u16_at(node, 6) != depth
            || entries
                .checked_mul(ENTRY)
                .and_then(|len| len.checked_add(HEADER))
                .is_none_or(|end| end > node.len())
        {
            return self.corrupt("header of the extent tree");
        }
        for entry in node
            .get(HEADER..)
            .expect("it has its entries, see above")
            .chunks_exact(ENTRY)
            .take(entries)
        {
            if depth == 0 {
                let ee_len = u16_at(entry, 4);
                let (len, unwritten) = match ee_len.checked_sub(MAX_LEN) {
                    Some(len @ 1..) => (len, true),
                    _ => (ee_len, false),
                };
                self.run(Run {
                    logical: u32_at(entry, 0).into(),
                    physical: join32(u16_at(entry, 6).into(), u32_at(entry, 8)),
                    len: len.into(),
                    unwritten,
                })?;
            } else {
                let child = join32(u16_at(entry, 8).into(), u32_at(entry, 4));
                let bytes = self.enter(child)?;
                self.verify(&bytes, seed)?;
                let below = depth.checked_sub(1).expect("not zero here");
                self.node(&bytes, below, seed)?;
            }
        }
        Ok(())
    }

    fn verify(&self, node: &[u8], seed: u32) -> Result<()> {
        if !self.fs.sb.metadata_csum() {
            return Ok(());
        }
        let tail = tail_offset(node);
        let Some(covered) = node.get(..tail) else {
            return self.corrupt("size of an extent block");
        };
        let room = tail.checked_add(4).is_some_and(|end| end <= node.len());
        if !room {
            return self.corrupt("no room for the checksum of an extent block");
        }
        let (found, sum) = (u32_at(node, tail), crc32c(seed, covered));
        if found != sum {
            return Err(Structure::BlockMap(self.ino).checksum(found, sum));
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Mapping {
        self.mapping
    }
}

/// Where the checksum of an extent block lies: after `eh_max` entries,
/// which is not always the end of the block.
pub(super) fn tail_offset(node: &[u8]) -> usize {
    index(u16_at(node, 4))
        .checked_mul(ENTRY)
        .and_then(|len| len.checked_add(HEADER))
        .expect("a 16-bit count")
}

impl Ext4<'_> {
    /// Returns where all blocks of `inode` lie.
    pub(super) fn mapping(&self, inode: &Inode) -> Result<Mapping> {
        let mut collector = Collector::new(self, inode.ino);
        if !inode.has_blocks() {
            return Ok(collector.finish());
        }
        if inode.has_extents() {
            let depth = u16_at(inode.i_block(), 6);
            if depth > MAX_DEPTH {
                return collector.corrupt("depth of the extent tree");
            }
            let seed = inode.checksum_seed(self.sb.csum_seed);
            collector.node(inode.i_block(), depth, seed)?;
        } else {
            collector.block_map(inode.i_block(), self.sb.block_size)?;
        }
        Ok(collector.finish())
    }

    /// Reads the content of a file or a long link.
    pub(super) fn read_content(&self, inode: &Inode) -> Result<Vec<u8>> {
        let size = inode.i_size();
        if size > self.sb.size() {
            return Err(FsErrorKind::Unsupported(format!(
                "reading inode {}: {size} bytes are more than the file \
                 system has",
                inode.ino
            )));
        }
        let mapping = self.mapping(inode)?;
        let block_size = u64::from(self.sb.block_size);
        let mut content = Vec::new();
        let blocks = size.div_ceil(block_size);
        let rounded = blocks.checked_mul(block_size);
        let rounded = index(rounded.expect("no more than the file system"));
        content.try_reserve_exact(rounded).map_err(|_| {
            FsErrorKind::Io(std::io::ErrorKind::OutOfMemory.into())
        })?;
        content.resize(rounded, 0);
        for run in mapping.runs.iter().filter(|run| !run.unwritten) {
            let end = run.logical_end().min(blocks);
            // Blocks may be kept behind the end of a file.
            if run.logical >= end {
                continue;
            }
            let byte = |block: u64| {
                let byte = block.checked_mul(block_size);
                index(byte.expect("inside the content"))
            };
            if let Some(part) = content.get_mut(byte(run.logical)..byte(end)) {
                self.blocks.read_run(run.physical, part)?;
            }
        }
        content.truncate(index(size));
        debug_assert_eq!(wide(content.len()), size);
        Ok(content)
    }
}
