//! The superblock: 1,024 bytes at offset 1,024.
//!
//! Fields are named as in the kernel's `ext4/super.rst` documentation.

use super::Result;
use super::checksum::crc32c;
use super::features::{
    BIT64, CSUM_SEED, Features, GDT_CSUM, METADATA_CSUM, RECOVER,
};
use super::le::{join32, put_u32, split64, u8_at, u16_at, u32_at};
use crate::fs::{FsErrorKind, Structure};

/// Where the superblock lies, and its size.
pub(super) const OFFSET: u64 = 1024;
pub(super) const SIZE: usize = 1024;

const STATE_VALID: u16 = 1;
const STATE_ERROR: u16 = 2;
const FLAG_UNSIGNED_HASH: u32 = 2;

/// What the editor needs of the superblock, and its raw bytes.
#[derive(Clone, Debug)]
pub(super) struct Superblock {
    raw: Vec<u8>,
    pub(super) features: Features,
    pub(super) s_inodes_count: u32,
    pub(super) s_blocks_count: u64,
    pub(super) s_first_data_block: u64,
    pub(super) block_size: u32,
    pub(super) s_blocks_per_group: u32,
    pub(super) s_inodes_per_group: u32,
    pub(super) s_first_ino: u32,
    pub(super) s_inode_size: u16,
    pub(super) s_desc_size: u16,
    pub(super) groups: u32,
    pub(super) csum_seed: u32,
}

pub(super) const NO_MAGIC: &str = "no ext4 superblock (magic number)";

fn corrupt<T>(message: impl Into<String>) -> Result<T> {
    Err(Structure::Superblock.rule(message))
}

/// Refuses the value of a field.
fn wrong<T>(
    name: &'static str,
    found: impl Into<u64>,
    expected: impl std::fmt::Display,
) -> Result<T> {
    Err(Structure::Superblock.field(name, found, expected))
}

fn unsupported<T>(message: impl Into<String>) -> Result<T> {
    Err(FsErrorKind::Unsupported(message.into()))
}

impl Superblock {
    /// Parses and checks `raw` for a device of `device_size` bytes. Refuses
    /// whatever could not be edited safely.
    pub(super) fn parse(raw: Vec<u8>, device_size: u64) -> Result<Self> {
        let sb = Self::parse_unclean(raw, device_size)?;
        if sb.features.has_incompat(RECOVER) {
            return Err(FsErrorKind::DirtyJournal);
        }
        sb.check_state()?;
        Ok(sb)
    }

    /// The same, whatever state it is in: enough for reading.
    pub(super) fn parse_unclean(
        raw: Vec<u8>,
        device_size: u64,
    ) -> Result<Self> {
        if u16_at(&raw, 0x38) != 0xEF53 {
            return corrupt(NO_MAGIC);
        }
        if u32_at(&raw, 0x4C) != 1 {
            return unsupported("ext2 revision 0 or an unknown revision");
        }
        let features = Features {
            compat: u32_at(&raw, 0x5C),
            incompat: u32_at(&raw, 0x60),
            ro_compat: u32_at(&raw, 0x64),
        };
        features.check()?;
        if features.has_ro_compat(METADATA_CSUM) {
            if u8_at(&raw, 0x175) != 1 {
                return unsupported("a checksum type other than crc32c");
            }
            let sum = crc32c(
                !0,
                raw.get(..0x3FC).expect("a superblock has 1024 bytes"),
            );
            let found = u32_at(&raw, 0x3FC);
            if sum != found {
                return Err(Structure::Superblock.checksum(found, sum));
            }
        }
        let sb = Self::geometry(raw, features)?;
        let bytes = sb.s_blocks_count.checked_mul(sb.block_size.into());
        if bytes.is_none_or(|bytes| bytes > device_size) {
            return wrong(
                "s_blocks_count",
                sb.s_blocks_count,
                format_args!(
                    "what blocks of {} bytes there are on a device of \
                     {device_size} bytes",
                    sb.block_size
                ),
            );
        }
        Ok(sb)
    }

    fn geometry(raw: Vec<u8>, features: Features) -> Result<Self> {
        let block_size = match u32_at(&raw, 0x18) {
            0 => 1024u32,
            1 => 2048,
            2 => 4096,
            log @ 3..=6 => {
                return unsupported(format!("blocks of 2^{log} KiB"));
            }
            log => return wrong("s_log_block_size", log, "at most 6"),
        };
        let bit64 = features.has_incompat(BIT64);
        let high = if bit64 { u32_at(&raw, 0x150) } else { 0 };
        let s_blocks_count = join32(high, u32_at(&raw, 0x04));
        let s_first_data_block = u64::from(u32_at(&raw, 0x14));
        let s_blocks_per_group = u32_at(&raw, 0x20);
        let s_inodes_per_group = u32_at(&raw, 0x28);
        let s_inodes_count = u32_at(&raw, 0x00);
        let s_inode_size = u16_at(&raw, 0x58);
        let s_desc_size = if bit64 { u16_at(&raw, 0xFE) } else { 32 };
        if !matches!((bit64, s_desc_size), (false, 32) | (true, 64)) {
            return unsupported(format!(
                "group descriptors of {s_desc_size} bytes"
            ));
        }
        let bits = block_size.checked_mul(8).expect("at most 4096");
        for (name, n) in [
            ("s_blocks_per_group", s_blocks_per_group),
            ("s_inodes_per_group", s_inodes_per_group),
        ] {
            if n == 0 || n > bits || !n.is_multiple_of(8) {
                let expected = format_args!("a multiple of 8 up to {bits}");
                return wrong(name, n, expected);
            }
        }
        // A cluster is a block, where there is no `bigalloc`.
        for (name, at, expected) in [
            ("s_log_cluster_size", 0x1C, u32_at(&raw, 0x18)),
            ("s_clusters_per_group", 0x24, s_blocks_per_group),
        ] {
            let found = u32_at(&raw, at);
            if found != expected {
                return wrong(name, found, expected);
            }
        }
        let first = u64::from(block_size == 1024);
        if s_first_data_block != first {
            return wrong("s_first_data_block", s_first_data_block, first);
        }
        if !s_inode_size.is_power_of_two()
            || s_inode_size < 128
            || u32::from(s_inode_size) > block_size
        {
            let expected =
                format_args!("a power of two from 128 to {block_size}");
            return wrong("s_inode_size", s_inode_size, expected);
        }
        let s_first_ino = u32_at(&raw, 0x54);
        if !(11..=s_inodes_count).contains(&s_first_ino) {
            let expected = format_args!("11 to {s_inodes_count}");
            return wrong("s_first_ino", s_first_ino, expected);
        }
        let Some(data @ 1..) = s_blocks_count.checked_sub(s_first_data_block)
        else {
            return wrong("s_blocks_count", s_blocks_count, "at least one");
        };
        let groups = data.div_ceil(u64::from(s_blocks_per_group));
        let inodes = groups.checked_mul(s_inodes_per_group.into());
        let groups = match (u32::try_from(groups), inodes) {
            (Ok(groups), Some(inodes))
                if inodes == u64::from(s_inodes_count) =>
            {
                groups
            }
            _ => {
                let expected = format_args!(
                    "{s_inodes_per_group} in each of {groups} groups"
                );
                return wrong("s_inodes_count", s_inodes_count, expected);
            }
        };
        let csum_seed = if features.has_incompat(CSUM_SEED) {
            u32_at(&raw, 0x270)
        } else {
            crc32c(
                !0,
                raw.get(0x68..0x78).expect("a superblock has 1024 bytes"),
            )
        };
        Ok(Self {
            features,
            s_inodes_count,
            s_blocks_count,
            s_first_data_block,
            block_size,
            s_blocks_per_group,
            s_inodes_per_group,
            s_first_ino,
            s_inode_size,
            s_desc_size,
            groups,
            csum_seed,
            raw,
        })
    }

    fn check_state(&self) -> Result<()> {
        let s_state = u16_at(&self.raw, 0x3A);
        if s_state & STATE_ERROR != 0 {
            return corrupt("the file system is marked as having errors");
        }
        if s_state & STATE_VALID == 0 {
            return corrupt("the file system was not cleanly unmounted");
        }
        match u32_at(&self.raw, 0xE8) {
            0 => Ok(()),
            ino => corrupt(format!("inode {ino} on the orphan list")),
        }
    }

    /// Returns the size of the file system in bytes.
    pub(super) fn size(&self) -> u64 {
        self.s_blocks_count
            .checked_mul(self.block_size.into())
            .expect("it fits into a device: see `parse_unclean`")
    }

    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    pub(super) fn metadata_csum(&self) -> bool {
        self.features.has_ro_compat(METADATA_CSUM)
    }

    /// Whether the UNINIT flags of groups mean anything.
    pub(super) fn group_csum(&self) -> bool {
        self.metadata_csum() || self.features.has_ro_compat(GDT_CSUM)
    }

    pub(super) fn uuid(&self) -> &[u8] {
        self.raw.get(0x68..0x78).expect("a superblock has 1024 bytes")
    }

    pub(super) fn s_reserved_gdt_blocks(&self) -> u16 {
        u16_at(&self.raw, 0xCE)
    }

    pub(super) fn s_backup_bgs(&self) -> [u32; 2] {
        [u32_at(&self.raw, 0x24C), u32_at(&self.raw, 0x250)]
    }

    pub(super) fn s_journal_inum(&self) -> u32 {
        u32_at(&self.raw, 0xE0)
    }

    pub(super) fn s_orphan_file_inum(&self) -> u32 {
        u32_at(&self.raw, 0x280)
    }

    pub(super) fn s_hash_seed(&self) -> [u32; 4] {
        [0xEC, 0xF0, 0xF4, 0xF8].map(|at| u32_at(&self.raw, at))
    }

    pub(super) fn s_def_hash_version(&self) -> u8 {
        u8_at(&self.raw, 0xFC)
    }

    /// Whether names are hashed as unsigned characters.
    pub(super) fn unsigned_hash(&self) -> bool {
        u32_at(&self.raw, 0x160) & FLAG_UNSIGNED_HASH != 0
    }

    /// Returns `i_extra_isize` for new inodes.
    pub(super) fn extra_isize(&self) -> u16 {
        let room = self
            .s_inode_size
            .checked_sub(128)
            .expect("inodes have 128 bytes or more");
        let want = u16_at(&self.raw, 0x15E);
        if (28..=room).contains(&want) && want.is_multiple_of(4) {
            want
        } else {
            room.min(32)
        }
    }

    pub(super) fn free_blocks(&self) -> u64 {
        let bit64 = self.features.has_incompat(BIT64);
        let high = if bit64 { u32_at(&self.raw, 0x158) } else { 0 };
        join32(high, u32_at(&self.raw, 0x0C))
    }

    pub(super) fn set_free_blocks(&mut self, count: u64) {
        let (high, low) = split64(count);
        put_u32(&mut self.raw, 0x0C, low);
        if self.features.has_incompat(BIT64) {
            put_u32(&mut self.raw, 0x158, high);
        }
    }

    pub(super) fn free_inodes(&self) -> u32 {
        u32_at(&self.raw, 0x10)
    }

    pub(super) fn set_free_inodes(&mut self, count: u32) {
        put_u32(&mut self.raw, 0x10, count);
    }

    /// Computes the checksum anew, before writing.
    pub(super) fn seal(&mut self) {
        if self.metadata_csum() {
            let sum = crc32c(
                !0,
                self.raw.get(..0x3FC).expect("a superblock has 1024 bytes"),
            );
            put_u32(&mut self.raw, 0x3FC, sum);
        }
    }
}
