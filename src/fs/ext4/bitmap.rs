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
                set_bit(
                    &mut bitmap,
                    block.checked_sub(start).expect("blocks of the group"),
                    true,
                );
            }
        }
        let bits = u64::from(self.sb.block_size)
            .checked_mul(8)
            .expect("32 bits times 8");
        for at in end.checked_sub(start).expect("groups begin inside")..bits {
            set_bit(&mut bitmap, at, true);
        }
        bitmap
    }

    /// Returns the inode bitmap of a group.
    pub(super) fn inode_bitmap(&self, number: u32) -> Result<Arc<Vec<u8>>> {
        let group = self.group(number)?;
        if group.has(INODE_UNINIT) {
            let mut bitmap = vec![0; index(self.sb.block_size)];
            let bits = u64::from(self.sb.block_size)
                .checked_mul(8)
                .expect("32 bits times 8");
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
        let outside = || Structure::Block(start).rule("past any device");
        let end = start.checked_add(len).ok_or_else(outside)?;
        let mut block = start;
        while block < end {
            let (number, slot) = self.block_slot(block)?;
            let stop = self.group_end(number).min(end);
            let count = match stop.checked_sub(block) {
                None | Some(0) => {
                    return Err(Structure::Block(block).rule("in no group"));
                }
                Some(count) => count,
            };
            self.begin_block_bitmap(number)?;
            let bitmap_block = self.group(number)?.bg_block_bitmap;
            let mut same = true;
            self.blocks.modify(bitmap_block, |bitmap| {
                let behind = slot.checked_add(count);
                for at in slot..behind.expect("both inside one group") {
                    same &= bit(bitmap, at) != used;
                    set_bit(bitmap, at, used);
                }
            })?;
            if !same {
                return Err(Structure::BlockBitmap(number).rule(format!(
                    "blocks {block}..{stop} are in use twice, or not at all"
                )));
            }
            let group = self.group_mut(number)?;
            let before = group.bg_free_blocks_count;
            let free = u32::try_from(count).ok().and_then(|delta| {
                if used {
                    before.checked_sub(delta)
                } else {
                    before.checked_add(delta)
                }
            });
            let name = "bg_free_blocks_count";
            group.bg_free_blocks_count = free.ok_or_else(|| {
                Structure::GroupDescriptor(number).field(
                    name,
                    before,
                    format_args!("room for {count} blocks"),
                )
            })?;
            block = stop;
        }
        let before = self.sb.free_blocks();
        let free = if used {
            before.checked_sub(len)
        } else {
            before.checked_add(len)
        };
        let free = free.filter(|free| *free <= self.sb.s_blocks_count);
        self.sb.set_free_blocks(free.ok_or_else(|| {
            Structure::Superblock.field(
                "s_free_blocks_count",
                before,
                format_args!("room for {len} blocks"),
            )
        })?);
        Ok(())
    }

    /// Marks an inode as used or free and keeps all counts.
    pub(super) fn mark_inode(
        &mut self,
        ino: u32,
        is_dir: bool,
        used: bool,
    ) -> Result<()> {
        let (number, slot) = self.inode_slot(ino)?;
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
        let step = |count: u32, by: u32, up: bool| {
            if up { count.checked_add(by) } else { count.checked_sub(by) }
        };
        let per_group = self.sb.s_inodes_per_group;
        let place = Structure::GroupDescriptor(number);
        let group = self.group_mut(number)?;
        let (free, dirs) =
            (group.bg_free_inodes_count, group.bg_used_dirs_count);
        group.bg_free_inodes_count =
            step(free, 1, !used).filter(|free| *free <= per_group).ok_or_else(
                || place.field("bg_free_inodes_count", free, "another number"),
            )?;
        group.bg_used_dirs_count = step(dirs, is_dir.into(), used)
            .filter(|dirs| *dirs <= per_group)
            .ok_or_else(|| {
                place.field("bg_used_dirs_count", dirs, "another number")
            })?;
        if used {
            // The unused rest of the table begins after this inode.
            let rest = slot.checked_add(1);
            let rest = rest.and_then(|used| per_group.checked_sub(used));
            let rest = rest.expect("slots are numbers below per_group");
            group.bg_itable_unused = group.bg_itable_unused.min(rest);
        }
        let free = self.sb.free_inodes();
        let after = step(free, 1, !used);
        let after = after.filter(|free| *free <= self.sb.s_inodes_count);
        self.sb.set_free_inodes(after.ok_or_else(|| {
            let name = "s_free_inodes_count";
            Structure::Superblock.field(name, free, "another number")
        })?);
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
