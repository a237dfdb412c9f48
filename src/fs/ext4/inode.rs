//! Inodes: fields, where they lie, their checksums.
//!
//! Field names and offsets: the kernel's `ext4/inodes.rst` documentation.

use super::checksum::crc32c;
use super::le::{
    index, join16, join32, put, put_u16, put_u32, split32, split64, u16_at,
    u32_at,
};
use super::{Ext4, Result};
use crate::fs::{FileKind, FsErrorKind, Meta, Structure};

pub(super) const ROOT_INO: u32 = 2;

// i_flags
pub(super) const INDEX_FL: u32 = 0x1000;
pub(super) const EXTENTS_FL: u32 = 0x8_0000;
const HUGE_FILE_FL: u32 = 0x4_0000;
const EOFBLOCKS_FL: u32 = 0x40_0000;
/// Inodes that hold something else than they seem to: compressed, encrypted,
/// verity, attribute, inline, case-folded.
const FOREIGN_FL: u32 =
    0x4 | 0x200 | 0x800 | 0x10_0000 | 0x20_0000 | 0x1000_0000 | 0x4000_0000;

/// Where `i_block` lies, and its size.
pub(super) const I_BLOCK: usize = 0x28;
pub(super) const I_BLOCK_SIZE: usize = 60;

/// Which of an inode's times.
#[derive(Clone, Copy, Debug)]
pub(super) enum Time {
    Access,
    Change,
    Modification,
    Creation,
}

/// One inode in memory.
#[derive(Clone, Debug)]
pub(super) struct Inode {
    pub(super) ino: u32,
    pub(super) raw: Vec<u8>,
}

impl Inode {
    /// Begins an inode with no content.
    pub(super) fn new(
        ino: u32,
        size: u16,
        extra: u16,
        generation: u32,
    ) -> Self {
        let mut raw = vec![0; index(size)];
        put_u32(&mut raw, 0x64, generation);
        if size > 128 {
            put_u16(&mut raw, 0x80, extra);
        }
        Self { ino, raw }
    }

    pub(super) fn i_mode(&self) -> u16 {
        u16_at(&self.raw, 0)
    }

    pub(super) fn set_mode(&mut self, mode: u16) {
        put_u16(&mut self.raw, 0, mode);
    }

    pub(super) fn kind(&self) -> FileKind {
        match self.i_mode() & 0xF000 {
            0x8000 => FileKind::File,
            0x4000 => FileKind::Directory,
            0xA000 => FileKind::Symlink,
            _ => FileKind::Special,
        }
    }

    pub(super) fn is_dir(&self) -> bool {
        self.kind() == FileKind::Directory
    }

    pub(super) fn i_size(&self) -> u64 {
        // Other kinds keep something else in the high half.
        let high = match self.kind() {
            FileKind::File | FileKind::Directory => u32_at(&self.raw, 0x6C),
            _ => 0,
        };
        join32(high, u32_at(&self.raw, 0x04))
    }

    pub(super) fn set_size(&mut self, size: u64) {
        let (high, low) = split64(size);
        put_u32(&mut self.raw, 0x04, low);
        put_u32(&mut self.raw, 0x6C, high);
    }

    pub(super) fn i_flags(&self) -> u32 {
        u32_at(&self.raw, 0x20)
    }

    pub(super) fn set_flags(&mut self, flags: u32) {
        put_u32(&mut self.raw, 0x20, flags);
    }

    pub(super) fn i_links_count(&self) -> u16 {
        u16_at(&self.raw, 0x1A)
    }

    pub(super) fn set_links(&mut self, links: u16) {
        put_u16(&mut self.raw, 0x1A, links);
    }

    pub(super) fn i_file_acl(&self) -> u64 {
        join32(u16_at(&self.raw, 0x76).into(), u32_at(&self.raw, 0x68))
    }

    /// Names the attribute block; 0 for none.
    pub(super) fn set_file_acl(&mut self, block: u64) {
        let (high, low) = split64(block);
        put_u32(&mut self.raw, 0x68, low);
        let high = u16::try_from(high).expect("blocks have 48-bit numbers");
        put_u16(&mut self.raw, 0x76, high);
    }

    /// Returns the bytes behind the fields: magic number and attributes.
    pub(super) fn xattrs_mut(&mut self) -> Option<&mut [u8]> {
        let at = 128usize.checked_add(self.extra_isize().into())?;
        self.raw.get_mut(at..).filter(|bytes| bytes.len() > 4)
    }

    pub(super) fn i_block(&self) -> &[u8] {
        self.raw
            .get(I_BLOCK..)
            .and_then(|rest| rest.get(..I_BLOCK_SIZE))
            .expect("inodes have 128 bytes or more: see Superblock")
    }

    pub(super) fn set_i_block(&mut self, bytes: &[u8]) {
        let mut block = [0; I_BLOCK_SIZE];
        put(&mut block, 0, bytes);
        put(&mut self.raw, I_BLOCK, &block);
    }

    pub(super) fn has_extents(&self) -> bool {
        self.i_flags() & EXTENTS_FL != 0
    }

    /// Whether a link's target is kept in the inode itself. Only targets
    /// shorter than `i_block` are.
    pub(super) fn is_fast_symlink(&self) -> bool {
        self.kind() == FileKind::Symlink
            && self.i_size() < 60
            && !self.has_extents()
    }

    /// Whether `i_block` says where blocks are.
    pub(super) fn has_blocks(&self) -> bool {
        self.kind() != FileKind::Special && !self.is_fast_symlink()
    }

    fn extra_isize(&self) -> u16 {
        if self.raw.len() > 128 { u16_at(&self.raw, 0x80) } else { 0 }
    }

    /// Whether the field that ends at `end` (beyond the first 128 bytes) is
    /// part of this inode.
    fn has_extra(&self, end: u16) -> bool {
        u16::checked_add(128, self.extra_isize()).is_some_and(|has| has >= end)
    }

    /// Sets a time in seconds. Times the inode cannot hold become the
    /// nearest it can, as in the kernel: 1901 to 2038 in 128-byte inodes,
    /// to 2446 in larger ones.
    pub(super) fn set_time(&mut self, which: Time, seconds: i64) {
        let (at, extra_at) = match which {
            Time::Access => (0x08, 0x8C),
            Time::Change => (0x0C, 0x84),
            Time::Modification => (0x10, 0x88),
            Time::Creation => (0x90, 0x94),
        };
        let end = |at: usize| {
            u16::try_from(
                at.checked_add(4).expect("places are those of the format"),
            )
        };
        let creation = matches!(which, Time::Creation);
        if creation && !end(at).is_ok_and(|end| self.has_extra(end)) {
            return;
        }
        let extra = end(extra_at).is_ok_and(|end| self.has_extra(end));
        let most = if extra { 0x3_7FFF_FFFF } else { i64::from(i32::MAX) };
        let seconds = seconds.clamp(i32::MIN.into(), most);
        let (_, low) = split64(seconds.cast_unsigned());
        put_u32(&mut self.raw, at, low);
        if extra {
            // Two bits say how often 2^32 seconds are to be added to the
            // signed 32-bit value.
            let signed = i64::from(low.cast_signed());
            let epoch = seconds.checked_sub(signed).expect("34 bits") >> 32;
            let epoch = u32::try_from(epoch & 3).expect("two bits");
            put_u32(&mut self.raw, extra_at, epoch);
        }
    }

    fn mtime(&self) -> i64 {
        let low = i64::from(u32_at(&self.raw, 0x10).cast_signed());
        if self.has_extra(0x8C) {
            let epoch = i64::from(u32_at(&self.raw, 0x88) & 3);
            low.checked_add(epoch << 32).expect("34 bits")
        } else {
            low
        }
    }

    pub(super) fn meta(&self) -> Meta {
        Meta {
            mode: self.i_mode() & 0o7777,
            uid: join16(u16_at(&self.raw, 0x78), u16_at(&self.raw, 0x02)),
            gid: join16(u16_at(&self.raw, 0x7A), u16_at(&self.raw, 0x18)),
            mtime: self.mtime(),
        }
    }

    /// Sets permission bits, owner and modification time.
    pub(super) fn set_meta(&mut self, meta: Meta) {
        let kind = self.i_mode() & 0xF000;
        self.set_mode(kind | (meta.mode & 0o7777));
        let (high, low) = split32(meta.uid);
        put_u16(&mut self.raw, 0x02, low);
        put_u16(&mut self.raw, 0x78, high);
        let (high, low) = split32(meta.gid);
        put_u16(&mut self.raw, 0x18, low);
        put_u16(&mut self.raw, 0x7A, high);
        self.set_time(Time::Modification, meta.mtime);
    }

    /// Sets `i_blocks` from file system blocks of `size` bytes.
    pub(super) fn set_blocks(
        &mut self,
        count: u64,
        size: u32,
        huge_file: bool,
    ) -> Result<()> {
        let sectors = count
            .checked_mul(u64::from(size / 512))
            .expect("blocks of the file system, eight sectors each");
        let (high, low) = split64(sectors);
        let high = u16::try_from(high).ok().filter(|&h| h == 0 || huge_file);
        let Some(high) = high else {
            return Err(FsErrorKind::Unsupported(
                "a file of 2 TiB or more without `huge_file`".to_owned(),
            ));
        };
        put_u32(&mut self.raw, 0x1C, low);
        put_u16(&mut self.raw, 0x74, high);
        self.set_flags(self.i_flags() & !(HUGE_FILE_FL | EOFBLOCKS_FL));
        Ok(())
    }

    pub(super) fn set_dtime(&mut self, seconds: u32) {
        put_u32(&mut self.raw, 0x14, seconds);
    }

    /// Returns the seed of all checksums that belong to this inode.
    pub(super) fn checksum_seed(&self, fs_seed: u32) -> u32 {
        let generation = u32_at(&self.raw, 0x64).to_le_bytes();
        crc32c(crc32c(fs_seed, &self.ino.to_le_bytes()), &generation)
    }

    /// Returns the checksum and whether its high half is stored.
    fn checksum(&self, fs_seed: u32) -> (u32, bool) {
        let mut clean = self.raw.clone();
        put_u16(&mut clean, 0x7C, 0);
        let wide = self.has_extra(0x84);
        if wide {
            put_u16(&mut clean, 0x82, 0);
        }
        (crc32c(self.checksum_seed(fs_seed), &clean), wide)
    }

    fn verify(&self, fs_seed: u32) -> Result<()> {
        let (sum, wide) = self.checksum(fs_seed);
        let low = u16_at(&self.raw, 0x7C);
        let (high, sum) = match wide {
            true => (u16_at(&self.raw, 0x82), sum),
            false => (0, split32(sum).1.into()),
        };
        match join16(high, low) {
            found if found == sum => Ok(()),
            found => Err(Structure::Inode(self.ino).checksum(found, sum)),
        }
    }

    fn seal(&mut self, fs_seed: u32) {
        let (sum, wide) = self.checksum(fs_seed);
        let (high, low) = split32(sum);
        put_u16(&mut self.raw, 0x7C, low);
        if wide {
            put_u16(&mut self.raw, 0x82, high);
        }
    }
}

impl Ext4<'_> {
    fn inode_location(&self, ino: u32) -> Result<(u64, usize)> {
        let wrong = || Structure::Inode(ino).rule("no such number");
        if ino == 0 || ino > self.sb.s_inodes_count {
            return Err(wrong());
        }
        let (group, slot) = self.inode_slot(ino)?;
        let group = self.groups.get(index(group)).ok_or_else(wrong)?;
        let size = u64::from(self.sb.block_size);
        u64::from(slot)
            .checked_mul(self.sb.s_inode_size.into())
            .and_then(|byte| {
                let block = byte.checked_div(size)?;
                let offset = byte.checked_rem(size)?;
                let block = group.bg_inode_table.checked_add(block)?;
                Some((block, index(offset)))
            })
            .ok_or_else(wrong)
    }

    /// Reads an inode in use and verifies its checksum.
    pub(super) fn load_inode(&self, ino: u32) -> Result<Inode> {
        let (block, at) = self.inode_location(ino)?;
        let bytes = self.blocks.read(block)?;
        let end = at
            .checked_add(self.sb.s_inode_size.into())
            .expect("a place in a block, and no more than a block");
        let Some(raw) = bytes.get(at..end) else {
            return Err(Structure::Inode(ino).rule("past the table"));
        };
        let inode = Inode { ino, raw: raw.to_vec() };
        if self.sb.metadata_csum() {
            inode.verify(self.sb.csum_seed)?;
        }
        if inode.i_links_count() == 0 {
            return Err(Structure::Inode(ino).rule("in use but deleted"));
        }
        let room = self
            .sb
            .s_inode_size
            .checked_sub(128)
            .expect("inodes have 128 bytes or more: see Superblock");
        if inode.extra_isize() > room {
            return Err(Structure::Inode(ino).field(
                "i_extra_isize",
                inode.extra_isize(),
                format_args!("at most {room}"),
            ));
        }
        if inode.i_flags() & FOREIGN_FL != 0 {
            return Err(FsErrorKind::Unsupported(format!(
                "inode {ino} with flags {:#x}",
                inode.i_flags() & FOREIGN_FL
            )));
        }
        Ok(inode)
    }

    /// Puts an inode back into its table, with a fresh checksum.
    pub(super) fn store_inode(&mut self, inode: &mut Inode) -> Result<()> {
        if self.sb.metadata_csum() {
            inode.seal(self.sb.csum_seed);
        }
        let (block, at) = self.inode_location(inode.ino)?;
        self.blocks.modify(block, |bytes| put(bytes, at, &inode.raw))
    }
}
