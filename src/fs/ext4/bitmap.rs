//! Block and inode bitmaps, also of groups where none was ever written.

use std::sync::Arc;

use super::group::{
    BLOCK_UNINIT, Group, INODE_UNINIT, bitmap_checksum, same_checksum,
};
use super::layout::{bit, set_bit};
use super::le::index;
use super::{Ext4, Result};
use crate::fs::Structure;

impl Ext4<'_> {
    pub(super) fn group(&self, number: u32) -> Result<&Group> {
        self.groups
            .get(index(number))
            .ok_or_else(|| Structure::GroupDescriptor(number).rule("no group"))
    }

    pub(super) fn group_mut(&mut self, number: u32) -> Result<&mut Group> {
        self.groups
            .get_mut(index(number))
            .ok_or_else(|| Structure::GroupDescriptor(number).rule("no group"))
    }

    /// Returns the block bitmap of a group, composed where the group says
    /// that there is none yet.
    pub(super) fn block_bitmap(&self, number: u32) -> Result<Arc<Vec<u8>>> {
        let group = self.group(number)?;
        if group.has(BLOCK_UNINIT) {
            return Ok(Arc::new(self.compose_block_bitmap(number)));
        }
        let bitmap = self.blocks.read(group.bg_block_bitmap)?;
        if self.sb.metadata_csum() && !group.block_bitmap_dirty {
            let (stored, _) = group.bitmap_checksums();
            let bits = self.sb.s_blocks_per_group;
            let sum = bitmap_checksum(&bitmap, bits, &self.sb);
            if !same_checksum(stored, sum, &self.sb) {
                return Err(
                    Structure::BlockBitmap(number).checksum(stored, sum)
                );
            }
        }
        Ok(bitmap)
    }

    /// In a group without a bitmap only its tables are in use. Bits past
    /// the end of the group are set, to the end of the block.
    fn compose_block_bitmap(&self, number: u32) -> Vec<u8> {
        let mut bitmap = vec![0; index(self.sb.block_size)];
        let (start, end) = (self.group_start(number), self.group_end(number));
        for &(from, to) in self.tables_in(start, end) {
            for block in from.max(start)..to.min(end) {
                set_bit(&mut bitmap, block.saturating_sub(start), true);
            }
        }
        let bits = u64::from(self.sb.block_size).saturating_mul(8);
        for at in end.saturating_sub(start)..bits {
            set_bit(&mut bitmap, at, true);
        }
        bitmap
    }

    /// Returns the inode bitmap of a group.
    pub(super) fn inode_bitmap(&self, number: u32) -> Result<Arc<Vec<u8>>> {
        let group = self.group(number)?;
        if group.has(INODE_UNINIT) {
            let mut bitmap = vec![0; index(self.sb.block_size)];
            let bits = u64::from(self.sb.block_size).saturating_mul(8);
            for at in u64::from(self.sb.s_inodes_per_group)..bits {
                set_bit(&mut bitmap, at, true);
            }
            return Ok(Arc::new(bitmap));
        }
        let bitmap = self.blocks.read(group.bg_inode_bitmap)?;
        if self.sb.metadata_csum() && !group.inode_bitmap_dirty {
            let (_, stored) = group.bitmap_checksums();
            let bits = self.sb.s_inodes_per_group;
            let sum = bitmap_checksum(&bitmap, bits, &self.sb);
            if !same_checksum(stored, sum, &self.sb) {
                return Err(
                    Structure::InodeBitmap(number).checksum(stored, sum)
                );
            }
        }
        Ok(bitmap)
    }

    /// Writes the bitmap of a group that had none, and says so.
    fn begin_block_bitmap(&mut self, number: u32) -> Result<()> {
        let bitmap = self.block_bitmap(number)?;
        let group = self.group_mut(number)?;
        group.block_bitmap_dirty = true;
        group.dirty = true;
        if group.has(BLOCK_UNINIT) {
            group.bg_flags &= !BLOCK_UNINIT;
            let block = group.bg_block_bitmap;
            self.blocks.write(block, bitmap.to_vec());
        }
        Ok(())
    }

    /// The same for inodes. The kernel wants the block bitmap to exist
    /// where inodes are in use.
    fn begin_inode_bitmap(&mut self, number: u32) -> Result<()> {
        let bitmap = self.inode_bitmap(number)?;
        let group = self.group_mut(number)?;
        group.inode_bitmap_dirty = true;
        group.dirty = true;
        if group.has(INODE_UNINIT) {
            group.bg_flags &= !INODE_UNINIT;
            let block = group.bg_inode_bitmap;
            let uninit = group.has(BLOCK_UNINIT);
            self.blocks.write(block, bitmap.to_vec());
            let per_group = self.sb.s_inodes_per_group;
            self.group_mut(number)?.bg_itable_unused = per_group;
            if uninit {
                self.begin_block_bitmap(number)?;
            }
        }
        Ok(())
    }

    /// Marks blocks as used or free and keeps all counts.
    pub(super) fn mark_blocks(
        &mut self,
        start: u64,
        len: u64,
        used: bool,
    ) -> Result<()> {
        let end = start.saturating_add(len);
        let mut block = start;
        while block < end {
            let (number, slot) = self.block_slot(block);
            let stop = self.group_end(number).min(end);
            let count = stop.saturating_sub(block);
            if count == 0 {
                return Err(Structure::Block(block).rule("in no group"));
            }
            self.begin_block_bitmap(number)?;
            let bitmap_block = self.group(number)?.bg_block_bitmap;
            let mut same = true;
            self.blocks.modify(bitmap_block, |bitmap| {
                for at in slot..slot.saturating_add(count) {
                    same &= bit(bitmap, at) != used;
                    set_bit(bitmap, at, used);
                }
            })?;
            if !same {
                return Err(Structure::BlockBitmap(number).rule(format!(
                    "blocks {block}..{stop} are in use twice, or not at all"
                )));
            }
            let delta = u32::try_from(count).unwrap_or(u32::MAX);
            let group = self.group_mut(number)?;
            let free = &mut group.bg_free_blocks_count;
            *free = if used {
                free.saturating_sub(delta)
            } else {
                free.saturating_add(delta)
            };
            block = stop;
        }
        let free = self.sb.free_blocks();
        self.sb.set_free_blocks(if used {
            free.saturating_sub(len)
        } else {
            free.saturating_add(len)
        });
        Ok(())
    }

    /// Marks an inode as used or free and keeps all counts.
    pub(super) fn mark_inode(
        &mut self,
        ino: u32,
        is_dir: bool,
        used: bool,
    ) -> Result<()> {
        let (number, slot) = self.inode_slot(ino);
        self.begin_inode_bitmap(number)?;
        let block = self.group(number)?.bg_inode_bitmap;
        let mut same = true;
        self.blocks.modify(block, |bitmap| {
            same = bit(bitmap, slot.into()) != used;
            set_bit(bitmap, slot.into(), used);
        })?;
        if !same {
            return Err(Structure::InodeBitmap(number)
                .rule(format!("inode {ino} is in use twice, or not at all")));
        }
        let per_group = self.sb.s_inodes_per_group;
        let free = self.sb.free_inodes();
        let (free_step, dirs_step) = (1, u32::from(is_dir));
        let group = self.group_mut(number)?;
        let free_here = &mut group.bg_free_inodes_count;
        let dirs = &mut group.bg_used_dirs_count;
        if used {
            *free_here = free_here.saturating_sub(free_step);
            *dirs = dirs.saturating_add(dirs_step);
            // The unused rest of the table begins after this inode.
            let rest = per_group.saturating_sub(slot).saturating_sub(1);
            group.bg_itable_unused = group.bg_itable_unused.min(rest);
            self.sb.set_free_inodes(free.saturating_sub(1));
        } else {
            *free_here = free_here.saturating_add(free_step);
            *dirs = dirs.saturating_sub(dirs_step);
            self.sb.set_free_inodes(free.saturating_add(1));
        }
        Ok(())
    }

    /// Recomputes the checksums of changed bitmaps and puts the changed
    /// descriptors into their blocks.
    pub(super) fn seal_groups(&mut self) -> Result<()> {
        for number in 0..self.sb.groups {
            let mut group = self.group(number)?.clone();
            if !group.dirty {
                continue;
            }
            if self.sb.metadata_csum() && group.block_bitmap_dirty {
                let bitmap = self.blocks.read(group.bg_block_bitmap)?;
                let bits = self.sb.s_blocks_per_group;
                let sum = bitmap_checksum(&bitmap, bits, &self.sb);
                group.set_block_bitmap_checksum(sum);
            }
            if self.sb.metadata_csum() && group.inode_bitmap_dirty {
                let bitmap = self.blocks.read(group.bg_inode_bitmap)?;
                let bits = self.sb.s_inodes_per_group;
                let sum = bitmap_checksum(&bitmap, bits, &self.sb);
                group.set_inode_bitmap_checksum(sum);
            }
            group.dirty = false;
            group.block_bitmap_dirty = false;
            group.inode_bitmap_dirty = false;
            let (block, at) = super::group::location(number, &self.sb);
            let raw = group.pack(number, &self.sb);
            self.blocks
                .modify(block, |bytes| super::le::put(bytes, at, raw))?;
            *self.group_mut(number)? = group;
        }
        Ok(())
    }
}
