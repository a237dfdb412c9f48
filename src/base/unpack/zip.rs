use super::{Format, UnpackError, copy, output::Output};
use std::{
    fs::File,
    io::{self, BufReader, Seek, SeekFrom},
    os::unix::fs::FileExt,
};
use zip::ZipArchive;

/// Size of the end of central directory record without its comment.
const END_RECORD: u64 = 22;

/// Decodes the only member of a complete archive.
pub(super) fn decode(
    file: File,
    output: &mut Output,
) -> Result<(), UnpackError> {
    let damaged =
        |detail: String| UnpackError::Damaged { format: Format::Zip, detail };
    let size = (&file).seek(SeekFrom::End(0)).map_err(UnpackError::Read)?;
    let end = file.try_clone().map_err(UnpackError::Read)?;
    let mut archive = ZipArchive::new(BufReader::new(file))
        .map_err(|error| damaged(error.to_string()))?;
    if !ends_at_end(&end, size, archive.comment().len())? {
        return Err(UnpackError::Trailing(Format::Zip));
    }
    if archive.len() != 1 {
        return Err(UnpackError::Members(archive.len()));
    }
    let mut member =
        archive.by_index(0).map_err(|error| damaged(error.to_string()))?;
    if !member.is_file() {
        return Err(UnpackError::Members(0));
    }
    copy(&mut member, output, Format::Zip, |_| size)
}

/// Returns whether the record that closes the archive closes the file too:
/// the crate looks for it from the end and takes what is behind it.
fn ends_at_end(
    file: &File,
    size: u64,
    comment: usize,
) -> Result<bool, UnpackError> {
    let tail = u64::try_from(comment).unwrap_or(u64::MAX);
    let tail = tail.saturating_add(END_RECORD);
    let Some(at) = size.checked_sub(tail) else { return Ok(false) };
    let mut magic = [0; 4];
    match file.read_exact_at(&mut magic, at) {
        Ok(()) => Ok(magic == *b"PK\x05\x06"),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(UnpackError::Read(error)),
    }
}
