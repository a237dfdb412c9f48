//! Compressed files of blocks that are compressed one by one: what .xz and
//! .zst have in common.
//!
//! An image differs from its base in few places. So blocks without a change
//! are copied as they are, and only the others are encoded:
//!
//! ```text
//! base file   [block][block][block][block] index
//!                │      │   changed   │
//! node's file [ same][ same][ new ][ same] new index
//! ```
//!
//! For that to be cheap the blocks must be small where nodes differ: such a
//! base is made once.

mod assemble;
mod cuts;
mod in_order;
mod memo;

use super::{SinkError, Staged};
use crate::{
    disk::{CheckedFile, ReadAt},
    progress::Progress,
};
pub(super) use assemble::Assembled;
use assemble::Assembly;
use cuts::Piece;
pub(super) use cuts::{Grain, Ranges};
pub(super) use memo::Memo;
use std::io;

/// A format whose blocks can be encoded and copied by themselves.
pub(super) trait Format: Sync {
    /// What the index has of a block.
    type Record: Copy + Send;

    /// Returns what stands in front of the blocks.
    fn header(&self) -> Vec<u8>;

    /// Returns what the bytes of a block depend on beside its content.
    fn parameters(&self) -> [u8; 8];

    /// Encodes a part of an image. The same content gives the same bytes.
    fn encode(
        &self,
        image: &dyn ReadAt,
        offset: u64,
        len: u64,
    ) -> io::Result<Encoded<Self::Record>>;

    /// Returns what stands behind the blocks. `None`: beyond the format.
    fn end(&self, records: &[Self::Record]) -> Option<Vec<u8>>;

    /// Reads the index of a file, and returns the size of its image.
    fn size_of(&self, file: &dyn ReadAt) -> io::Result<u64>;
}

/// A block that was encoded.
pub(super) struct Encoded<R> {
    pub(super) bytes: Vec<u8>,
    pub(super) record: R,
}

/// A block of a file that blocks are taken from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<R> {
    /// Where it is in the file, in bytes, and its size there.
    pub(super) packed: u64,
    pub(super) packed_len: u64,
    /// Where its content is in the image, in bytes, and its size.
    pub(super) offset: u64,
    pub(super) len: u64,
    /// Whether it may stand in the new file.
    pub(super) fits: bool,
    pub(super) record: R,
}

impl<R> Block<R> {
    /// Returns the offset in the image behind its last byte.
    pub(super) fn end(&self) -> u64 {
        self.offset
            .checked_add(self.len)
            .expect("blocks lie inside of the image")
    }
}

/// A file to take blocks from. They are the image, in order, and none is
/// empty.
pub(super) struct Source<'f, R> {
    pub(super) file: &'f CheckedFile,
    pub(super) blocks: Vec<Block<R>>,
    /// What was encoded for other images over it.
    pub(super) memo: &'f Memo<R>,
}

/// How an image becomes a file.
pub(super) struct Job<'a, F: Format> {
    pub(super) image: &'a dyn ReadAt,
    pub(super) source: Option<Source<'a, F::Record>>,
    pub(super) format: F,
    pub(super) grain: Grain,
    /// Threads that encode. The bytes do not depend on it.
    pub(super) threads: usize,
    pub(super) progress: &'a dyn Progress,
}

impl<F: Format> Job<'_, F> {
    /// Writes an image that differs from the source's in `changed`. It is
    /// not published.
    pub(super) fn splice(
        &self,
        changed: &Ranges,
        staged: &Staged,
    ) -> Result<Assembled, SinkError> {
        let pieces = match &self.source {
            Some(source) => cuts::splice(&source.blocks, changed, self.grain),
            None => {
                let none = Ranges::new(&[]);
                let size = self.image.size();
                cuts::prepare::<F::Record>(None, size, &none, self.grain)
            }
        };
        self.assemble(&pieces, staged)
    }

    /// Writes the source's image with fine blocks where it is `hot`. It is
    /// not published.
    pub(super) fn prepare(
        &self,
        hot: &Ranges,
        staged: &Staged,
    ) -> Result<Assembled, SinkError> {
        let blocks = self.source.as_ref().map(|s| s.blocks.as_slice());
        let size = self.image.size();
        let pieces = cuts::prepare(blocks, size, hot, self.grain);
        self.assemble(&pieces, staged)
    }

    fn assemble(
        &self,
        pieces: &[Piece],
        staged: &Staged,
    ) -> Result<Assembled, SinkError> {
        Assembly { job: self, pieces }.write(staged)
    }
}
