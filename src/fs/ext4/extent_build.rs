//! Extent trees, written: from runs of blocks to an inode.

use super::checksum::crc32c;
use super::extent::{ENTRY, HEADER, MAGIC, MAX_LEN, Run, tail_offset};
use super::features::HUGE_FILE;
use super::inode::{EXTENTS_FL, I_BLOCK_SIZE, Inode};
use super::le::{index, put, put_u16, put_u32, split64, wide};
use super::{Ext4, Result};
use crate::fs::FsErrorKind;

/// Entries that fit into the inode itself.
const ROOT_ENTRIES: usize = 4;

/// One entry, of a leaf or an index, and the first block it covers.
type Entry = (u32, [u8; ENTRY]);

fn leaf_entries(runs: &[Run]) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for run in runs {
        let mut done = 0;
        while done < run.len {
            // Unwritten extents are marked by adding 32768 to their length.
            let most = MAX_LEN.saturating_sub(u16::from(run.unwritten));
            let rest = run.len.saturating_sub(done);
            let len = u16::try_from(rest).unwrap_or(most).min(most);
            let logical = u32::try_from(run.logical.saturating_add(done))
                .map_err(|_| {
                    FsErrorKind::Unsupported(
                        "a file of more than 2^32 blocks".to_owned(),
                    )
                })?;
            let (high, low) = split64(run.physical.saturating_add(done));
            let mark = if run.unwritten { MAX_LEN } else { 0 };
            let mut entry = [0; ENTRY];
            put_u32(&mut entry, 0, logical);
            put_u16(&mut entry, 4, len.saturating_add(mark));
            put_u16(&mut entry, 6, u16::try_from(high).unwrap_or(0));
            put_u32(&mut entry, 8, low);
            entries.push((logical, entry));
            done = done.saturating_add(len.into());
        }
    }
    Ok(entries)
}

fn index_entry(logical: u32, child: u64) -> Entry {
    let (high, low) = split64(child);
    let mut entry = [0; ENTRY];
    put_u32(&mut entry, 0, logical);
    put_u32(&mut entry, 4, low);
    put_u16(&mut entry, 8, u16::try_from(high).unwrap_or(0));
    (logical, entry)
}

/// Fills `node`: header, then entries.
fn fill(node: &mut [u8], entries: &[Entry], max: usize, depth: u16) {
    put_u16(node, 0, MAGIC);
    put_u16(node, 2, u16::try_from(entries.len()).unwrap_or(0));
    put_u16(node, 4, u16::try_from(max).unwrap_or(0));
    put_u16(node, 6, depth);
    let mut at = HEADER;
    for (_, entry) in entries {
        put(node, at, entry);
        at = at.saturating_add(ENTRY);
    }
}

impl Ext4<'_> {
    /// Lets `inode` consist of `runs`, and counts its blocks anew. `spare`
    /// are blocks of its former tree: used again first, else freed.
    pub(super) fn write_extents(
        &mut self,
        inode: &mut Inode,
        runs: &[Run],
        mut spare: Vec<u64>,
    ) -> Result<()> {
        let seed = inode.checksum_seed(self.sb.csum_seed);
        let size = index(self.sb.block_size);
        let max = size.saturating_sub(HEADER) / ENTRY;
        let mut level = leaf_entries(runs)?;
        let mut depth = 0u16;
        let mut tree_blocks = 0usize;
        while level.len() > ROOT_ENTRIES {
            let mut above = Vec::new();
            for chunk in level.chunks(max) {
                let block = match spare.pop() {
                    Some(block) => block,
                    None => self.allocate_block()?,
                };
                let mut node = vec![0; size];
                fill(&mut node, chunk, max, depth);
                if self.sb.metadata_csum() {
                    let tail = tail_offset(&node);
                    let sum = crc32c(seed, node.get(..tail).unwrap_or(&[]));
                    put_u32(&mut node, tail, sum);
                }
                self.blocks.write(block, node);
                tree_blocks = tree_blocks.saturating_add(1);
                let first = chunk.first().map_or(0, |entry| entry.0);
                above.push(index_entry(first, block));
            }
            level = above;
            depth = depth.saturating_add(1);
        }
        for block in spare {
            self.free_blocks(block, 1)?;
        }
        let mut root = [0; I_BLOCK_SIZE];
        fill(&mut root, &level, ROOT_ENTRIES, depth);
        inode.set_i_block(&root);
        inode.set_flags(inode.i_flags() | EXTENTS_FL);
        let data = runs.iter().fold(0, |n: u64, r| n.saturating_add(r.len));
        let count = data
            .saturating_add(wide(tree_blocks))
            .saturating_add(u64::from(inode.i_file_acl() != 0));
        let huge_file = self.sb.features.has_ro_compat(HUGE_FILE);
        inode.set_blocks(count, self.sb.block_size, huge_file)
    }
}
