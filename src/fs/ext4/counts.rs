//! What a group says of its inodes, against its bitmap and its table.

use super::group::INODE_UNINIT;
use super::layout::bit;
use super::le::{index, u16_at, wide};
use super::{Ext4, Result};
use crate::fs::Structure;

/// Tables are read in pieces of about this many bytes.
const PIECE: usize = 1 << 18;

impl Ext4<'_> {
    /// Refuses a group whose counts of free inodes and directories, or whose
    /// mark where the table ends, are not what its bitmap and table say.
    pub(super) fn check_inodes(&self, number: u32) -> Result<()> {
        let place = Structure::GroupDescriptor(number);
        let group = self.group(number)?;
        let per_group = self.sb.s_inodes_per_group;
        let wrong = |name, found: u32, expected: u32| {
            if found == expected {
                Ok(())
            } else {
                Err(place.field(name, found, expected))
            }
        };
        if group.has(INODE_UNINIT) {
            let free = group.bg_free_inodes_count;
            wrong("bg_free_inodes_count", free, per_group)?;
            return wrong("bg_used_dirs_count", group.bg_used_dirs_count, 0);
        }
        let bitmap = self.inode_bitmap(number)?;
        let used: Vec<u32> = (0..per_group)
            .filter(|slot| bit(&bitmap, (*slot).into()))
            .collect();
        let in_use = u32::try_from(used.len()).expect("slots are 32-bit");
        let free = per_group.checked_sub(in_use).expect("slots of the group");
        wrong("bg_free_inodes_count", group.bg_free_inodes_count, free)?;
        // Without checksums nobody maintains where the table ends.
        let behind = used.last().map_or(0, |last| last.wrapping_add(1));
        let unused = per_group.checked_sub(behind).expect("a slot of it");
        if self.sb.group_csum() && group.bg_itable_unused > unused {
            let found = group.bg_itable_unused;
            let expected = format_args!("at most {unused}");
            return Err(place.field("bg_itable_unused", found, expected));
        }
        let directories = self.count_directories(number, &used)?;
        wrong("bg_used_dirs_count", group.bg_used_dirs_count, directories)
    }

    /// Counts the directories among the inodes in these slots of a group,
    /// which are in ascending order.
    fn count_directories(&self, number: u32, used: &[u32]) -> Result<u32> {
        let table = self.group(number)?.bg_inode_table;
        let block = index(self.sb.block_size);
        let inode = usize::from(self.sb.s_inode_size);
        let piece = PIECE.next_multiple_of(block);
        let per_piece = piece.checked_div(inode).expect("inodes have a size");
        let blocks = wide(piece)
            .checked_div(self.sb.block_size.into())
            .expect("blocks have a size");
        let of_piece = |slot: u32| index(slot).checked_div(per_piece);
        let mut directories = 0u32;
        let mut buffer = Vec::new();
        for slots in used.chunk_by(|a, b| of_piece(*a) == of_piece(*b)) {
            let (first, last) = match slots {
                [first, .., last] => (*first, *last),
                [only] => (*only, *only),
                [] => continue,
            };
            let at = of_piece(first).expect("pieces hold inodes");
            let begin = at.checked_mul(per_piece).expect("at most a slot");
            let within = |slot: u32| {
                index(slot)
                    .checked_sub(begin)
                    .and_then(|slot| slot.checked_mul(inode))
                    .expect("a slot of this piece")
            };
            let end = within(last).checked_add(inode).expect("in the piece");
            buffer.resize(end.next_multiple_of(block), 0);
            let start = wide(at)
                .checked_mul(blocks)
                .and_then(|skipped| table.checked_add(skipped))
                .expect("the table is inside the file system");
            self.blocks.read_run(start, &mut buffer)?;
            let is_dir =
                |slot: &&u32| u16_at(&buffer, within(**slot)) >> 12 == 0x4;
            let found = slots.iter().filter(is_dir).count();
            directories = u32::try_from(found)
                .ok()
                .and_then(|found| directories.checked_add(found))
                .expect("no more than slots");
        }
        Ok(directories)
    }
}
