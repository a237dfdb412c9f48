//! The content of a plan's files as the editors read it.

use std::{io, os::unix::fs::FileExt};

use crate::{disk::ReadAt, plan::Content};

/// Pieces in which contents are compared, in bytes.
const PIECE: usize = 1 << 20;

impl ReadAt for Content {
    fn size(&self) -> u64 {
        self.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => bytes.as_ref().read_at(offset, buf),
            Self::File(file) => file.file().read_exact_at(buf, offset),
        }
    }
}

/// Compares what is read back with what was to be written, piece by piece.
pub(super) struct Comparison<'c> {
    expected: &'c Content,
    /// Bytes read so far.
    at: u64,
    same: bool,
    buffer: Vec<u8>,
}

impl<'c> Comparison<'c> {
    pub(super) fn with(expected: &'c Content) -> Self {
        Self { expected, at: 0, same: true, buffer: Vec::new() }
    }

    /// Takes the next bytes that were read.
    pub(super) fn next(&mut self, found: &[u8]) -> io::Result<()> {
        for found in found.chunks(PIECE) {
            let len = u64::try_from(found.len()).unwrap_or(u64::MAX);
            let end = self.at.saturating_add(len);
            self.same = self.same && end <= self.expected.len();
            if self.same {
                self.buffer.resize(found.len(), 0);
                self.expected.read_at(self.at, &mut self.buffer)?;
                self.same = self.buffer == found;
            }
            self.at = end;
        }
        Ok(())
    }

    /// Returns the difference, if there is one.
    pub(super) fn difference(self) -> Option<String> {
        let len = self.expected.len();
        (!self.same || self.at != len).then(|| {
            format!(
                "its content differs ({len} bytes written, {} read)",
                self.at
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(written: &[u8], read: &[&[u8]]) -> Option<String> {
        let content = Content::from(written.to_vec());
        let mut comparison = Comparison::with(&content);
        for piece in read {
            comparison.next(piece).unwrap();
        }
        comparison.difference()
    }

    #[test]
    fn every_difference_is_seen() {
        assert_eq!(difference(b"", &[]), None);
        assert_eq!(difference(b"abc", &[b"abc"]), None);
        assert_eq!(difference(b"abc", &[b"a", b"", b"bc"]), None);
        for read in [&[&b"ab"[..]][..], &[], &[b"abc", b"d"], &[b"ab", b"d"]] {
            let said = difference(b"abc", read).unwrap();
            assert!(said.starts_with("its content differs (3"), "{said}");
        }
    }
}
