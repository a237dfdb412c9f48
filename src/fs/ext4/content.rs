//! The content of files and links, written.

use super::extent::{Mapping, Run};
use super::features::LARGE_FILE;
use super::inode::Inode;
use super::le::{index, wide};
use super::space::Piece;
use super::{Ext4, Result};
use crate::disk::ReadAt;
use crate::fs::FsErrorKind;

/// Data is copied in pieces of this many bytes, a multiple of every block
/// size.
const CHUNK: u64 = 1 << 20;

impl Ext4<'_> {
    /// Gives `inode` the bytes of `content` in place of what it had. The
    /// old blocks stay as they are on the device until the commit.
    pub(super) fn write_content(
        &mut self,
        inode: &mut Inode,
        old: Mapping,
        content: &dyn ReadAt,
    ) -> Result<()> {
        let size = content.size();
        let block_size = u64::from(self.sb.block_size);
        if size > 0x7FFF_FFFF && !self.sb.features.has_ro_compat(LARGE_FILE) {
            return Err(FsErrorKind::Unsupported(
                "a file of 2 GiB or more without `large_file`".to_owned(),
            ));
        }
        for run in &old.runs {
            self.free_blocks(run.physical, run.len)?;
        }
        let pieces = self.allocate_blocks(size.div_ceil(block_size))?;
        let mut runs: Vec<Run> = Vec::new();
        let mut logical = 0u64;
        for piece in pieces {
            self.copy_piece(content, logical, piece)?;
            runs.push(Run {
                logical,
                physical: piece.start,
                len: piece.len,
                unwritten: false,
            });
            let next = logical.checked_add(piece.len);
            logical = next.expect("no more than the file system has");
        }
        self.write_extents(inode, &runs, old.tree)?;
        inode.set_size(size);
        Ok(())
    }

    /// Copies the blocks of `content` from number `logical` on.
    fn copy_piece(
        &mut self,
        content: &dyn ReadAt,
        logical: u64,
        piece: Piece,
    ) -> Result<()> {
        let block_size = u64::from(self.sb.block_size);
        const INSIDE: &str = "inside of the file system and the content";
        let per_chunk = CHUNK.checked_div(block_size).expect("not zero");
        let mut done = 0;
        let mut buffer = Vec::new();
        while done < piece.len {
            let left = piece.len.checked_sub(done).expect(INSIDE);
            let blocks = left.min(per_chunk);
            let offset = logical
                .checked_add(done)
                .and_then(|block| block.checked_mul(block_size))
                .expect(INSIDE);
            let bytes = blocks.checked_mul(block_size).expect(INSIDE);
            let have = content.size().checked_sub(offset).expect(INSIDE);
            let have = have.min(bytes);
            // The rest of the last block is zero.
            buffer.clear();
            buffer.resize(index(bytes), 0);
            let part = buffer.get_mut(..index(have)).expect(INSIDE);
            content.read_at(offset, part).map_err(FsErrorKind::Io)?;
            let start = piece.start.checked_add(done).expect(INSIDE);
            if piece.held_back {
                let size = index(self.sb.block_size);
                for (block, bytes) in (start..).zip(buffer.chunks(size)) {
                    self.blocks.write(block, bytes.to_vec());
                }
            } else {
                self.blocks.write_through(start, &buffer)?;
            }
            done = done.checked_add(blocks).expect(INSIDE);
        }
        Ok(())
    }

    /// Gives a new link its target.
    pub(super) fn write_target(
        &mut self,
        inode: &mut Inode,
        target: &[u8],
    ) -> Result<()> {
        if target.len() < super::inode::I_BLOCK_SIZE {
            inode.set_i_block(target);
        } else {
            let block = self.allocate_block()?;
            self.blocks.write(block, target.to_vec());
            let run =
                Run { logical: 0, physical: block, len: 1, unwritten: false };
            self.write_extents(inode, &[run], Vec::new())?;
        }
        inode.set_size(wide(target.len()));
        Ok(())
    }
}
