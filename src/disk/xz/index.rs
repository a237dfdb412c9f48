use super::{
    XzError, XzErrorKind,
    container::{
        Check, HEADER, parse_index, read_footer, read_header, too_many_blocks,
    },
};
use crate::disk::ReadAt;

/// Blocks that a file may have: 64 GiB in blocks of 64 KiB.
pub(super) const MAX_BLOCKS: u64 = 1 << 20;
/// Streams that a file may have.
const MAX_STREAMS: usize = 1 << 12;
/// Two numbers of nine bytes for each block.
const MAX_INDEX: u64 = MAX_BLOCKS * 18 + 16;
/// How much of the padding behind a stream is read at once.
const PADDING: u64 = 1 << 16;

/// A block: a piece of the image that is compressed by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XzBlock {
    /// Where it is in the file, in bytes.
    pub packed: u64,
    /// Its size there without the padding at its end, in bytes.
    pub unpadded: u64,
    /// Where its content is in the image, in bytes.
    pub offset: u64,
    /// Size of its content in bytes.
    pub len: u64,
    /// How its content is checked.
    pub check: Check,
}

impl XzBlock {
    /// Returns its size in the file, in bytes.
    #[must_use]
    pub fn packed_len(&self) -> u64 {
        // Below 2^63: checked when the index was read.
        self.unpadded.next_multiple_of(4)
    }

    /// Returns the offset in the image behind its last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        let end = self.offset.checked_add(self.len);
        end.expect("below 2^63: checked when the index was read")
    }
}

/// Where the blocks of an .xz file are, from the indexes of its streams.
///
/// The format: <https://tukaani.org/xz/xz-file-format.txt>. Streams may follow
/// each other, with padding of zeros in fours behind each. Nothing but
/// headers, indexes and footers is read: what the blocks hold shows when they
/// are decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XzIndex {
    blocks: Vec<XzBlock>,
    size: u64,
    streams: usize,
}

struct StreamIndex {
    /// Where its header is.
    start: u64,
    check: Check,
    records: Vec<(u64, u64)>,
}

impl XzIndex {
    /// Reads the indexes of `file`, the last one first.
    ///
    /// # Errors
    ///
    /// Whatever is no .xz file, is damaged, or has more than 2^20 blocks or
    /// 2^12 streams.
    pub fn read(file: &dyn ReadAt) -> Result<Self, XzError> {
        let mut end = file.size();
        if !end.is_multiple_of(4) {
            let what = "its length is no multiple of four";
            return Err(XzError::not_xz(end, what));
        }
        let mut streams: Vec<StreamIndex> = Vec::new();
        let mut left = MAX_BLOCKS;
        while end > 0 {
            end = before_padding(file, end)?;
            if streams.len() >= MAX_STREAMS {
                let limit = u64::try_from(MAX_STREAMS).expect("a small one");
                let kind = XzErrorKind::TooLarge {
                    what: "number of streams",
                    found: limit.checked_add(1).expect("a small one"),
                    limit,
                };
                return Err(XzError { offset: end, kind });
            }
            let stream = read_stream(file, end, left)?;
            end = stream.start;
            left = u64::try_from(stream.records.len())
                .ok()
                .and_then(|count| left.checked_sub(count))
                .ok_or_else(|| too_many_blocks(end, u64::MAX))?;
            streams.push(stream);
        }
        if streams.is_empty() {
            return Err(XzError::not_xz(0, "it is empty"));
        }
        let count = streams.len();
        let mut blocks = Vec::new();
        let mut offset = 0u64;
        for stream in streams.into_iter().rev() {
            let header = stream.start.checked_add(HEADER);
            let mut packed = header.expect("the stream is inside the file");
            for (unpadded, len) in stream.records {
                let check = stream.check;
                let block = XzBlock { packed, unpadded, offset, len, check };
                let sizes = "the sizes of the blocks are too large";
                offset = offset
                    .checked_add(len)
                    .filter(|offset| *offset <= u64::MAX >> 1)
                    .ok_or_else(|| XzError::corrupt(packed, sizes))?;
                packed = packed
                    .checked_add(block.packed_len())
                    .ok_or_else(|| XzError::corrupt(packed, sizes))?;
                blocks.push(block);
            }
        }
        Ok(Self { blocks, size: offset, streams: count })
    }

    /// Returns the blocks, in the order of the image and of the file. Blocks
    /// without content are legal.
    #[must_use]
    pub fn blocks(&self) -> &[XzBlock] {
        &self.blocks
    }

    /// Returns the size of the image in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the number of streams.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams
    }

    /// Returns how blocks are checked, where all are in the same way. `None`
    /// also where there is no block.
    #[must_use]
    pub fn check(&self) -> Option<Check> {
        let first = self.blocks.first()?.check;
        self.blocks.iter().all(|b| b.check == first).then_some(first)
    }

    /// Returns whether taking blocks over saves work: there is more than one,
    /// they are checked, and all in the same way.
    #[must_use]
    pub fn is_reusable(&self) -> bool {
        let checked = self.check().is_some_and(|c| c != Check::None);
        checked && self.blocks.len() > 1
    }

    /// Returns the number of the block that holds the byte at `offset` of
    /// the image.
    #[must_use]
    pub fn find(&self, offset: u64) -> Option<usize> {
        let number = self.blocks.partition_point(|b| b.end() <= offset);
        (number < self.blocks.len()).then_some(number)
    }
}

/// Returns where the zeros before `end` begin, in steps of four.
fn before_padding(file: &dyn ReadAt, mut end: u64) -> Result<u64, XzError> {
    let first = end;
    let mut buffer = Vec::new();
    loop {
        // Most files have none: one word is enough to see that.
        let wanted = if end == first { 4 } else { PADDING.min(end) };
        let start = end.checked_sub(wanted).expect("a multiple of four");
        buffer.resize(usize::try_from(wanted).expect("a small piece"), 0);
        file.read_at(start, &mut buffer).map_err(|e| XzError::io(start, e))?;
        let words = buffer.rchunks(4).take_while(|word| **word == [0; 4]);
        let zeros = u64::try_from(words.count()).ok();
        end = zeros
            .and_then(|zeros| end.checked_sub(zeros.checked_mul(4)?))
            .expect("no more words than were read");
        if end == 0 {
            return Err(XzError::not_xz(0, "nothing but zeros at its start"));
        }
        if end > start {
            return Ok(end);
        }
    }
}

/// Reads what stands around the blocks of the stream that ends at `end`.
fn read_stream(
    file: &dyn ReadAt,
    end: u64,
    max_blocks: u64,
) -> Result<StreamIndex, XzError> {
    let footer_at = end
        .checked_sub(HEADER)
        .ok_or_else(|| XzError::not_xz(0, "too short for a stream"))?;
    let footer = read_footer(file, footer_at)?;
    let outside = || XzError::corrupt(footer_at, "the index's length");
    let start = footer_at.checked_sub(footer.index_len).ok_or_else(outside)?;
    if start < HEADER {
        return Err(outside());
    }
    if footer.index_len > MAX_INDEX {
        let kind = XzErrorKind::TooLarge {
            what: "length of the index",
            found: footer.index_len,
            limit: MAX_INDEX,
        };
        return Err(XzError { offset: footer_at, kind });
    }
    let len = usize::try_from(footer.index_len).map_err(|_| outside())?;
    let mut bytes = vec![0; len];
    file.read_at(start, &mut bytes).map_err(|e| XzError::io(start, e))?;
    let records = parse_index(&bytes, start, max_blocks)?;
    let packed = records.iter().try_fold(0u64, |sum, (unpadded, _)| {
        sum.checked_add(unpadded.checked_next_multiple_of(4)?)
    });
    let header_at = packed
        .and_then(|packed| start.checked_sub(packed)?.checked_sub(HEADER))
        .ok_or_else(|| {
            XzError::corrupt(start, "its blocks are larger than the file")
        })?;
    read_header(file, header_at, footer.check)?;
    Ok(StreamIndex { start: header_at, check: footer.check, records })
}
