//! The image that is part of the program: it has Raspberry Pi OS's layout,
//! but does not boot. `images/demo/build.sh` makes it.

use super::unpack::{self, Limits, UnpackError};
use serde::Deserialize;
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

const PACKED: &[u8] = include_bytes!("../../images/demo/demo.img.zst");
const RECORD: &str = include_str!("../../images/demo/demo.yaml");

/// What was written down when the demo image was made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DemoRecord {
    /// SHA-256 of the unpacked image, in hex.
    pub sha256: String,
    /// Size of the unpacked image in bytes.
    pub size: u64,
    /// Version of the mke2fs that made the root file system.
    pub mke2fs: String,
}

/// Why the demo image could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The temporary file could not be made or written.
    #[error("unpacking the demo image into {}", dir.display())]
    Write {
        /// Directory of the temporary file.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program was built with a damaged image.
    #[error("the demo image in this program is damaged: {0}")]
    Damaged(String),
}

/// Returns what is recorded of the demo image.
///
/// # Errors
///
/// Only if the program was built with a damaged record.
pub fn record() -> Result<DemoRecord, DemoError> {
    serde_saphyr::from_str(RECORD)
        .map_err(|error| DemoError::Damaged(error.to_string()))
}

/// Unpacks the demo image to a sparse temporary file in `dir` that has no
/// name, and is gone when the file is closed.
///
/// # Errors
///
/// The file cannot be written, or the image does not have the recorded size
/// and checksum.
pub fn unpack(dir: &Path) -> Result<File, DemoError> {
    unpack_checked(PACKED, &record()?, dir)
}

fn unpack_checked(
    packed: &[u8],
    record: &DemoRecord,
    dir: &Path,
) -> Result<File, DemoError> {
    let write = |source| DemoError::Write { dir: dir.to_owned(), source };
    let file = tempfile::tempfile_in(dir).map_err(write)?;
    let limits = Limits { size: Some(record.size), ..Limits::default() };
    // Only of a .zip is the whole asked for.
    let whole = || Err(io::ErrorKind::Unsupported.into());
    let unpacked =
        unpack::unpack(packed, whole, &file, &limits).map_err(|error| {
            match error {
                UnpackError::Write(source) => write(source),
                error => DemoError::Damaged(error.to_string()),
            }
        })?;
    let hex = unpacked.sha256.to_string();
    if hex != record.sha256 {
        return Err(DemoError::Damaged(format!(
            "its SHA-256 is {hex} instead of {}",
            record.sha256
        )));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What unpacking `packed` says, where the record is the real one but
    /// for `change`.
    fn complaint(packed: &[u8], change: fn(&mut DemoRecord)) -> String {
        let mut record = record().unwrap();
        change(&mut record);
        let dir = std::env::temp_dir();
        unpack_checked(packed, &record, &dir).unwrap_err().to_string()
    }

    #[test]
    fn a_damaged_image_is_never_handed_out() {
        let size = record().unwrap().size;
        for (message, expected) in [
            (
                complaint(PACKED, |r| r.size += 1),
                format!("{size} bytes instead of"),
            ),
            (complaint(PACKED, |r| r.size -= 1), "more than".to_owned()),
            (
                complaint(PACKED, |r| r.sha256 = "0".repeat(64)),
                format!("instead of {}", "0".repeat(64)),
            ),
            (complaint(b"no zstd at all", |_| ()), String::new()),
            (complaint(&PACKED[..PACKED.len() / 2], |_| ()), String::new()),
        ] {
            let start = "the demo image in this program is damaged: ";
            let rest = message.strip_prefix(start);
            let rest = rest.unwrap_or_else(|| panic!("{message}"));
            assert!(rest.contains(&expected), "{message}");
        }
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = unpack(Path::new("/nonexistent/dir")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unpacking the demo image into /nonexistent/dir"
        );
    }
}
