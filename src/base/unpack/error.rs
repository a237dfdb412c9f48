use super::Format;
use std::io;

/// Why something cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// There is not one byte.
    #[error("it is empty")]
    Empty,
    /// A format that piflash does not read.
    #[error("it is {0}, which piflash does not unpack")]
    Unsupported(&'static str),
    /// The input could not be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// The image could not be written.
    #[error("the image cannot be written")]
    Write(#[source] io::Error),
    /// The data contradicts itself.
    #[error("its {format} data is damaged: {detail}")]
    Damaged {
        /// How it is compressed.
        format: Format,
        /// What the decoder says.
        detail: String,
    },
    /// The data ends too early.
    #[error("its {0} data is truncated")]
    Truncated(Format),
    /// Something follows the compressed data.
    #[error("there is something behind its {0} data")]
    Trailing(Format),
    /// The image is larger than its known size or than any sane one.
    #[error("it unpacks to more than {limit} bytes")]
    TooLarge {
        /// What was allowed.
        limit: u64,
    },
    /// The image grows out of all proportion.
    #[error(
        "it looks like a decompression bomb: {input} bytes of it unpack to \
         more than {output} bytes"
    )]
    Bomb {
        /// Bytes read.
        input: u64,
        /// Bytes that came of them.
        output: u64,
    },
    /// The image is smaller than its known size.
    #[error("it unpacks to {found} bytes instead of {expected}")]
    TooSmall {
        /// The known size.
        expected: u64,
        /// What there was.
        found: u64,
    },
    /// The decoder would take more memory than it may.
    #[error("unpacking it takes more than {limit} bytes of memory")]
    Memory {
        /// What was allowed.
        limit: u64,
    },
    /// It refers further back than may be kept in memory.
    #[error(
        "its zstd window is {window} bytes, and more than {limit} are not kept \
         in memory"
    )]
    Window {
        /// What it asks for, in bytes.
        window: u64,
        /// What it may have, in bytes.
        limit: u64,
    },
    /// A .zip with no file or with several.
    #[error("the zip holds {0} files instead of one image")]
    Members(usize),
}

impl UnpackError {
    /// Makes an error of what a decoder says about its data.
    pub(super) fn of(format: Format, error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Truncated(format);
        }
        match format {
            Format::Raw => Self::Read(error),
            format => Self::Damaged { format, detail: error.to_string() },
        }
    }

    /// Returns whether the input is to blame, and not this machine.
    #[must_use]
    pub fn is_data(&self) -> bool {
        !matches!(self, Self::Read(_) | Self::Write(_))
    }
}
