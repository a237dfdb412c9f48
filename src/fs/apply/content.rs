//! The content of a plan's files as the editors read it.

use std::{io, os::unix::fs::FileExt};

use sha2::{Digest, Sha256};

use crate::{disk::ReadAt, plan::Content};

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
///
/// A file of the builder's is compared by its digest and not read again: it
/// may have changed since somebody looked at it.
pub(super) struct Comparison<'c> {
    expected: &'c Content,
    /// Bytes read so far.
    at: u64,
    same: bool,
    hasher: Sha256,
}

impl<'c> Comparison<'c> {
    pub(super) fn with(expected: &'c Content) -> Self {
        Self { expected, at: 0, same: true, hasher: Sha256::new() }
    }

    /// Takes the next bytes that were read.
    pub(super) fn next(&mut self, found: &[u8]) {
        match self.expected {
            Content::Bytes(bytes) => {
                let at = usize::try_from(self.at).unwrap_or(usize::MAX);
                let rest = bytes.get(at..).unwrap_or_default();
                self.same = self.same && rest.starts_with(found);
            }
            Content::File(_) => self.hasher.update(found),
        }
        let len = u64::try_from(found.len()).expect("64 bits at most");
        self.at = self.at.checked_add(len).expect("bytes of a file");
    }

    /// Returns the difference, if there is one.
    pub(super) fn difference(self) -> Option<String> {
        let len = self.expected.len();
        let same = match self.expected {
            Content::Bytes(_) => self.same,
            Content::File(file) => {
                let digest = self.hasher.finalize();
                let hex = digest.iter().map(|byte| format!("{byte:02x}"));
                hex.collect::<String>() == file.sha256()
            }
        };
        (!same || self.at != len).then(|| {
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
            comparison.next(piece);
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
