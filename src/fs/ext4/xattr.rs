//! Extended attribute blocks: only their reference counts are of interest.
//!
//! Attributes inside inodes are kept by leaving their bytes alone.

use super::checksum::crc32c;
use super::inode::Inode;
use super::le::{put_u32, u32_at};
use super::{Ext4, Result};
use crate::fs::FsErrorKind;

const MAGIC: u32 = 0xEA02_0000;

fn checksum(bytes: &[u8], block: u64, fs_seed: u32) -> u32 {
    let mut clean = bytes.to_vec();
    put_u32(&mut clean, 0x10, 0);
    crc32c(crc32c(fs_seed, &block.to_le_bytes()), &clean)
}

impl Ext4<'_> {
    /// Takes one reference off the attribute block of `inode`, and frees it
    /// with the last one.
    pub(super) fn release_xattr_block(&mut self, inode: &Inode) -> Result<()> {
        let block = inode.i_file_acl();
        if block == 0 {
            return Ok(());
        }
        let wrong = |what: &str| {
            FsErrorKind::Corrupt(format!(
                "inode {}: {what} of the attribute block",
                inode.ino
            ))
        };
        if !self.is_data(block, 1) {
            return Err(wrong("place"));
        }
        let bytes = self.blocks.read(block)?;
        let seed = self.sb.csum_seed;
        if u32_at(&bytes, 0) != MAGIC || u32_at(&bytes, 8) != 1 {
            return Err(wrong("header"));
        }
        if self.sb.metadata_csum()
            && u32_at(&bytes, 0x10) != checksum(&bytes, block, seed)
        {
            return Err(wrong("checksum"));
        }
        match u32_at(&bytes, 4) {
            0 => Err(wrong("count of references")),
            1 => self.free_blocks(block, 1),
            count => {
                let mut bytes = bytes.to_vec();
                put_u32(&mut bytes, 4, count.saturating_sub(1));
                if self.sb.metadata_csum() {
                    let sum = checksum(&bytes, block, seed);
                    put_u32(&mut bytes, 0x10, sum);
                }
                self.blocks.write(block, bytes);
                Ok(())
            }
        }
    }
}
