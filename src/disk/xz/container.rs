//! What stands around the blocks of a stream: header, index, footer.

use super::{XzBlock, XzError, vli};
use crate::disk::ReadAt;

pub(super) const HEADER_LEN: usize = 12;
pub(super) const HEADER: u64 = 12;
const MAGIC: &[u8; 6] = b"\xfd7zXZ\0";
const FOOTER_MAGIC: &[u8; 2] = b"YZ";

/// How the content of each block of a stream is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Not at all.
    None,
    /// CRC32.
    Crc32,
    /// CRC64: what xz(1) takes.
    Crc64,
    /// SHA-256.
    Sha256,
}

impl Check {
    /// Its number in the stream flags.
    fn id(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Crc32 => 1,
            Self::Crc64 => 4,
            Self::Sha256 => 10,
        }
    }

    fn of(id: u8) -> Option<Self> {
        [Self::None, Self::Crc32, Self::Crc64, Self::Sha256]
            .into_iter()
            .find(|check| check.id() == id)
    }
}

/// Returns the header of a stream: section 2.1.1 of the specification.
#[must_use]
pub fn stream_header(check: Check) -> [u8; 12] {
    let flags = [0, check.id()];
    let mut bytes = [0; HEADER_LEN];
    let parts = MAGIC.iter().chain(&flags);
    let crc = crc32fast::hash(&flags).to_le_bytes();
    for (to, from) in bytes.iter_mut().zip(parts.chain(&crc)) {
        *to = *from;
    }
    bytes
}

/// Returns the index of blocks with these `(unpadded, uncompressed)` sizes,
/// and the footer behind it: sections 4 and 2.1.2. `None`: a size is beyond
/// the format.
#[must_use]
pub fn index_and_footer(
    records: impl ExactSizeIterator<Item = (u64, u64)>,
    check: Check,
) -> Option<Vec<u8>> {
    let mut out = vec![0];
    vli::put(u64::try_from(records.len()).ok()?, &mut out)?;
    for (unpadded, len) in records {
        vli::put(unpadded, &mut out)?;
        vli::put(len, &mut out)?;
    }
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(crc32fast::hash(&out).to_le_bytes());
    let words = u32::try_from(out.len() / 4).ok()?;
    let mut end = Vec::from(words.checked_sub(1)?.to_le_bytes());
    end.extend([0, check.id()]);
    out.extend(crc32fast::hash(&end).to_le_bytes());
    out.extend(end);
    out.extend(FOOTER_MAGIC);
    Some(out)
}

/// What a footer says.
pub(super) struct Footer {
    pub(super) check: Check,
    /// Length of the index in bytes.
    pub(super) index_len: u64,
}

/// Reads the header at `offset`, which must agree with the footer.
pub(super) fn read_header(
    file: &dyn ReadAt,
    offset: u64,
    check: Check,
) -> Result<(), XzError> {
    let mut bytes = [0; HEADER_LEN];
    file.read_at(offset, &mut bytes).map_err(|e| XzError::io(offset, e))?;
    if !bytes.starts_with(MAGIC) {
        let what = "no stream begins where the index says";
        return Err(XzError::not_xz(offset, what));
    }
    if bytes != stream_header(check) {
        let what = "header and footer of a stream disagree";
        return Err(XzError::corrupt(offset, what));
    }
    Ok(())
}

/// Reads the footer at `offset`.
pub(super) fn read_footer(
    file: &dyn ReadAt,
    offset: u64,
) -> Result<Footer, XzError> {
    let mut bytes = [0; HEADER_LEN];
    file.read_at(offset, &mut bytes).map_err(|e| XzError::io(offset, e))?;
    let [c0, c1, c2, c3, fields @ .., y, z] = bytes;
    if [y, z] != *FOOTER_MAGIC {
        return Err(XzError::not_xz(offset, "no footer at its end"));
    }
    if u32::from_le_bytes([c0, c1, c2, c3]) != crc32fast::hash(&fields) {
        return Err(XzError::corrupt(offset, "the footer's checksum"));
    }
    let [b0, b1, b2, b3, reserved, id] = fields;
    let words = u64::from(u32::from_le_bytes([b0, b1, b2, b3]));
    if reserved != 0 || id > 15 {
        return Err(XzError::unsupported(offset, "unknown stream flags"));
    }
    let check = Check::of(id).ok_or_else(|| {
        XzError::unsupported(offset, "an unknown type of check")
    })?;
    let index_len = words
        .checked_add(1)
        .and_then(|words| words.checked_mul(4))
        .expect("a number of 32 bits");
    Ok(Footer { check, index_len })
}

/// A record of an index: unpadded and uncompressed size.
type Record = (u64, u64);

/// Takes an index apart; it lies at `offset` of the file and may have
/// `max_blocks` records.
pub(super) fn parse_index(
    bytes: &[u8],
    offset: u64,
    max_blocks: u64,
) -> Result<Vec<Record>, XzError> {
    let corrupt = |what| XzError::corrupt(offset, what);
    let (body, crc) =
        bytes.split_last_chunk::<4>().ok_or_else(|| corrupt("no index"))?;
    if u32::from_le_bytes(*crc) != crc32fast::hash(body) {
        return Err(corrupt("the index's checksum"));
    }
    let Some((0, mut rest)) = body.split_first() else {
        return Err(corrupt("no index where the footer says"));
    };
    let number = |rest: &mut &[u8]| {
        vli::take(rest).ok_or_else(|| corrupt("a number in the index"))
    };
    let count = number(&mut rest)?;
    // A record takes two bytes at least.
    let possible = u64::try_from(rest.len() / 2).expect("bytes in memory");
    if count > possible {
        return Err(corrupt("the number of records in the index"));
    }
    if count > max_blocks {
        return Err(too_many_blocks(offset, count));
    }
    let capacity = usize::try_from(count).expect("no more than bytes");
    let mut records = Vec::with_capacity(capacity);
    for _ in 0..count {
        let unpadded = number(&mut rest)?;
        // A header of 8 bytes is the least; without it 5 is the format's.
        if !(5..=u64::MAX >> 1).contains(&unpadded) {
            return Err(corrupt("a block's size in the index"));
        }
        records.push((unpadded, number(&mut rest)?));
    }
    if rest.len() > 3 || rest.iter().any(|byte| *byte != 0) {
        return Err(corrupt("the index's padding"));
    }
    Ok(records)
}

pub(super) fn too_many_blocks(offset: u64, found: u64) -> XzError {
    let kind = super::XzErrorKind::TooLarge {
        what: "number of blocks",
        found,
        limit: super::MAX_BLOCKS,
    };
    XzError { offset, kind }
}

/// Returns a stream's beginning and end for one block alone.
pub(super) fn around(block: &XzBlock) -> Option<([u8; HEADER_LEN], Vec<u8>)> {
    let record = [(block.unpadded, block.len)];
    let end = index_and_footer(record.into_iter(), block.check)?;
    Some((stream_header(block.check), end))
}
