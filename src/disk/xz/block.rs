//! One block, decoded or encoded by itself.

use super::{
    Check, XzBlock, XzError, XzErrorKind, XzIndex,
    container::{HEADER_LEN, around},
};
use crate::disk::ReadAt;
use liblzma::stream::{
    self, Action, Filters, LzmaOptions, MtStreamBuilder, Status, Stream,
};
use std::io;

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;
/// Calls that neither read nor write before the data is given up. The first
/// such call is reported as an ordinary one.
const IDLE_CALLS: u32 = 8;
/// Dictionaries of the presets 0 to 9, see xz(1).
const DICTIONARIES: [u32; 10] = [
    256 << 10,
    1 << 20,
    2 << 20,
    4 << 20,
    4 << 20,
    8 << 20,
    8 << 20,
    16 << 20,
    32 << 20,
    64 << 20,
];

/// Decodes a block of `file`, with all its checks. `memory` limits what the
/// decoder takes, in bytes, beside the content.
pub(super) fn decode(
    file: &dyn ReadAt,
    block: &XzBlock,
    memory: u64,
) -> Result<Vec<u8>, XzError> {
    let at = block.packed;
    let fail = |kind| XzError { offset: at, kind };
    let lzma = |error| match error {
        stream::Error::Options => {
            XzErrorKind::Unsupported("a filter of a block")
        }
        stream::Error::MemLimit => XzErrorKind::TooLarge {
            what: "memory that a block needs",
            found: u64::MAX,
            limit: memory,
        },
        _ => XzErrorKind::Corrupt("a block"),
    };
    // liblzma takes whole streams: this is one with this block alone.
    let (header, end) =
        around(block).ok_or_else(|| XzError::corrupt(at, "a block's size"))?;
    let mut decoder = Decoder {
        stream: Stream::new_stream_decoder(memory, 0)
            .map_err(|e| fail(lzma(e)))?,
        content: {
            let len = usize::try_from(block.len);
            vec![0; len.map_err(|_| XzError::corrupt(at, "a block's size"))?]
        },
        used: 0,
        ended: false,
    };
    decoder.feed(&header).map_err(|e| fail(lzma(e)))?;
    let mut piece = vec![0; PIECE];
    let (mut offset, mut left) = (at, block.packed_len());
    while left > 0 {
        let len = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        let piece = piece.get_mut(..len).expect("a piece at most");
        file.read_at(offset, piece).map_err(|e| XzError::io(offset, e))?;
        decoder.feed(piece).map_err(|e| fail(lzma(e)))?;
        let len = u64::try_from(len).expect("at most a piece");
        let next = offset.checked_add(len);
        offset = next.ok_or_else(|| XzError::corrupt(at, "a block's size"))?;
        left = left.checked_sub(len).expect("no more than was left");
    }
    decoder.feed(&end).map_err(|e| fail(lzma(e)))?;
    if !decoder.ended || decoder.used != decoder.content.len() {
        return Err(XzError::corrupt(at, "a block"));
    }
    Ok(decoder.content)
}

struct Decoder {
    stream: Stream,
    content: Vec<u8>,
    used: usize,
    ended: bool,
}

impl Decoder {
    /// Decodes all of `input`; content beyond the size that the index gives
    /// is an error.
    fn feed(&mut self, mut input: &[u8]) -> Result<(), stream::Error> {
        let mut idle = 0;
        while !input.is_empty() {
            if self.ended || idle > IDLE_CALLS {
                return Err(stream::Error::Data);
            }
            let (read, written) =
                (self.stream.total_in(), self.stream.total_out());
            let space = self.content.get_mut(self.used..);
            let space = space.expect("no more than there was room");
            let status = self.stream.process(input, space, Action::Run)?;
            let read = step(self.stream.total_in(), read);
            let written = step(self.stream.total_out(), written);
            input = input.get(read..).expect("no more than there was");
            self.used = self
                .used
                .checked_add(written)
                .expect("no more than there was room");
            self.ended = matches!(status, Status::StreamEnd);
            idle = match (read, written) {
                (0, 0) => u32::checked_add(idle, 1)
                    .expect("IDLE_CALLS and one at most"),
                _ => 0,
            };
        }
        Ok(())
    }
}

/// A block as it stands in a file.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodedBlock {
    /// Header, compressed content, padding and check.
    pub bytes: Vec<u8>,
    /// Size of `bytes` without the padding, as the index has it.
    pub unpadded: u64,
    /// Size of the content in bytes.
    pub len: u64,
}

/// Makes blocks. The same content gives the same bytes.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    /// Effort, 0 to 9, as in xz(1).
    pub preset: u8,
    /// How the content is checked.
    pub check: Check,
}

impl Encoder {
    /// Encodes `len` bytes at `offset` of `source` as one block; its header
    /// carries both sizes, so that it can be decoded beside others.
    ///
    /// # Errors
    ///
    /// Those of `source`, an empty range, and a preset that there is not.
    pub fn encode(
        &self,
        source: &dyn ReadAt,
        offset: u64,
        len: u64,
    ) -> io::Result<EncodedBlock> {
        let mut stream = self.stream(len)?;
        let mut out = Vec::new();
        let mut piece = vec![0; PIECE];
        let (mut position, mut left) = (offset, len);
        while left > 0 {
            let len =
                usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            let piece = piece.get_mut(..len).expect("a piece at most");
            source.read_at(position, piece)?;
            run(&mut stream, piece, &mut out, Action::Run)?;
            let len = u64::try_from(len).expect("a piece at most");
            position = position.checked_add(len).expect("it was read just now");
            left = left.checked_sub(len).expect("no more than is left");
        }
        run(&mut stream, &[], &mut out, Action::Finish)?;
        strip(out, len)
    }

    /// Returns an encoder that makes one block of `len` bytes. The threaded
    /// one, with one thread: the other does not write sizes into headers.
    fn stream(&self, len: u64) -> io::Result<Stream> {
        let dictionary = DICTIONARIES
            .get(usize::from(self.preset))
            .ok_or_else(|| io::Error::other("there is no such preset of xz"))?;
        // A dictionary larger than the block only takes memory.
        let useful = len
            .max(4096)
            .checked_next_power_of_two()
            .and_then(|len| u32::try_from(len).ok())
            .map_or(*dictionary, |len| len.min(*dictionary));
        let mut lzma2 = LzmaOptions::new_preset(u32::from(self.preset))?;
        lzma2.dict_size(useful);
        let mut filters = Filters::new();
        filters.lzma2(&lzma2);
        let stream = MtStreamBuilder::new()
            .threads(1)
            .filters(filters)
            .check(match self.check {
                Check::None => stream::Check::None,
                Check::Crc32 => stream::Check::Crc32,
                Check::Crc64 => stream::Check::Crc64,
                Check::Sha256 => stream::Check::Sha256,
            })
            .block_size(len)
            .encoder()?;
        Ok(stream)
    }
}

/// Feeds the encoder until it has taken all, or with `Finish` until its end.
fn run(
    stream: &mut Stream,
    mut input: &[u8],
    out: &mut Vec<u8>,
    action: Action,
) -> io::Result<()> {
    let mut idle = 0;
    let finish = matches!(action, Action::Finish);
    while finish || !input.is_empty() {
        if out.capacity() == out.len() {
            out.reserve(PIECE);
        }
        let (read, written) = (stream.total_in(), stream.total_out());
        let status = stream.process_vec(input, out, action)?;
        if matches!(status, Status::StreamEnd) {
            return Ok(());
        }
        let read = step(stream.total_in(), read);
        let written = step(stream.total_out(), written);
        input = input.get(read..).expect("no more than there was");
        idle = match (read, written) {
            (0, 0) => {
                u32::checked_add(idle, 1).expect("IDLE_CALLS and one at most")
            }
            _ => 0,
        };
        if idle > IDLE_CALLS {
            return Err(io::Error::other("the xz encoder stands still"));
        }
    }
    Ok(())
}

/// Returns the one block of a stream.
fn strip(mut stream: Vec<u8>, len: u64) -> io::Result<EncodedBlock> {
    let index = XzIndex::read(&stream)?;
    let [block] = index.blocks() else {
        return Err(io::Error::other("the xz encoder made no single block"));
    };
    let (unpadded, end) = (block.unpadded, block.packed_len());
    let end = usize::try_from(end)
        .ok()
        .and_then(|end| end.checked_add(HEADER_LEN))
        .filter(|end| block.len == len && *end <= stream.len())
        .ok_or_else(|| io::Error::other("the xz encoder lost something"))?;
    stream.truncate(end);
    stream.drain(..HEADER_LEN);
    Ok(EncodedBlock { bytes: stream, unpadded, len })
}

fn step(now: u64, before: u64) -> usize {
    now.checked_sub(before)
        .and_then(|step| usize::try_from(step).ok())
        .expect("totals grow, by what is in memory")
}
