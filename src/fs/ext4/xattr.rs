//! Extended attributes of inodes: blocks that inodes share, and those that
//! chmod(2), chown(2) and write(2) change.

use super::attributes::{Entries, SECURITY_CAPABILITY, Wrong};
use super::checksum::crc32c;
use super::inode::Inode;
use super::le::{put_u32, u32_at};
use super::{Ext4, Result};
use crate::fs::{Meta, Structure};

const MAGIC: u32 = 0xEA02_0000;
// Of the header of a block.
const REFERENCES: usize = 4;
const BLOCKS: usize = 8;
const HASH: usize = 0xC;
const CHECKSUM: usize = 0x10;
const BLOCK_HEADER: usize = 32;

/// Changes attributes in one place; false if there was nothing to change.
type Change<'c> =
    &'c dyn Fn(&mut Entries<'_>) -> std::result::Result<bool, Wrong>;

fn checksum(bytes: &[u8], block: u64, fs_seed: u32) -> u32 {
    let mut clean = bytes.to_vec();
    put_u32(&mut clean, CHECKSUM, 0);
    crc32c(crc32c(fs_seed, &block.to_le_bytes()), &clean)
}

impl Ext4<'_> {
    /// Reads the attribute block of `inode`, if it has one, and the count of
    /// inodes that refer to it.
    fn xattr_block(
        &self,
        inode: &Inode,
    ) -> Result<Option<(u64, Vec<u8>, u32)>> {
        let block = inode.i_file_acl();
        if block == 0 {
            return Ok(None);
        }
        let structure = Structure::Attributes(inode.ino);
        if !self.is_data(block, 1) {
            let expected = "a block that may hold data";
            return Err(structure.field("i_file_acl", block, expected));
        }
        let bytes = self.blocks.read(block)?.to_vec();
        for (name, at, expected) in
            [("h_magic", 0, MAGIC), ("h_blocks", BLOCKS, 1)]
        {
            let found = u32_at(&bytes, at);
            if found != expected {
                return Err(structure.field(name, found, expected));
            }
        }
        let sum = checksum(&bytes, block, self.sb.csum_seed);
        let found = u32_at(&bytes, CHECKSUM);
        if self.sb.metadata_csum() && found != sum {
            return Err(structure.checksum(found, sum));
        }
        match u32_at(&bytes, REFERENCES) {
            0 => Err(structure.field("h_refcount", 0u32, "at least 1")),
            count => Ok(Some((block, bytes, count))),
        }
    }

    fn store_xattr_block(&mut self, block: u64, mut bytes: Vec<u8>) {
        if self.sb.metadata_csum() {
            let sum = checksum(&bytes, block, self.sb.csum_seed);
            put_u32(&mut bytes, CHECKSUM, sum);
        }
        self.blocks.write(block, bytes);
    }

    /// Takes one reference off the attribute block of `inode`, and frees it
    /// with the last one.
    pub(super) fn release_xattr_block(&mut self, inode: &Inode) -> Result<()> {
        let Some((block, mut bytes, count)) = self.xattr_block(inode)? else {
            return Ok(());
        };
        match count.checked_sub(1) {
            None | Some(0) => self.free_blocks(block, 1),
            Some(others) => {
                put_u32(&mut bytes, REFERENCES, others);
                self.store_xattr_block(block, bytes);
                Ok(())
            }
        }
    }

    /// Sets mode, owner and time as chmod(2) and chown(2) do: the mode goes
    /// into an ACL too, a new owner takes a program's capabilities away.
    pub(super) fn set_access(
        &mut self,
        inode: &mut Inode,
        meta: Meta,
    ) -> Result<()> {
        let old = inode.meta();
        if (old.uid, old.gid) != (meta.uid, meta.gid) && !inode.is_dir() {
            self.drop_capabilities(inode)?;
        }
        inode.set_meta(meta);
        let mode = inode.i_mode();
        self.change_xattrs(inode, &|entries| entries.chmod(mode))
    }

    /// Takes the capabilities of a program away, as write(2) does.
    pub(super) fn drop_capabilities(
        &mut self,
        inode: &mut Inode,
    ) -> Result<()> {
        self.change_xattrs(inode, &|entries| {
            entries.remove(SECURITY_CAPABILITY)
        })
    }

    /// Changes the attributes in the inode and those in its block. The
    /// caller stores the inode.
    fn change_xattrs(
        &mut self,
        inode: &mut Inode,
        change: Change<'_>,
    ) -> Result<()> {
        let structure = Structure::Attributes(inode.ino);
        let wrong = |what: Wrong| structure.rule(what);
        if let Some(place) = inode.xattrs_mut()
            && let Some((magic, entries)) = place.split_first_chunk_mut::<4>()
            && *magic == MAGIC.to_le_bytes()
        {
            let mut entries = Entries::new(entries, 0);
            if change(&mut entries).map_err(wrong)?
                && entries.is_empty().map_err(wrong)?
            {
                magic.fill(0);
            }
        }
        let Some((block, mut bytes, count)) = self.xattr_block(inode)? else {
            return Ok(());
        };
        let mut entries = Entries::new(&mut bytes, BLOCK_HEADER);
        if !change(&mut entries).map_err(wrong)? {
            return Ok(());
        }
        let is_empty = entries.is_empty().map_err(wrong)?;
        let hash = entries.hash().map_err(wrong)?;
        put_u32(&mut bytes, HASH, hash);
        if is_empty {
            self.release_xattr_block(inode)?;
            inode.set_file_acl(0);
            return self.count_blocks(inode);
        }
        if count == 1 {
            self.store_xattr_block(block, bytes);
            return Ok(());
        }
        // The others that share it keep what they have.
        self.release_xattr_block(inode)?;
        let own = self.allocate_block()?;
        put_u32(&mut bytes, REFERENCES, 1);
        self.store_xattr_block(own, bytes);
        inode.set_file_acl(own);
        Ok(())
    }

    /// Counts the blocks of an inode anew.
    fn count_blocks(&self, inode: &mut Inode) -> Result<()> {
        let mapping = self.mapping(inode)?;
        let tree = u64::try_from(mapping.tree.len()).ok();
        let count = tree
            .and_then(|tree| tree.checked_add(mapping.data_blocks()))
            .and_then(|n| n.checked_add(u64::from(inode.i_file_acl() != 0)))
            .ok_or_else(|| {
                Structure::BlockMap(inode.ino)
                    .rule("more blocks than there are")
            })?;
        let huge_file =
            self.sb.features.has_ro_compat(super::features::HUGE_FILE);
        inode.set_blocks(count, self.sb.block_size, huge_file)
    }
}
