//! Where new inodes come from, and where freed ones go.

use super::inode::{Inode, Time};
use super::layout::first_clear;
use super::le::split64;
use super::{Ext4, Result};
use crate::fs::{FsErrorKind, Structure};

impl Ext4<'_> {
    /// Allocates an inode: the first free one in the group of `near`, else
    /// in the next group that has one.
    pub(super) fn allocate_inode(
        &mut self,
        near: u32,
        is_dir: bool,
    ) -> Result<Inode> {
        let (first, _) = self.inode_slot(near)?;
        let order = (first..self.sb.groups).chain(0..first);
        for number in order {
            if self.group_mut(number)?.bg_free_inodes_count == 0 {
                continue;
            }
            let bitmap = self.inode_bitmap(number)?;
            let base = number.checked_mul(self.sb.s_inodes_per_group);
            let base = base.expect("no more than s_inodes_count, 32 bits");
            let reserved = self.sb.s_first_ino.checked_sub(1);
            let reserved = reserved.expect("11 or more: see Superblock");
            // In groups behind nothing is reserved.
            let from = reserved.saturating_sub(base);
            let free = first_clear(
                &bitmap,
                from.into(),
                self.sb.s_inodes_per_group.into(),
            );
            // Held no longer, so that it is changed in place.
            drop(bitmap);
            let Some(Ok(slot)) = free.map(u32::try_from) else {
                return Err(Structure::GroupDescriptor(number).field(
                    "bg_free_inodes_count",
                    self.group_mut(number)?.bg_free_inodes_count,
                    0,
                ));
            };
            let ino = base
                .checked_add(slot)
                .and_then(|before| before.checked_add(1))
                .expect("no more than s_inodes_count, 32 bits");
            self.mark_inode(ino, is_dir, true)?;
            return Ok(self.blank_inode(ino));
        }
        Err(FsErrorKind::NoSpace { what: "inodes", needed: 1, available: 0 })
    }

    fn blank_inode(&mut self, ino: u32) -> Inode {
        let (_, generation) =
            split64(mix(self.options.seed, self.created, ino));
        self.created = self.created.checked_add(1).expect("one for each inode");
        let size = self.sb.s_inode_size;
        let mut inode =
            Inode::new(ino, size, self.sb.extra_isize(), generation);
        for time in [Time::Access, Time::Change, Time::Creation] {
            inode.set_time(time, self.options.now);
        }
        inode
    }

    /// Frees an inode and all its blocks.
    pub(super) fn free_inode(&mut self, inode: &mut Inode) -> Result<()> {
        let mapping = self.mapping(inode)?;
        for run in &mapping.runs {
            self.free_blocks(run.physical, run.len)?;
        }
        for &block in &mapping.tree {
            self.free_blocks(block, 1)?;
        }
        self.release_xattr_block(inode)?;
        self.mark_inode(inode.ino, inode.is_dir(), false)?;
        if inode.has_blocks() {
            self.write_extents(inode, &[], Vec::new())?;
        } else {
            // The target of a link.
            inode.set_i_block(&[]);
        }
        if let Some(attributes) = inode.xattrs_mut() {
            attributes.fill(0);
        }
        inode.set_file_acl(0);
        inode.set_blocks(0, self.sb.block_size, false)?;
        inode.set_size(0);
        inode.set_links(0);
        inode.set_time(Time::Change, self.options.now);
        // A smaller number would pass for an entry of the orphan list.
        let earliest = self.sb.s_inodes_count;
        let now = self.options.now.max(earliest.into());
        inode.set_dtime(u32::try_from(now).unwrap_or(u32::MAX));
        self.store_inode(inode)
    }
}

/// Mixes the inputs into a number without a pattern (SplitMix64).
fn mix(seed: u64, count: u64, ino: u32) -> u64 {
    let step = 0x9E37_79B9_7F4A_7C15_u64;
    let z = seed
        .wrapping_add(step.wrapping_mul(count.wrapping_add(1)))
        .wrapping_add(u64::from(ino) << 32);
    let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}
