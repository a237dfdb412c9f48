//! Opening: everything is checked before anything may be changed.

use super::cache::Blocks;
use super::features::{HAS_JOURNAL, ORPHAN_PRESENT};
use super::group::{self, Group};
use super::inode::Inode;
use super::le::{index, u32_at};
use super::superblock::{OFFSET, SIZE, Superblock};
use super::{EditOptions, Ext4, Result};
use crate::disk::WriteAt;
use crate::fs::{FsError, FsErrorKind, Structure};

/// The first block of a journal, in big-endian fields.
const JOURNAL_MAGIC: [u8; 4] = 0xC03B_3998_u32.to_be_bytes();

impl<'d> Ext4<'d> {
    /// Opens the file system that begins at byte 0 of `device`.
    ///
    /// Nothing is written. `Unsupported` names features that cannot be
    /// edited; `DirtyJournal` asks for a recovery first; `Corrupt` says what
    /// disagrees.
    pub fn open(
        device: &'d dyn WriteAt,
        options: EditOptions,
    ) -> std::result::Result<Self, FsError> {
        let fs = Self::open_checked(device, options, true)?;
        Ok(fs)
    }

    /// Opens one that was not unmounted, to be read as it stands: what is
    /// still in its journal is not seen.
    pub(in crate::fs) fn open_stale(
        device: &'d dyn WriteAt,
    ) -> std::result::Result<Self, FsError> {
        let options = EditOptions { now: 0, seed: 0 };
        let mut fs = Self::open_checked(device, options, false)?;
        // Never to be edited.
        fs.broken = true;
        Ok(fs)
    }

    fn open_checked(
        device: &'d dyn WriteAt,
        options: EditOptions,
        clean: bool,
    ) -> Result<Self> {
        if device.size() < 2048 {
            return Err(
                Structure::FileSystem.rule("too small for a superblock")
            );
        }
        let mut raw = vec![0; SIZE];
        device.read_at(OFFSET, &mut raw).map_err(FsErrorKind::Io)?;
        let sb = if clean {
            Superblock::parse(raw, device.size())?
        } else {
            Superblock::parse_unclean(raw, device.size())?
        };
        let mut fs = Self {
            blocks: Blocks::new(device, sb.block_size),
            sb,
            groups: Vec::new(),
            metadata: Vec::new(),
            space: None,
            options,
            created: 0,
            broken: false,
        };
        for number in 0..fs.sb.groups {
            let (block, at) = group::location(number, &fs.sb);
            let bytes = fs.blocks.read(block)?;
            let raw = at
                .checked_add(fs.sb.s_desc_size.into())
                .and_then(|end| bytes.get(at..end))
                .expect("descriptors lie inside of blocks");
            fs.groups.push(Group::parse(raw, number, &fs.sb)?);
        }
        fs.metadata = fs.layout()?;
        if clean {
            fs.check_journal()?;
            fs.check_orphans()?;
        }
        Ok(fs)
    }

    /// Returns the first block of an inode.
    fn first_block(&self, inode: &Inode) -> Result<Vec<u8>> {
        let Some(block) = self.mapping(inode)?.find(0) else {
            return Err(Structure::BlockMap(inode.ino).rule("no first block"));
        };
        Ok(self.blocks.read(block)?.to_vec())
    }

    fn check_journal(&self) -> Result<()> {
        if !self.sb.features.has_compat(HAS_JOURNAL) {
            return Ok(());
        }
        let ino = self.sb.s_journal_inum();
        if ino == 0 {
            return Err(FsErrorKind::Unsupported(
                "a journal on another device".to_owned(),
            ));
        }
        let bytes = self.first_block(&self.load_inode(ino)?)?;
        if bytes.get(..4) != Some(&JOURNAL_MAGIC) {
            return Err(Structure::Journal.rule("no magic number"));
        }
        // s_start: where the log begins; zero means that it is empty.
        if bytes.get(0x1C..0x20) != Some(&[0; 4]) {
            return Err(FsErrorKind::DirtyJournal);
        }
        // s_errno: the kernel stopped because of an error.
        if bytes.get(0x20..0x24) != Some(&[0; 4]) {
            return Err(Structure::Journal.rule("marked as having errors"));
        }
        Ok(())
    }

    /// Refuses inodes that were deleted while open when the power went.
    fn check_orphans(&self) -> Result<()> {
        if !self.sb.features.has_ro_compat(ORPHAN_PRESENT) {
            return Ok(());
        }
        let inode = self.load_inode(self.sb.s_orphan_file_inum())?;
        for run in self.mapping(&inode)?.runs {
            let end = run.physical.checked_add(run.len);
            let end = end.expect("inside the file system: see Collector");
            for block in run.physical..end {
                let bytes = self.blocks.read(block)?;
                // The last eight bytes are a magic number and a checksum.
                let slots = index(self.sb.block_size / 4)
                    .checked_sub(2)
                    .expect("blocks have 1024 bytes or more");
                let used = bytes
                    .chunks_exact(4)
                    .take(slots)
                    .map(|slot| u32_at(slot, 0))
                    .find(|&ino| ino != 0);
                if let Some(ino) = used {
                    return Err(Structure::OrphanFile.rule(format!(
                        "inode {ino} is in it: the file system was not \
                         unmounted"
                    )));
                }
            }
        }
        Ok(())
    }
}
