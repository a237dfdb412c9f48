use crate::{
    disk::{
        CheckedFile,
        xz::{Check, XzBlock, XzError, XzErrorKind, XzIndex},
    },
    sink::splice::{Block, Memo, Source},
};
use std::{fs::File, path::Path};

/// A base image as an .xz file, to take blocks from.
#[derive(Debug)]
pub struct XzBase {
    file: CheckedFile,
    index: XzIndex,
    memo: Memo<(u64, u64)>,
}

impl XzBase {
    /// Opens a file and reads its index.
    ///
    /// # Errors
    ///
    /// Those of [`XzIndex::read`].
    pub fn open(path: &Path) -> Result<Self, XzError> {
        let io = |e| XzError { offset: 0, kind: XzErrorKind::Io(e) };
        Self::new(File::open(path).map_err(io)?)
    }

    /// Takes an open file and reads its index.
    ///
    /// # Errors
    ///
    /// Those of [`XzIndex::read`].
    pub fn new(file: File) -> Result<Self, XzError> {
        let io = |e| XzError { offset: 0, kind: XzErrorKind::Io(e) };
        let file = CheckedFile::new(file, Path::new(""), None).map_err(io)?;
        Self::checked(file)
    }

    /// Takes a file whose reads are checked, and reads its index.
    ///
    /// # Errors
    ///
    /// Those of [`XzIndex::read`].
    pub fn checked(file: CheckedFile) -> Result<Self, XzError> {
        let index = XzIndex::read(&file)?;
        Ok(Self { file, index, memo: Memo::default() })
    }

    /// Returns where its blocks are.
    #[must_use]
    pub fn index(&self) -> &XzIndex {
        &self.index
    }

    /// Returns the file.
    #[must_use]
    pub fn file(&self) -> &File {
        self.file.file()
    }

    /// Returns its blocks for a stream whose blocks are checked by `check`.
    pub(super) fn source(&self, check: Check) -> Source<'_, (u64, u64)> {
        let block = |block: &XzBlock| Block {
            packed: block.packed,
            packed_len: block.packed_len(),
            offset: block.offset,
            len: block.len,
            fits: block.check == check,
            record: (block.unpadded, block.len),
        };
        let full = self.index.blocks().iter().filter(|block| block.len > 0);
        let blocks = full.map(block).collect();
        Source { file: &self.file, blocks, memo: &self.memo }
    }
}
