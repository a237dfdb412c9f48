use super::UnpackError;
use crate::base::digest::FromStart;
use serde::{Deserialize, Serialize};
use std::{fmt, fs::File, io::Read};

/// Bytes that tell the format; the magic of tar stands at 257.
pub(super) const HEAD: usize = 512;

/// How an image is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Not at all.
    Raw,
    /// .xz: <https://tukaani.org/xz/xz-file-format.txt>
    Xz,
    /// gzip: RFC 1952.
    Gz,
    /// zstd: RFC 8878.
    Zst,
    /// zip: PKWARE's APPNOTE.
    Zip,
}

/// First bytes of what is understood, and of what is often offered instead.
const KNOWN: &[(&[u8], Format)] = &[
    (b"\xfd7zXZ\0", Format::Xz),
    (b"\x1f\x8b", Format::Gz),
    (b"\x28\xb5\x2f\xfd", Format::Zst),
    (b"PK\x03\x04", Format::Zip),
    (b"PK\x05\x06", Format::Zip),
];
const FOREIGN: &[(usize, &[u8], &str)] = &[
    (0, b"BZh", "bzip2"),
    (0, b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (0, b"\x04\x22\x4d\x18", "lz4"),
    (0, b"LZIP", "lzip"),
    (0, b"QFI\xfb", "qcow2"),
    (257, b"ustar", "tar"),
];

impl Format {
    /// Tells the format of a file.
    ///
    /// # Errors
    ///
    /// As [`Format::of`]; and those of reading.
    pub fn of_file(file: &File) -> Result<Self, UnpackError> {
        let mut head = Vec::new();
        let limit = u64::try_from(HEAD).unwrap_or(0);
        FromStart::of(file)
            .take(limit)
            .read_to_end(&mut head)
            .map_err(UnpackError::Read)?;
        Self::of(&head)
    }

    /// Tells the format by the first bytes; what has no magic is raw.
    ///
    /// # Errors
    ///
    /// Nothing at all, or a format that is known not to be understood.
    pub fn of(head: &[u8]) -> Result<Self, UnpackError> {
        if head.is_empty() {
            return Err(UnpackError::Empty);
        }
        for (at, magic, name) in FOREIGN {
            if head.get(*at..).is_some_and(|rest| rest.starts_with(magic)) {
                return Err(UnpackError::Unsupported(name));
            }
        }
        let known = KNOWN.iter().find(|(magic, _)| head.starts_with(magic));
        Ok(known.map_or(Self::Raw, |(_, format)| *format))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "raw",
            Self::Xz => "xz",
            Self::Gz => "gzip",
            Self::Zst => "zstd",
            Self::Zip => "zip",
        })
    }
}
