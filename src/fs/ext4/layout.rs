//! Which blocks hold the file system's own tables.

use super::features::{SPARSE_SUPER, SPARSE_SUPER2};
use super::group::{descriptor_blocks, inode_table_blocks};
use super::le::index;
use super::superblock::Superblock;
use super::{Ext4, Result};
use crate::fs::Structure;

/// Whether `group` begins with a copy of the superblock.
fn has_superblock(sb: &Superblock, group: u32) -> bool {
    let power_of = |base: u64| {
        let mut power = base;
        while power < u64::from(group) {
            power = power.checked_mul(base).expect("32 bits times 7");
        }
        power == u64::from(group)
    };
    if group == 0 {
        true
    } else if sb.features.has_compat(SPARSE_SUPER2) {
        sb.s_backup_bgs().contains(&group)
    } else if sb.features.has_ro_compat(SPARSE_SUPER) {
        group == 1 || power_of(3) || power_of(5) || power_of(7)
    } else {
        true
    }
}

impl Ext4<'_> {
    /// Returns the first block of a group.
    pub(super) fn group_start(&self, group: u32) -> u64 {
        u64::from(group)
            .checked_mul(self.sb.s_blocks_per_group.into())
            .and_then(|block| block.checked_add(self.sb.s_first_data_block))
            .expect("group, size and first block are 32-bit numbers")
    }

    /// Returns the block after the last of a group.
    pub(super) fn group_end(&self, group: u32) -> u64 {
        self.group_start(group)
            .checked_add(self.sb.s_blocks_per_group.into())
            .expect("group, size and first block are 32-bit numbers")
            .min(self.sb.s_blocks_count)
    }

    /// Returns the group of a block and the number of the block in it.
    pub(super) fn block_slot(&self, block: u64) -> Result<(u32, u64)> {
        let per_group = u64::from(self.sb.s_blocks_per_group);
        let from_first = block.checked_sub(self.sb.s_first_data_block);
        from_first
            .and_then(|at| {
                let group = u32::try_from(at.checked_div(per_group)?).ok()?;
                Some((group, at.checked_rem(per_group)?))
            })
            .filter(|(group, _)| *group < self.sb.groups)
            .ok_or_else(|| Structure::Block(block).rule("in no group"))
    }

    /// Returns the group of an inode and its number there, from 0.
    pub(super) fn inode_slot(&self, ino: u32) -> Result<(u32, u32)> {
        let per_group = self.sb.s_inodes_per_group;
        ino.checked_sub(1)
            .and_then(|ino| {
                let group = ino.checked_div(per_group)?;
                Some((group, ino.checked_rem(per_group)?))
            })
            .filter(|(group, _)| *group < self.sb.groups)
            .ok_or_else(|| Structure::Inode(ino).rule("no such number"))
    }

    /// Lists the blocks of all tables; two in one place are an error.
    pub(super) fn layout(&self) -> Result<Vec<(u64, u64)>> {
        let mut ranges = Vec::new();
        let table = inode_table_blocks(&self.sb);
        let reserved = u64::from(self.sb.s_reserved_gdt_blocks());
        let copy = descriptor_blocks(&self.sb)
            .checked_add(reserved)
            .and_then(|blocks| blocks.checked_add(1))
            .expect("descriptors of 32-bit many groups, 16-bit many blocks");
        for (number, group) in (0u32..).zip(&self.groups) {
            if has_superblock(&self.sb, number) {
                let start = self.group_start(number);
                let end = start.checked_add(copy).expect("48-bit numbers");
                ranges.push((start, end.min(self.sb.s_blocks_count)));
            }
            for (start, len) in [
                (group.bg_block_bitmap, 1),
                (group.bg_inode_bitmap, 1),
                (group.bg_inode_table, table),
            ] {
                let end = start.checked_add(len);
                let end = end.expect("tables are inside: see Group::check");
                ranges.push((start, end));
            }
        }
        ranges.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for (start, end) in ranges {
            match merged.last_mut() {
                Some(last) if start < last.1 => {
                    return Err(
                        Structure::Block(start).rule("in two tables at once")
                    );
                }
                Some(last) if start == last.1 => last.1 = end,
                _ => merged.push((start, end)),
            }
        }
        Ok(merged)
    }

    /// Returns the tables that overlap `start..end`.
    pub(super) fn tables_in(&self, start: u64, end: u64) -> &[(u64, u64)] {
        let from = self.metadata.partition_point(|range| range.1 <= start);
        let to = self.metadata.partition_point(|range| range.0 < end);
        self.metadata.get(from..to.max(from)).unwrap_or(&[])
    }

    /// Whether all these blocks exist and none belongs to a table.
    pub(super) fn is_data(&self, start: u64, len: u64) -> bool {
        let Some(end) = start.checked_add(len) else { return false };
        // Block 0 holds the superblock, or (1 KiB blocks) is before it.
        start > self.sb.s_first_data_block
            && end <= self.sb.s_blocks_count
            && self.tables_in(start, end).is_empty()
    }
}

/// Whether bit `at` is set; what is past the end counts as used.
pub(super) fn bit(bitmap: &[u8], at: u64) -> bool {
    let byte = bitmap.get(index(at >> 3)).copied().unwrap_or(0xFF);
    byte >> (at & 7) & 1 == 1
}

/// Sets or clears bit `at`.
pub(super) fn set_bit(bitmap: &mut [u8], at: u64, used: bool) {
    if let Some(byte) = bitmap.get_mut(index(at >> 3)) {
        let mask = 1u8 << (at & 7);
        if used {
            *byte |= mask;
        } else {
            *byte &= !mask;
        }
    }
}

/// Returns the first clear bit of `from..to`, in long strides.
pub(super) fn first_clear(bitmap: &[u8], from: u64, to: u64) -> Option<u64> {
    let mut at = from;
    while at < to {
        let byte = bitmap.get(index(at >> 3)).copied().unwrap_or(0xFF);
        if byte == 0xFF {
            at = (at | 7).checked_add(1).expect("bits of one group");
        } else if bit(bitmap, at) {
            at = at.checked_add(1).expect("bits of one group");
        } else {
            return Some(at);
        }
    }
    None
}
