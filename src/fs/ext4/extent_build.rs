//! Extent trees, written: from runs of blocks to an inode.

use super::checksum::crc32c;
use super::extent::{ENTRY, HEADER, MAGIC, MAX_LEN, Run, tail_offset};
use super::features::HUGE_FILE;
use super::inode::{EXTENTS_FL, I_BLOCK_SIZE, Inode};
use super::le::{index, put, put_u16, put_u32, split64, wide};
use super::{Ext4, Result};
use crate::fs::FsErrorKind;

/// Why numbers of blocks fit into entries.
const NUMBERS: &str = "numbers of blocks have 48 bits";
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
            let mark = if run.unwritten { MAX_LEN } else { 0 };
            let most = if run.unwritten { MAX_LEN - 1 } else { MAX_LEN };
            let rest = run.len.checked_sub(done).expect("less than all");
            // What does not fit into one entry goes into more.
            let len = u16::try_from(rest).map_or(most, |len| len.min(most));
            let logical = run.logical.checked_add(done);
            let logical = logical.and_then(|n| u32::try_from(n).ok());
            let Some(logical) = logical else {
                return Err(FsErrorKind::Unsupported(
                    "a file of more than 2^32 blocks".to_owned(),
                ));
            };
            let physical = run.physical.checked_add(done).expect(NUMBERS);
            let (high, low) = split64(physical);
            let mut entry = [0; ENTRY];
            put_u32(&mut entry, 0, logical);
            let marked = len.checked_add(mark).expect("16 bits: see `most`");
            put_u16(&mut entry, 4, marked);
            put_u16(&mut entry, 6, u16::try_from(high).expect(NUMBERS));
            put_u32(&mut entry, 8, low);
            entries.push((logical, entry));
            done = done.checked_add(len.into()).expect("up to all");
        }
    }
    Ok(entries)
}

fn index_entry(logical: u32, child: u64) -> Entry {
    let (high, low) = split64(child);
    let mut entry = [0; ENTRY];
    put_u32(&mut entry, 0, logical);
    put_u32(&mut entry, 4, low);
    put_u16(&mut entry, 8, u16::try_from(high).expect(NUMBERS));
    (logical, entry)
}

/// Fills `node`: header, then entries.
fn fill(node: &mut [u8], entries: &[Entry], max: usize, depth: u16) {
    put_u16(node, 0, MAGIC);
    let count = |n: usize| u16::try_from(n).expect("a block holds 340");
    put_u16(node, 2, count(entries.len()));
    put_u16(node, 4, count(max));
    put_u16(node, 6, depth);
    let mut at = HEADER;
    for (_, entry) in entries {
        put(node, at, entry);
        at = at.checked_add(ENTRY).expect("inside of a block");
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
        let max = size.checked_sub(HEADER).expect("1 to 4 KiB") / ENTRY;
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
                    let sum = crc32c(
                        seed,
                        node.get(..tail).expect("the tail is in the block"),
                    );
                    put_u32(&mut node, tail, sum);
                }
                self.blocks.write(block, node);
                tree_blocks = tree_blocks.checked_add(1).expect("a few");
                let first = chunk.first().map_or(0, |entry| entry.0);
                above.push(index_entry(first, block));
            }
            level = above;
            depth = depth.checked_add(1).expect("five at most");
        }
        for block in spare {
            self.free_blocks(block, 1)?;
        }
        let mut root = [0; I_BLOCK_SIZE];
        fill(&mut root, &level, ROOT_ENTRIES, depth);
        inode.set_i_block(&root);
        inode.set_flags(inode.i_flags() | EXTENTS_FL);
        let data: u64 = runs.iter().map(|run| run.len).sum();
        let count = data
            .checked_add(wide(tree_blocks))
            .and_then(|n| n.checked_add(u64::from(inode.i_file_acl() != 0)))
            .expect("no more than the file system has");
        let huge_file = self.sb.features.has_ro_compat(HUGE_FILE);
        inode.set_blocks(count, self.sb.block_size, huge_file)
    }
}
