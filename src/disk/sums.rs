//! Checksums of the pieces of a file.

use std::{fmt, sync::OnceLock};

/// Bytes that have one checksum: small, because who wants a byte reads all of
/// its piece.
pub(super) const PIECE: u64 = 16 << 10;
pub(super) const PIECE_LEN: usize = 16 << 10;
const MAGIC: &[u8; 16] = b"piflash sums\0\0\0\x01";

/// A CRC-32C for each piece of a file: no proof against anybody, but against
/// accident, at the speed of the memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Sums {
    size: u64,
    sums: Vec<u32>,
}

impl fmt::Debug for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut this = f.debug_struct("Sums");
        this.field("size", &self.size).finish_non_exhaustive()
    }
}

impl Sums {
    /// Returns the size of the file that they are of, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns them as they are kept: a magic number, the file's size, the
    /// checksums, and one of all that, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.size.to_le_bytes());
        for sum in &self.sums {
            bytes.extend(sum.to_le_bytes());
        }
        let sum = crc32c::crc32c(&bytes);
        bytes.extend(sum.to_le_bytes());
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) gave; nothing where it is not
    /// as it was.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (content, own) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(content) != u32::from_le_bytes(*own) {
            return None;
        }
        let content = content.strip_prefix(MAGIC)?;
        let (size, sums) = content.split_first_chunk::<8>()?;
        let size = u64::from_le_bytes(*size);
        let (sums, []) = sums.as_chunks::<4>() else { return None };
        let count = u64::try_from(sums.len()).ok()?;
        let sums = sums.iter().map(|sum| u32::from_le_bytes(*sum)).collect();
        (count == size.div_ceil(PIECE)).then_some(Self { size, sums })
    }

    /// Returns that of a piece by its number.
    pub(super) fn get(&self, piece: u64) -> Option<u32> {
        self.sums.get(usize::try_from(piece).ok()?).copied()
    }
}

/// Makes [`Sums`] of bytes as they come by.
#[derive(Clone, Debug, Default)]
pub struct Summing {
    size: u64,
    sums: Vec<u32>,
    /// Of the piece that has begun.
    sum: u32,
    len: usize,
}

impl Summing {
    /// Takes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = PIECE_LEN
                .checked_sub(self.len)
                .expect("emptied when it is full");
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.sum = crc32c::crc32c_append(self.sum, now);
            self.len = self
                .len
                .checked_add(now.len())
                .expect("no more than there was room");
            self.size = self
                .size
                .checked_add(to_u64(now.len()))
                .expect("no file has more than 2^64 bytes");
            if self.len >= PIECE_LEN {
                self.end_piece();
            }
            bytes = later;
        }
    }

    fn end_piece(&mut self) {
        self.sums.push(self.sum);
        (self.sum, self.len) = (0, 0);
    }

    /// Returns the checksums of all that came.
    #[must_use]
    pub fn finish(mut self) -> Sums {
        if self.len > 0 {
            self.end_piece();
        }
        Sums { size: self.size, sums: self.sums }
    }
}

/// Returns the checksum of a piece of zeros.
pub(super) fn of_zeros(len: u64) -> u32 {
    const ZEROS: [u8; PIECE_LEN] = [0; PIECE_LEN];
    static WHOLE: OnceLock<u32> = OnceLock::new();
    match usize::try_from(len).ok().and_then(|len| ZEROS.get(..len)) {
        Some(zeros) if zeros.len() < PIECE_LEN => crc32c::crc32c(zeros),
        _ => *WHOLE.get_or_init(|| crc32c::crc32c(&ZEROS)),
    }
}

fn to_u64(len: usize) -> u64 {
    u64::try_from(len).expect("a usize has 64 bits at most")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let mut summing = Summing::default();
        for number in 0..50_u8 {
            summing.update(&vec![number; 1001]);
        }
        let sums = summing.finish();
        assert_eq!(sums.size(), 50_050);
        let bytes = sums.to_bytes();
        assert_eq!(Sums::parse(&bytes), Some(sums));
        for at in 0..bytes.len() {
            for bit in [0x01, 0x80] {
                let mut bad = bytes.clone();
                bad[at] ^= bit;
                assert_eq!(Sums::parse(&bad), None, "{at}");
            }
            assert_eq!(Sums::parse(&bytes[..at]), None, "{at}");
        }
        let empty = Summing::default().finish();
        assert_eq!(Sums::parse(&empty.to_bytes()), Some(empty));
    }
}
