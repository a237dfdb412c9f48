//! SHA-256 digests, by which images and downloads are named.

use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::{
    fmt,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    str::FromStr,
};

use crate::progress::Progress;

/// A SHA-256 digest; as text 64 hexadecimal digits, written in lower case.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256([u8; 32]);

/// A text that is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 digest is 64 hexadecimal digits")]
pub struct NotADigest;

impl Sha256 {
    /// Takes the 32 bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Reads to the end and calls `seen` with the size of each piece.
    ///
    /// # Errors
    ///
    /// Those of the reader.
    pub fn of_reader(
        reader: impl Read,
        seen: impl FnMut(usize),
    ) -> io::Result<Self> {
        let mut hasher = Hasher::default();
        hasher.read(reader, seen)?;
        Ok(hasher.finish())
    }
}

impl Sha256 {
    /// Reads all of a file as a stage of its own, whose end the caller tells.
    pub(super) fn of_file(
        file: &File,
        stage: &'static str,
        progress: &dyn Progress,
    ) -> io::Result<Self> {
        progress.start(stage, Some(file.metadata()?.len()));
        Self::of_reader(FromStart::of(file), |read| {
            progress.advance(u64::try_from(read).unwrap_or(u64::MAX));
        })
    }
}

/// Reads a file from its start; the file's own position, which others may
/// share, stays.
pub(crate) struct FromStart<'f> {
    file: &'f File,
    at: u64,
}

impl<'f> FromStart<'f> {
    pub(crate) fn of(file: &'f File) -> Self {
        Self { file, at: 0 }
    }
}

impl Read for FromStart<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buf, self.at)?;
        let more = u64::try_from(read).unwrap_or(u64::MAX);
        self.at = self.at.saturating_add(more);
        Ok(read)
    }
}

/// A digest in the making.
#[derive(Clone, Default)]
pub(super) struct Hasher(sha2::Sha256);

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Reads to the end and calls `seen` with the size of each piece.
    pub(super) fn read(
        &mut self,
        reader: impl Read,
        mut seen: impl FnMut(usize),
    ) -> io::Result<()> {
        self.read_with(reader, |bytes| seen(bytes.len()))
    }

    /// Reads to the end and calls `seen` with each piece.
    pub(super) fn read_with(
        &mut self,
        mut reader: impl Read,
        mut seen: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            // A reader that says more than it was given room for.
            let bytes = buffer.get(..read).ok_or(io::ErrorKind::InvalidData)?;
            self.update(bytes);
            seen(bytes);
        }
    }

    pub(super) fn finish(self) -> Sha256 {
        Sha256(self.0.finalize().into())
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256 {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let digits = text.as_bytes();
        let (pairs, []) = digits.as_chunks::<2>() else {
            return Err(NotADigest);
        };
        let pairs: &[[u8; 2]; 32] = pairs.try_into().map_err(|_| NotADigest)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            // from_str_radix would take a sign.
            if !pair.iter().all(u8::is_ascii_hexdigit) {
                return Err(NotADigest);
            }
            let pair = std::str::from_utf8(pair).map_err(|_| NotADigest)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NotADigest)?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Sha256 {
    type Error = NotADigest;
    fn try_from(text: String) -> Result<Self, NotADigest> {
        text.parse()
    }
}

impl From<Sha256> for String {
    fn from(digest: Sha256) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let digest = Sha256::of(b"abc");
        let text = digest.to_string();
        // FIPS 180-2, appendix B.1.
        assert!(text.starts_with("ba7816bf8f01cfea"), "{text}");
        assert_eq!(text.parse(), Ok(digest));
        assert_eq!(text.to_uppercase().parse(), Ok(digest));
        let mut seen = 0;
        let read = Sha256::of_reader(&b"abc"[..], |n| seen += n).unwrap();
        assert_eq!((read, seen), (digest, 3));
        for bad in ["", "ab", &text[1..], &format!("{text}0"), &"+1".repeat(32)]
        {
            assert_eq!(bad.parse::<Sha256>(), Err(NotADigest), "{bad}");
        }
    }
}
