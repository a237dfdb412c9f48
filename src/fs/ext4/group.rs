//! Block group descriptors, of 32 and of 64 bytes.

use super::Result;
use super::checksum::{crc16, crc32c};
use super::le::{index, join16, join32, put_u16, split32, u16_at, u32_at};
use super::superblock::Superblock;
use crate::fs::Structure;

/// The inode bitmap and table were never written.
pub(super) const INODE_UNINIT: u16 = 1;
/// The block bitmap was never written.
pub(super) const BLOCK_UNINIT: u16 = 2;

/// One descriptor, unpacked, with what was changed since.
#[derive(Clone, Debug)]
pub(super) struct Group {
    raw: Vec<u8>,
    pub(super) bg_block_bitmap: u64,
    pub(super) bg_inode_bitmap: u64,
    pub(super) bg_inode_table: u64,
    pub(super) bg_free_blocks_count: u32,
    pub(super) bg_free_inodes_count: u32,
    pub(super) bg_used_dirs_count: u32,
    pub(super) bg_itable_unused: u32,
    pub(super) bg_flags: u16,
    pub(super) block_bitmap_dirty: bool,
    pub(super) inode_bitmap_dirty: bool,
    pub(super) dirty: bool,
}

impl Group {
    /// Unpacks descriptor number `group` and verifies its checksum.
    pub(super) fn parse(
        raw: &[u8],
        group: u32,
        sb: &Superblock,
    ) -> Result<Self> {
        let place = Structure::GroupDescriptor(group);
        let (found, sum) = (u16_at(raw, 0x1E), checksum(raw, group, sb));
        if sb.group_csum() && found != sum {
            return Err(place.checksum(found, sum));
        }
        // Past the end of a 32-byte descriptor everything reads as zero.
        let block = |low, high| join32(u32_at(raw, high), u32_at(raw, low));
        let count = |low, high| join16(u16_at(raw, high), u16_at(raw, low));
        let this = Self {
            bg_block_bitmap: block(0x00, 0x20),
            bg_inode_bitmap: block(0x04, 0x24),
            bg_inode_table: block(0x08, 0x28),
            bg_free_blocks_count: count(0x0C, 0x2C),
            bg_free_inodes_count: count(0x0E, 0x2E),
            bg_used_dirs_count: count(0x10, 0x30),
            bg_itable_unused: count(0x1C, 0x32),
            // Without checksums nobody maintains these.
            bg_flags: if sb.group_csum() { u16_at(raw, 0x12) } else { 0 },
            block_bitmap_dirty: false,
            inode_bitmap_dirty: false,
            dirty: false,
            raw: raw.to_vec(),
        };
        this.check(group, sb)?;
        Ok(this)
    }

    fn check(&self, group: u32, sb: &Superblock) -> Result<()> {
        let table = inode_table_blocks(sb);
        let place = Structure::GroupDescriptor(group);
        for (name, start, len) in [
            ("bg_block_bitmap", self.bg_block_bitmap, 1),
            ("bg_inode_bitmap", self.bg_inode_bitmap, 1),
            ("bg_inode_table", self.bg_inode_table, table),
        ] {
            let end = start.checked_add(len);
            if start <= sb.s_first_data_block
                || end.is_none_or(|end| end > sb.s_blocks_count)
            {
                let expected = "a place inside the file system";
                return Err(place.field(name, start, expected));
            }
        }
        let (inodes, blocks) = (sb.s_inodes_per_group, sb.s_blocks_per_group);
        for (name, count, most) in [
            ("bg_free_inodes_count", self.bg_free_inodes_count, inodes),
            ("bg_used_dirs_count", self.bg_used_dirs_count, inodes),
            ("bg_itable_unused", self.bg_itable_unused, inodes),
            ("bg_free_blocks_count", self.bg_free_blocks_count, blocks),
        ] {
            if count > most {
                let expected = format_args!("at most {most}");
                return Err(place.field(name, count, expected));
            }
        }
        Ok(())
    }

    pub(super) fn has(&self, flag: u16) -> bool {
        self.bg_flags & flag != 0
    }

    /// Returns the stored checksums of the block and the inode bitmap.
    /// With 32-byte descriptors only the low halves exist.
    pub(super) fn bitmap_checksums(&self) -> (u32, u32) {
        (
            join16(u16_at(&self.raw, 0x38), u16_at(&self.raw, 0x18)),
            join16(u16_at(&self.raw, 0x3A), u16_at(&self.raw, 0x1A)),
        )
    }

    pub(super) fn set_block_bitmap_checksum(&mut self, sum: u32) {
        self.put_halves(0x18, 0x38, sum);
    }

    pub(super) fn set_inode_bitmap_checksum(&mut self, sum: u32) {
        self.put_halves(0x1A, 0x3A, sum);
    }

    fn put_halves(&mut self, low_at: usize, high_at: usize, value: u32) {
        let (high, low) = split32(value);
        put_u16(&mut self.raw, low_at, low);
        if self.raw.len() >= 64 {
            put_u16(&mut self.raw, high_at, high);
        }
    }

    /// Returns the descriptor as it belongs on the device.
    pub(super) fn pack(&mut self, group: u32, sb: &Superblock) -> &[u8] {
        self.put_halves(0x0C, 0x2C, self.bg_free_blocks_count);
        self.put_halves(0x0E, 0x2E, self.bg_free_inodes_count);
        self.put_halves(0x10, 0x30, self.bg_used_dirs_count);
        if sb.group_csum() {
            self.put_halves(0x1C, 0x32, self.bg_itable_unused);
            put_u16(&mut self.raw, 0x12, self.bg_flags);
            let sum = checksum(&self.raw, group, sb);
            put_u16(&mut self.raw, 0x1E, sum);
        }
        &self.raw
    }
}

/// Returns how many blocks the inode table of one group takes.
pub(super) fn inode_table_blocks(sb: &Superblock) -> u64 {
    u64::from(sb.s_inodes_per_group)
        .checked_mul(sb.s_inode_size.into())
        .expect("a 32-bit and a 16-bit number")
        .div_ceil(sb.block_size.into())
}

fn checksum(raw: &[u8], group: u32, sb: &Superblock) -> u16 {
    let number = group.to_le_bytes();
    if sb.metadata_csum() {
        let mut clean = raw.to_vec();
        put_u16(&mut clean, 0x1E, 0);
        let sum = crc32c(crc32c(sb.csum_seed, &number), &clean);
        split32(sum).1
    } else {
        let sum = crc16(crc16(!0, sb.uuid()), &number);
        let sum = crc16(
            sum,
            raw.get(..0x1E).expect("descriptors have 32 bytes or more"),
        );
        crc16(sum, raw.get(0x20..).expect("descriptors have 32 bytes or more"))
    }
}

/// A checksum of a bitmap as far as it describes real blocks or inodes.
pub(super) fn bitmap_checksum(
    bitmap: &[u8],
    bits: u32,
    sb: &Superblock,
) -> u32 {
    crc32c(sb.csum_seed, bitmap.get(..index(bits / 8)).unwrap_or(bitmap))
}

/// Whether the stored checksum agrees, as far as it was stored.
pub(super) fn same_checksum(stored: u32, sum: u32, sb: &Superblock) -> bool {
    if sb.s_desc_size >= 64 {
        stored == sum
    } else {
        split32(stored).1 == split32(sum).1
    }
}

/// Returns the number of the block that holds the descriptor of `group`,
/// and its offset there.
pub(super) fn location(group: u32, sb: &Superblock) -> (u64, usize) {
    let place = || {
        let per_block = sb.block_size.checked_div(sb.s_desc_size.into())?;
        let block = group.checked_div(per_block)?;
        let slot = group.checked_rem(per_block)?;
        let first = sb.s_first_data_block.checked_add(1)?;
        let at = index(slot).checked_mul(sb.s_desc_size.into())?;
        Some((first.checked_add(block.into())?, at))
    };
    place().expect("32 or 64 bytes, in blocks of 1 to 4 KiB")
}

/// Returns how many blocks all descriptors take.
pub(super) fn descriptor_blocks(sb: &Superblock) -> u64 {
    u64::from(sb.groups)
        .checked_mul(sb.s_desc_size.into())
        .expect("a 32-bit and a 16-bit number")
        .div_ceil(sb.block_size.into())
}
