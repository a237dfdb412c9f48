use super::splice::Assembled;

/// What was written of a compressed image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Size of the image in bytes.
    pub size: u64,
    /// Size of the file in bytes.
    pub packed: u64,
    /// Bytes in which the image differs from its base, in whole blocks of
    /// the overlay. Nothing for a prepared base.
    pub changed: u64,
    /// Blocks taken over as they were.
    pub copied: usize,
    /// Blocks that were encoded.
    pub encoded: usize,
}

impl Written {
    pub(super) fn new(size: u64, changed: u64, assembled: Assembled) -> Self {
        let Assembled { packed, copied, encoded } = assembled;
        Self { size, packed, changed, copied, encoded }
    }
}
