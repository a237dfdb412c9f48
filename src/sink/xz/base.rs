use crate::disk::{
    ImageFile,
    xz::{XzError, XzErrorKind, XzIndex},
};
use std::{fs::File, path::Path};

/// A base image as an .xz file, to take blocks from.
#[derive(Debug)]
pub struct XzBase {
    file: ImageFile,
    index: XzIndex,
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
        let file = ImageFile::new(file).map_err(io)?;
        let index = XzIndex::read(&file)?;
        Ok(Self { file, index })
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
}
