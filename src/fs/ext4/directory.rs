//! Directories: finding, adding and removing names.

use std::sync::Arc;

use super::extent::{Mapping, Run};
use super::features::{DIR_INDEX, FILETYPE};
use super::inode::{INDEX_FL, Inode, Time};
use super::le::{index, u16_at, u32_at};
use super::leaf::{self, Link, Record};
use super::{Ext4, INSIDE, Result};
use crate::fs::{FsErrorKind, Structure};

/// A directory and where its blocks are.
pub(super) struct Directory {
    pub(super) inode: Inode,
    pub(super) mapping: Mapping,
    pub(super) blocks: u64,
}

/// A block of a directory.
pub(super) struct DirBlock {
    pub(super) physical: u64,
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) records: Vec<Record>,
}

impl Directory {
    pub(super) fn corrupt(&self, what: &str) -> FsErrorKind {
        Structure::Directory(self.inode.ino).rule(what)
    }

    /// Names one of its blocks.
    pub(super) fn block(&self, block: u64) -> Structure {
        Structure::DirectoryBlock { inode: self.inode.ino, block }
    }
}

impl Ext4<'_> {
    pub(super) fn open_dir(&self, ino: u32) -> Result<Directory> {
        let inode = self.load_inode(ino)?;
        let mapping = self.mapping(&inode)?;
        let size = u64::from(self.sb.block_size);
        let blocks =
            inode.i_size().checked_div(size).expect("blocks have a size");
        let dir = Directory { inode, mapping, blocks };
        if !dir.inode.is_dir() {
            return Err(FsErrorKind::WrongKind("not a directory"));
        }
        if blocks == 0
            || blocks > dir.mapping.data_blocks()
            || dir.inode.i_size().checked_rem(size) != Some(0)
        {
            return Err(dir.corrupt("size"));
        }
        Ok(dir)
    }

    /// Whether the directory has an index that is to be kept.
    pub(super) fn is_indexed(&self, dir: &Directory) -> bool {
        dir.inode.i_flags() & INDEX_FL != 0
            && self.sb.features.has_compat(DIR_INDEX)
    }

    /// Where the records of a block end.
    pub(super) fn leaf_end(&self) -> usize {
        let tail = if self.sb.metadata_csum() { leaf::TAIL } else { 0 };
        index(self.sb.block_size)
            .checked_sub(tail)
            .expect("blocks have 1024 bytes or more")
    }

    pub(super) fn dir_seed(&self, dir: &Directory) -> u32 {
        dir.inode.checksum_seed(self.sb.csum_seed)
    }

    /// Reads block number `logical`, verified. Blocks of the index come out
    /// as blocks without names (or with `.` and `..`).
    pub(super) fn dir_block(
        &self,
        dir: &Directory,
        logical: u64,
    ) -> Result<DirBlock> {
        let physical = (logical < dir.blocks)
            .then(|| dir.mapping.find(logical))
            .flatten()
            .ok_or_else(|| dir.corrupt("a missing block"))?;
        let bytes = self.blocks.read(physical)?;
        let size = index(self.sb.block_size);
        let has_index = dir.inode.i_flags() & INDEX_FL != 0;
        let is_node =
            u32_at(&bytes, 0) == 0 && usize::from(u16_at(&bytes, 4)) == size;
        let structure = dir.block(logical);
        let end = if has_index && (logical == 0 || is_node) {
            self.verify_node(dir, logical, &bytes)?;
            size
        } else {
            if self.sb.metadata_csum() {
                leaf::verify(&bytes, self.dir_seed(dir), structure)?;
            }
            self.leaf_end()
        };
        let records = leaf::records(&bytes, end)
            .ok_or_else(|| structure.rule("records that do not fill it"))?;
        Ok(DirBlock { physical, bytes, records })
    }

    /// Writes a block of names, with its checksum.
    pub(super) fn store_leaf(
        &mut self,
        dir: &Directory,
        physical: u64,
        mut bytes: Vec<u8>,
    ) {
        if self.sb.metadata_csum() {
            leaf::seal(&mut bytes, self.dir_seed(dir));
        }
        self.blocks.write(physical, bytes);
    }

    /// Finds a name: the number of its block and its inode.
    fn locate(
        &self,
        dir: &Directory,
        name: &[u8],
    ) -> Result<Option<(u64, u32)>> {
        let dots = name == b"." || name == b"..";
        if self.is_indexed(dir) && !dots {
            return self.locate_indexed(dir, name);
        }
        let blocks = if dots { 1 } else { dir.blocks };
        for logical in 0..blocks {
            let block = self.dir_block(dir, logical)?;
            if let Some(found) = leaf::find(&block.bytes, &block.records, name)
            {
                return Ok(Some((logical, found.inode)));
            }
        }
        Ok(None)
    }

    /// Returns the inode number of a name.
    pub(super) fn lookup(
        &self,
        dir: &Directory,
        name: &[u8],
    ) -> Result<Option<u32>> {
        Ok(self.locate(dir, name)?.map(|(_, ino)| ino))
    }

    /// Returns all entries but `.` and `..`.
    pub(super) fn links(&self, dir: &Directory) -> Result<Vec<Link>> {
        let mut links = Vec::new();
        for logical in 0..dir.blocks {
            let block = self.dir_block(dir, logical)?;
            for record in block.records.iter().filter(|r| r.inode != 0) {
                let name = record.name(&block.bytes);
                if name != b"." && name != b".." {
                    links.push(Link {
                        inode: record.inode,
                        file_type: record.file_type,
                        name: name.to_vec(),
                    });
                }
            }
        }
        Ok(links)
    }

    /// Adds a name that is not there yet. The caller stores the inode.
    pub(super) fn add_link(
        &mut self,
        dir: &mut Directory,
        name: &[u8],
        target: &Inode,
    ) -> Result<()> {
        let typed = self.sb.features.has_incompat(FILETYPE);
        let file_type =
            if typed { leaf::file_type(target.i_mode()) } else { 0 };
        let link = Link { inode: target.ino, file_type, name: name.to_vec() };
        dir.inode.set_time(Time::Modification, self.options.now);
        dir.inode.set_time(Time::Change, self.options.now);
        if self.is_indexed(dir) {
            return self.add_indexed(dir, &link);
        }
        if dir.inode.i_flags() & INDEX_FL != 0 {
            return Err(FsErrorKind::Unsupported(format!(
                "directory {} has an index, but the file system has not \
                 `dir_index`",
                dir.inode.ino
            )));
        }
        for logical in 0..dir.blocks {
            if self.add_to_leaf(dir, logical, &link)? {
                return Ok(());
            }
        }
        if dir.blocks == 1 && self.sb.features.has_compat(DIR_INDEX) {
            self.begin_index(dir)?;
            return self.add_indexed(dir, &link);
        }
        let (_, physical) = self.append_block(dir)?;
        let size = index(self.sb.block_size);
        let bytes = leaf::build(size, self.leaf_end(), &[link]);
        self.store_leaf(dir, physical, bytes);
        Ok(())
    }

    /// Adds to one block; false where it has no room.
    pub(super) fn add_to_leaf(
        &mut self,
        dir: &Directory,
        logical: u64,
        link: &Link,
    ) -> Result<bool> {
        let block = self.dir_block(dir, logical)?;
        let mut bytes = block.bytes.to_vec();
        let done = leaf::insert(&mut bytes, &block.records, link);
        if done {
            self.store_leaf(dir, block.physical, bytes);
        }
        Ok(done)
    }

    /// Removes a name. The caller stores the inode.
    pub(super) fn remove_link(
        &mut self,
        dir: &mut Directory,
        name: &[u8],
    ) -> Result<()> {
        let Some((logical, _)) = self.locate(dir, name)? else {
            return Err(FsErrorKind::NotFound);
        };
        let block = self.dir_block(dir, logical)?;
        let mut bytes = block.bytes.to_vec();
        leaf::remove(&mut bytes, &block.records, name);
        self.store_leaf(dir, block.physical, bytes);
        dir.inode.set_time(Time::Modification, self.options.now);
        dir.inode.set_time(Time::Change, self.options.now);
        Ok(())
    }

    /// Makes the directory one block longer.
    pub(super) fn append_block(
        &mut self,
        dir: &mut Directory,
    ) -> Result<(u64, u64)> {
        let physical = self.allocate_block()?;
        let logical = dir.blocks;
        let mut runs = dir.mapping.runs.clone();
        match runs.last_mut() {
            Some(last)
                if last.logical_end() == logical
                    && last.physical.checked_add(last.len).expect(INSIDE)
                        == physical =>
            {
                last.len = last.len.checked_add(1).expect(INSIDE);
            }
            _ => runs.push(Run { logical, physical, len: 1, unwritten: false }),
        }
        let spare = std::mem::take(&mut dir.mapping.tree);
        self.write_extents(&mut dir.inode, &runs, spare)?;
        dir.blocks = logical.checked_add(1).expect(INSIDE);
        let size = u64::from(self.sb.block_size);
        dir.inode.set_size(dir.blocks.checked_mul(size).expect(INSIDE));
        dir.mapping = self.mapping(&dir.inode)?;
        Ok((logical, physical))
    }
}
