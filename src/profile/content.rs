use std::{fmt, fs::File, sync::Arc};

/// What a file of an image is to hold. A clone shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// Held in memory.
    Bytes(Arc<[u8]>),
    /// A file of the builder's, too large for that.
    File(FileContent),
}

/// A file of the builder's, open, whose content is known by its digest. Two
/// with the same digest are equal.
#[derive(Clone)]
pub struct FileContent {
    file: Arc<File>,
    len: u64,
    sha256: String,
}

impl FileContent {
    /// Takes an open file of `len` bytes whose SHA-256 is known, as 64
    /// hexadecimal digits in lower case. It must not change any more.
    #[must_use]
    pub fn new(file: Arc<File>, len: u64, sha256: String) -> Self {
        Self { file, len, sha256 }
    }

    /// Returns the file; its position means nothing.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Returns the SHA-256 of all of it.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl PartialEq for FileContent {
    fn eq(&self, other: &Self) -> bool {
        (self.len, &self.sha256) == (other.len, &other.sha256)
    }
}

impl Eq for FileContent {}

impl Content {
    /// Returns its size in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(0),
            Self::File(file) => file.len,
        }
    }

    /// Returns whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the text, where it is held in memory and is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            Self::File(_) => None,
        }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

// Contents are large, and some are secret.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.len())
    }
}
