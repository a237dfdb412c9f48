//! Compressed images to raw ones, in one pass and with bounded memory.
//!
//! ```text
//! bytes as they arrive ──> decoder ──> writer thread: SHA-256, sparse file
//! ```
//!
//! The format is told by the first bytes, never by a name. Legal are, beside
//! one stream: several .xz streams with padding of zeros in fours between and
//! behind them, several gzip members, several zstd frames (also skippable
//! ones). Anything else behind the end is refused. A .zip is read from its end
//! (the central directory), so it is unpacked when it is there as a whole.

mod error;
mod format;
mod gz;
mod output;
mod xz;
mod zip;
mod zst;

pub use error::UnpackError;
pub use format::Format;

use super::digest::Sha256;
use crate::disk::Sums;
use output::Output;
use std::{
    fs::File,
    io::{self, BufRead, Read},
};

/// Larger than any card that a Raspberry Pi image is made for.
const SANE_SIZE: u64 = 64 << 30;

/// How much an image may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The image's size in bytes, where it is known; it must be met exactly.
    pub size: Option<u64>,
    /// Bytes that an image of unknown size may have (64 GiB).
    pub max_size: u64,
    /// What an image of unknown size may grow to, in bytes for each byte of
    /// input, once it has more than `free` bytes (1000).
    pub max_ratio: u64,
    /// Bytes for which the ratio is not asked (1 GiB).
    pub free: u64,
    /// Memory that the .xz decoder may take, in bytes (512 MiB). It uses
    /// fewer threads rather than more than half of it.
    pub memory: u64,
    /// Threads of the .xz decoder; by default one for each processor.
    pub threads: u32,
}

impl Default for Limits {
    fn default() -> Self {
        let threads = std::thread::available_parallelism();
        Self {
            size: None,
            max_size: SANE_SIZE,
            max_ratio: 1000,
            free: 1 << 30,
            memory: 512 << 20,
            threads: threads
                .ok()
                .map_or(1, |n| n.get().try_into().unwrap_or(1)),
        }
    }
}

/// What was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// How it was compressed.
    pub format: Format,
    /// Size of the raw image in bytes.
    pub size: u64,
    /// Digest of the raw image.
    pub sha256: Sha256,
    /// Checksums of its pieces.
    pub sums: Sums,
}

/// Unpacks `input` into the empty file `out`, whose zero blocks stay holes.
///
/// `whole` opens the complete input again; it is called for a .zip alone,
/// after `input` has been read to its end. `out` is not synced.
///
/// # Errors
///
/// Input that is damaged, truncated, followed by something, larger than the
/// limits, or a .zip that does not hold exactly one file; and those of
/// reading and writing. `out` then holds a part of the image.
pub fn unpack(
    input: impl BufRead,
    whole: impl FnOnce() -> io::Result<File>,
    out: &File,
    limits: &Limits,
) -> Result<Unpacked, UnpackError> {
    let write = |offset, data: &[u8]| output::write_sparse(out, data, offset);
    let unpacked = unpack_to(input, whole, write, limits)?;
    out.set_len(unpacked.size).map_err(UnpackError::Write)?;
    Ok(unpacked)
}

/// Unpacks `input`, and calls `receive` with each piece and its offset, in
/// order and in another thread. See [`unpack`].
///
/// # Errors
///
/// See [`unpack`]; one of `receive` ends it, as [`UnpackError::Write`].
pub fn unpack_to(
    input: impl BufRead,
    whole: impl FnOnce() -> io::Result<File>,
    receive: impl FnMut(u64, &[u8]) -> io::Result<()> + Send,
    limits: &Limits,
) -> Result<Unpacked, UnpackError> {
    let mut input = Tracked::new(input);
    let format = Format::of(input.head()?)?;
    let (size, sha256, sums) = output::with(limits, receive, |output| {
        let result = decode(format, &mut input, whole, output, limits);
        // Damage seen behind a failed read is not damage.
        match (input.failed.take(), result) {
            (Some(error), Err(_)) => Err(UnpackError::Read(error)),
            (_, result) => result,
        }
    })?;
    Ok(Unpacked { format, size, sha256, sums })
}

fn decode<R: BufRead>(
    format: Format,
    input: &mut Tracked<R>,
    whole: impl FnOnce() -> io::Result<File>,
    output: &mut Output,
    limits: &Limits,
) -> Result<(), UnpackError> {
    match format {
        Format::Raw => copy(input, output, Format::Raw, |_| 1),
        Format::Xz => xz::decode(input, output, limits),
        Format::Gz => gz::decode(input, output),
        Format::Zst => zst::decode(input, output),
        Format::Zip => {
            io::copy(input, &mut io::sink()).map_err(UnpackError::Read)?;
            zip::decode(whole().map_err(UnpackError::Read)?, output)
        }
    }
}

/// Reads a decoder to its end; `consumed` tells the input so far.
fn copy<R: Read>(
    decoder: &mut R,
    output: &mut Output,
    format: Format,
    consumed: impl Fn(&R) -> u64,
) -> Result<(), UnpackError> {
    loop {
        let read = match decoder.read(output.space()) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(UnpackError::of(format, error)),
        };
        let consumed = match format {
            // Of a raw image every byte is input.
            Format::Raw => u64::MAX,
            _ => consumed(decoder),
        };
        output.filled(read, consumed)?;
    }
}

/// Counts what is read, keeps the first bytes and the first error.
#[derive(Debug)]
struct Tracked<R> {
    inner: R,
    head: Vec<u8>,
    /// Bytes of `head` that were consumed again.
    replayed: usize,
    consumed: u64,
    failed: Option<io::Error>,
}

impl<R: BufRead> Tracked<R> {
    fn new(inner: R) -> Self {
        let head = Vec::new();
        Self { inner, head, replayed: 0, consumed: 0, failed: None }
    }

    /// Returns the first bytes, at most [`format::HEAD`].
    fn head(&mut self) -> Result<&[u8], UnpackError> {
        let limit = u64::try_from(format::HEAD).unwrap_or(0);
        (&mut self.inner)
            .take(limit)
            .read_to_end(&mut self.head)
            .map_err(UnpackError::Read)?;
        Ok(&self.head)
    }

    /// Returns whether everything was read.
    fn at_end(&mut self) -> Result<bool, UnpackError> {
        self.next_byte().map(|byte| byte.is_none())
    }

    /// Returns the next byte without consuming it.
    fn next_byte(&mut self) -> Result<Option<u8>, UnpackError> {
        let bytes = self.fill_buf().map_err(UnpackError::Read)?;
        Ok(bytes.first().copied())
    }
}

impl<R: BufRead> BufRead for Tracked<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.replayed < self.head.len() {
            return Ok(self.head.get(self.replayed..).unwrap_or_default());
        }
        loop {
            match self.inner.fill_buf() {
                Ok(_) => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let kind = error.kind();
                    self.failed = Some(error);
                    return Err(kind.into());
                }
            }
        }
        // Asked again because the borrow of the first answer would not end.
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        let added = u64::try_from(amount).unwrap_or(u64::MAX);
        self.consumed = self.consumed.saturating_add(added);
        if self.replayed < self.head.len() {
            self.replayed = self.replayed.saturating_add(amount);
        } else {
            self.inner.consume(amount);
        }
    }
}

impl<R: BufRead> Read for Tracked<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buf)?;
        self.consume(read);
        Ok(read)
    }
}
