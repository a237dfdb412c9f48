//! .zst files as rows of frames that are compressed one by one, with a table
//! of them in a skippable frame at the end.
//!
//! The table: `contrib/seekable_format` of zstd, version 0.1.0, as readers of
//! seekable files know it; to all others it is nothing. The frames:
//! RFC 8878. Every number of a file is checked before it is used.

use super::ReadAt;
use std::io;
use zstd::{bulk::Compressor, zstd_safe::CParameter};

const SKIPPABLE: u32 = 0x184D_2A5E;
const SEEKABLE: u32 = 0x8F92_EAB1;
/// Number of frames, descriptor, magic.
const FOOTER: u64 = 9;
/// In front of the table: magic and length.
const HEADER: u64 = 8;
/// In the descriptor: each entry has a checksum too.
const CHECKSUMS: u8 = 0x80;
/// Bits of the descriptor that must be zero.
const RESERVED: u8 = 0x7c;
/// Frames that a file may have: as many as seekable readers take.
const MAX_FRAMES: u64 = 0x0800_0000;

/// A frame: a piece of the image that is compressed by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZstFrame {
    /// Where it is in the file, in bytes.
    pub packed: u64,
    /// Its size there in bytes.
    pub packed_len: u32,
    /// Where its content is in the image, in bytes.
    pub offset: u64,
    /// Size of its content in bytes.
    pub len: u32,
}

/// Where the frames of a file are, from the table at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZstIndex {
    frames: Vec<ZstFrame>,
    size: u64,
}

impl ZstIndex {
    /// Reads the table of `file`.
    ///
    /// # Errors
    ///
    /// `InvalidData`: no table, or one that does not fit the file; and those
    /// of reading.
    pub fn read(file: &dyn ReadAt) -> io::Result<Self> {
        let footer_at = file
            .size()
            .checked_sub(FOOTER)
            .ok_or_else(|| wrong("too short for a table of frames"))?;
        let mut footer = [0; 9];
        file.read_at(footer_at, &mut footer)?;
        let [n0, n1, n2, n3, descriptor, m0, m1, m2, m3] = footer;
        if u32::from_le_bytes([m0, m1, m2, m3]) != SEEKABLE {
            return Err(wrong("no table of frames at its end"));
        }
        if descriptor & RESERVED != 0 {
            return Err(wrong("an unknown kind of table"));
        }
        let count = u64::from(u32::from_le_bytes([n0, n1, n2, n3]));
        let entry = if descriptor & CHECKSUMS == 0 { 8 } else { 12 };
        let table = count
            .checked_mul(entry)
            .filter(|_| count <= MAX_FRAMES)
            .and_then(|table| table.checked_add(FOOTER))
            .ok_or_else(|| wrong("a table of too many frames"))?;
        let end = table
            .checked_add(HEADER)
            .and_then(|whole| file.size().checked_sub(whole))
            .ok_or_else(|| wrong("a table longer than the file"))?;
        let table_len =
            usize::try_from(table).map_err(|_| wrong("a table too long"))?;
        let mut bytes = vec![0; table_len];
        let mut header = [0; 8];
        file.read_at(end, &mut header)?;
        let [m0, m1, m2, m3, l0, l1, l2, l3] = header;
        let magic = u32::from_le_bytes([m0, m1, m2, m3]);
        let len = u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
        if (magic, len) != (SKIPPABLE, table) {
            return Err(wrong("no table where its end says"));
        }
        let begin = end.checked_add(HEADER);
        file.read_at(begin.expect("inside the file"), &mut bytes)?;
        let entry = usize::try_from(entry).expect("8 or 12");
        Self::parse(&bytes, count, entry, end)
    }

    fn parse(
        table: &[u8],
        count: u64,
        entry: usize,
        end: u64,
    ) -> io::Result<Self> {
        let (mut packed, mut offset) = (0u64, 0u64);
        let mut frames = Vec::new();
        let count = usize::try_from(count).expect("at most MAX_FRAMES");
        for entry in table.chunks_exact(entry).take(count) {
            let [p0, p1, p2, p3, l0, l1, l2, l3, ..] = *entry else {
                return Err(wrong("a cut off table"));
            };
            let packed_len = u32::from_le_bytes([p0, p1, p2, p3]);
            let len = u32::from_le_bytes([l0, l1, l2, l3]);
            frames.push(ZstFrame { packed, packed_len, offset, len });
            const SMALL: &str = "2^27 numbers of 32 bits";
            packed = packed.checked_add(packed_len.into()).expect(SMALL);
            offset = offset.checked_add(len.into()).expect(SMALL);
        }
        if packed != end {
            return Err(wrong("a table that does not fit the file"));
        }
        Ok(Self { frames, size: offset })
    }

    /// Returns the frames, in the order of the image and of the file.
    #[must_use]
    pub fn frames(&self) -> &[ZstFrame] {
        &self.frames
    }

    /// Returns the size of the image in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// Returns the table for frames with these `(compressed, content)` sizes.
/// `None`: more than the format has room for.
#[must_use]
pub fn table(frames: &[(u32, u32)]) -> Option<Vec<u8>> {
    let count = u32::try_from(frames.len()).ok()?;
    if u64::from(count) > MAX_FRAMES {
        return None;
    }
    let len = count.checked_mul(8)?.checked_add(9)?;
    let mut out = Vec::new();
    out.extend(SKIPPABLE.to_le_bytes());
    out.extend(len.to_le_bytes());
    for (packed, content) in frames {
        out.extend(packed.to_le_bytes());
        out.extend(content.to_le_bytes());
    }
    out.extend(count.to_le_bytes());
    out.push(0);
    out.extend(SEEKABLE.to_le_bytes());
    Some(out)
}

/// Encodes `len` bytes at `offset` of `source` as one frame with its size in
/// front and a checksum behind. The same content gives the same bytes.
///
/// # Errors
///
/// Those of `source`, and a length that does not fit into memory.
pub fn encode(
    source: &dyn ReadAt,
    offset: u64,
    len: u64,
    level: i32,
) -> io::Result<Vec<u8>> {
    let len = usize::try_from(len).map_err(io::Error::other)?;
    let mut content = vec![0; len];
    source.read_at(offset, &mut content)?;
    let mut compressor = Compressor::new(level)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    compressor.compress(&content)
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(frames: &[(u32, u32)]) -> Vec<u8> {
        let packed: u32 = frames.iter().map(|(packed, _)| packed).sum();
        [vec![7; usize::try_from(packed).unwrap()], table(frames).unwrap()]
            .concat()
    }

    #[test]
    fn there_and_back() {
        for frames in [&[][..], &[(3, 9)], &[(5, 70_000), (1, 1), (0, 0)]] {
            let index = ZstIndex::read(&file(frames)).unwrap();
            let sizes: Vec<_> =
                index.frames.iter().map(|f| (f.packed_len, f.len)).collect();
            assert_eq!(sizes, frames);
            let size: u32 = frames.iter().map(|(_, len)| len).sum();
            assert_eq!(index.size(), u64::from(size));
        }
    }

    #[test]
    fn a_wrong_table_is_an_error() {
        let good = file(&[(3, 9), (4, 11)]);
        for cut in 0..good.len() {
            assert!(ZstIndex::read(&good[..cut].to_vec()).is_err());
            assert!(ZstIndex::read(&good[cut..].to_vec()).is_err() || cut == 0);
        }
        // Each byte of the table but those of the content's sizes counts.
        for at in 7..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            let content = matches!(at, 19..23 | 27..31);
            assert_eq!(ZstIndex::read(&bad).is_ok(), content, "{at}");
        }
    }
}
