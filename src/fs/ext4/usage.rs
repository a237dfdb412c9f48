//! Which places are in use, and which are likely to be written by edits.

use super::group::INODE_UNINIT;
use super::space::{REGION, clear_runs};
use super::{Ext4, INSIDE, Result};
use crate::fs::{FsError, Range, join};

/// Tables and directories around new files, and free blocks for that many
/// bytes of new files.
const HOT_FREE: u64 = 256 << 20;

impl Ext4<'_> {
    /// Returns the ranges of the device that hold nothing: free blocks. All
    /// else, tables, journal and files, is in use.
    ///
    /// # Errors
    ///
    /// A bitmap that cannot be read or is not what its checksum says.
    pub fn free_ranges(&self) -> std::result::Result<Vec<Range>, FsError> {
        let free = self.free_runs().map_err(FsError::from)?;
        Ok(join(free.into_iter().map(|(at, len)| self.bytes(at, len))))
    }

    /// Returns the ranges that edits are likely to change: superblock,
    /// descriptors, bitmaps, the inodes that there are and will be, the
    /// directories at `paths` (those that exist), and the free blocks that
    /// new files go to first.
    ///
    /// # Errors
    ///
    /// The file system contradicts itself, or cannot be read.
    pub fn hot_ranges(
        &self,
        paths: &[&str],
    ) -> std::result::Result<Vec<Range>, FsError> {
        self.hot_runs(paths).map_err(FsError::from)
    }

    fn hot_runs(&self, paths: &[&str]) -> Result<Vec<Range>> {
        let mut runs = vec![(0, self.first_tables_end())];
        for group in &self.groups {
            runs.push((group.bg_block_bitmap, 1));
            runs.push((group.bg_inode_bitmap, 1));
            let unused = match group.has(INODE_UNINIT) {
                true => self.sb.s_inodes_per_group,
                false => group.bg_itable_unused,
            };
            let used = self.sb.s_inodes_per_group.checked_sub(unused);
            let used = used.expect("no more than there are: Group::check");
            let bytes = u64::from(used)
                .checked_mul(self.sb.s_inode_size.into())
                .expect("32 bits times 16")
                .div_ceil(self.sb.block_size.into());
            // With room for new ones, but not in groups without any.
            let room = u64::from(used > 0);
            runs.push((
                group.bg_inode_table,
                bytes.checked_add(room).expect(INSIDE),
            ));
        }
        for path in paths {
            let Some(inode) = self.find(path)?.filter(|i| i.is_dir()) else {
                continue;
            };
            let mapping = self.mapping(&inode)?;
            runs.extend(mapping.runs.iter().map(|r| (r.physical, r.len)));
            runs.extend(mapping.tree.iter().map(|block| (*block, 1)));
        }
        let size = u64::from(self.sb.block_size);
        let mut left = HOT_FREE.checked_div(size).expect("blocks have a size");
        let free = self.free_runs()?;
        // As new files take them: see `space`.
        for (at, len) in free.into_iter().filter(|(_, len)| *len >= REGION) {
            let len = len.min(left);
            runs.push((at, len));
            left = left.checked_sub(len).expect("at most what is left");
        }
        let runs = runs.into_iter().filter(|(_, len)| *len > 0);
        Ok(join(runs.map(|(at, len)| self.bytes(at, len))))
    }

    /// The block behind the superblock and the descriptors in use.
    fn first_tables_end(&self) -> u64 {
        super::group::descriptor_blocks(&self.sb)
            .checked_add(self.sb.s_first_data_block)
            .expect(INSIDE)
            .checked_add(1)
            .expect(INSIDE)
    }

    /// Free blocks, `(start, count)`.
    fn free_runs(&self) -> Result<Vec<(u64, u64)>> {
        let mut runs = Vec::new();
        for number in 0..self.sb.groups {
            let bitmap = self.block_bitmap(number)?;
            let start = self.group_start(number);
            let blocks = self.group_end(number).checked_sub(start);
            let blocks = blocks.expect("groups begin inside");
            let found = clear_runs(&bitmap, blocks).into_iter();
            let found = found
                .map(|(at, len)| (start.checked_add(at).expect(INSIDE), len));
            runs.extend(found);
        }
        Ok(join(runs))
    }

    fn bytes(&self, block: u64, count: u64) -> Range {
        let size = u64::from(self.sb.block_size);
        let bytes = |blocks: u64| blocks.checked_mul(size);
        let range = bytes(block).zip(bytes(count));
        range.expect("inside of the device: see Superblock::size")
    }
}
