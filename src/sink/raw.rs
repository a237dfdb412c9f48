//! Raw images: `.img`, for dd, Etcher and rpi-imager.

use super::{
    CHUNK, SinkError, SinkErrorKind, Staged,
    source::{Watch, kernel_copy},
    total,
};
use crate::{
    disk::{Overlay, ReadAt, extents},
    progress::Progress,
};
use rustix::fs::{fstat, ioctl_ficlone};
use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

/// Holes are made of whole blocks of the destination's file system.
const HOLE: usize = 4096;

/// How to write a raw image.
#[derive(Clone, Debug)]
pub struct RawOptions {
    /// Share the base's blocks where the file system can.
    pub reflink: bool,
    /// Copy the base through the overlay, whose base compares what it reads
    /// with checksums, and not by the kernel.
    pub checked: bool,
}

impl Default for RawOptions {
    fn default() -> Self {
        Self { reflink: true, checked: false }
    }
}

/// How the unchanged part of an image came to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// It shares the blocks of the base.
    Reflink,
    /// Its data was copied; its holes are holes.
    Copied,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Size of the image in bytes.
    pub size: u64,
    /// Bytes in which it differs from the base, in whole blocks.
    pub changed: u64,
    /// Bytes that were written: data of the base, unless it was shared, and
    /// changed blocks. Zeros that became holes count too.
    pub bytes: u64,
    /// How.
    pub method: Method,
}

/// Writes the image to `dest`, which has it whole or is as it was before: see
/// [`stage_image`].
///
/// # Errors
///
/// A full disk, a base that changes meanwhile, and those of reading and
/// writing.
pub fn write_image(
    overlay: &Overlay,
    base_file: Option<&File>,
    dest: &Path,
    options: &RawOptions,
    progress: &dyn Progress,
) -> Result<Written, SinkError> {
    let (staged, written) =
        stage_image(overlay, base_file, dest, options, progress)?;
    staged.publish()?;
    Ok(written)
}

/// Writes the image to a file that is to be published as `dest`.
///
/// `base_file` is the file under the overlay where the base is a plain raw
/// file: then its blocks may be shared, or copied by the kernel. The new
/// file has mode 0600: images hold keys.
///
/// # Errors
///
/// Those of [`write_image`].
pub fn stage_image(
    overlay: &Overlay,
    base_file: Option<&File>,
    dest: &Path,
    options: &RawOptions,
    progress: &dyn Progress,
) -> Result<(Staged, Written), SinkError> {
    let staged = Staged::create(dest)?;
    let size = overlay.size();
    let watch = Watch::new(&staged, base_file)?;
    let base_file = check_base(&staged, base_file, size)?;
    let changed = overlay.changed().map_err(|e| staged.read_error(None, e))?;
    let changed_bytes = total(&changed);

    let reflinked = options.reflink
        && base_file
            .is_some_and(|base| ioctl_ficlone(staged.file(), base).is_ok());
    // What is left to copy of the base, as (offset, len).
    let mut runs = Vec::new();
    if !reflinked {
        for extent in extents(&**overlay.base()) {
            let extent = extent.map_err(|e| staged.read_error(None, e))?;
            if !extent.zero {
                runs.push((extent.offset, extent.len));
            }
        }
        runs = without(&runs, &changed);
    }
    let bytes = changed_bytes
        .checked_add(total(&runs))
        .expect("without what has changed");
    let available = staged
        .available()
        .map_err(|e| staged.error("look at space for", None, e))?;
    let no_space = || SinkError {
        path: dest.to_owned(),
        offset: None,
        op: "write",
        kind: SinkErrorKind::NoSpace { needed: bytes, available },
    };
    if bytes > available {
        return Err(no_space());
    }
    progress.start("write", Some(bytes));
    let result = (|| {
        if !reflinked {
            staged
                .file()
                .set_len(size)
                .map_err(|e| staged.error("size", None, e))?;
        }
        let mut base_file = base_file.filter(|_| !options.checked);
        for (offset, len) in &runs {
            copy_base(
                overlay,
                &mut base_file,
                &staged,
                *offset,
                *len,
                progress,
            )?;
        }
        for (offset, len) in &changed {
            copy_run(overlay, &staged, *offset, *len, reflinked, progress)?;
        }
        Ok(())
    })();
    result.map_err(|error: SinkError| match &error.kind {
        SinkErrorKind::Io(e) if e.kind() == io::ErrorKind::StorageFull => {
            no_space()
        }
        _ => error,
    })?;
    watch.check(&staged)?;
    progress.finish();
    let method = if reflinked { Method::Reflink } else { Method::Copied };
    let written = Written { size, changed: changed_bytes, bytes, method };
    Ok((staged, written))
}

/// Returns the base's file if it can be copied from as it is.
fn check_base<'a>(
    staged: &Staged,
    base: Option<&'a File>,
    size: u64,
) -> Result<Option<&'a File>, SinkError> {
    let Some(base) = base else { return Ok(None) };
    let fail = |e| staged.error("compare with the base image", None, e);
    let stat = fstat(base).map_err(|e| fail(e.into()))?;
    let is_file = rustix::fs::FileType::from_raw_mode(stat.st_mode)
        == rustix::fs::FileType::RegularFile;
    let same = u64::try_from(stat.st_size).is_ok_and(|len| len == size);
    Ok((is_file && same).then_some(base))
}

/// Copies a run of the base, by the kernel where that works.
fn copy_base(
    overlay: &Overlay,
    base_file: &mut Option<&File>,
    staged: &Staged,
    mut offset: u64,
    mut len: u64,
    progress: &dyn Progress,
) -> Result<(), SinkError> {
    while let Some(base) = *base_file
        && len > 0
    {
        let file = staged.file();
        let Some(copied) = kernel_copy(base, offset, file, offset, len) else {
            *base_file = None;
            break;
        };
        progress.advance(copied);
        offset = offset.checked_add(copied).expect("inside of the image");
        len = len.checked_sub(copied).expect("inside of the image");
    }
    copy_run(overlay, staged, offset, len, false, progress)
}

/// Copies a run of the overlay. Blocks of zeros are left out where the file
/// has a hole anyway; with `overwrite` there is other data under them.
fn copy_run(
    overlay: &Overlay,
    staged: &Staged,
    mut offset: u64,
    mut len: u64,
    overwrite: bool,
    progress: &dyn Progress,
) -> Result<(), SinkError> {
    let mut buffer = vec![0; CHUNK];
    while len > 0 {
        // To where whole pieces begin that have one checksum.
        let over = usize::try_from(offset).map_or(0, |at| at % CHUNK);
        let room = CHUNK.checked_sub(over).expect("below CHUNK");
        let step = usize::try_from(len).map_or(room, |len| len.min(room));
        let chunk = buffer.get_mut(..step).expect("a chunk at most");
        overlay
            .read_at(offset, chunk)
            .map_err(|e| staged.read_error(Some(offset), e))?;
        write_sparse(staged.file(), offset, chunk, overwrite)
            .map_err(|e| staged.error("write", Some(offset), e))?;
        let step = u64::try_from(step).expect("a chunk at most");
        progress.advance(step);
        offset = offset.checked_add(step).expect("inside of the image");
        len = len.checked_sub(step).expect("inside of the image");
    }
    Ok(())
}

fn write_sparse(
    file: &File,
    offset: u64,
    bytes: &[u8],
    overwrite: bool,
) -> io::Result<()> {
    if overwrite {
        return file.write_all_at(bytes, offset);
    }
    // Runs of blocks that are not zero, each in one write.
    let is_zero = |block: &[u8]| block.iter().all(|byte| *byte == 0);
    let mut start = 0usize;
    for run in bytes
        .chunks(HOLE)
        .collect::<Vec<_>>()
        .chunk_by(|a, b| is_zero(a) == is_zero(b))
    {
        let len = run.iter().fold(0usize, |n, b| {
            n.checked_add(b.len()).expect("inside of the image")
        });
        let end = start.checked_add(len).expect("inside of the image");
        if !run.first().is_some_and(|block| is_zero(block)) {
            let at = u64::try_from(start).expect("a chunk at most");
            let part = bytes.get(start..end).expect("runs of these bytes");
            file.write_all_at(
                part,
                offset.checked_add(at).expect("inside of the image"),
            )?;
        }
        start = end;
    }
    Ok(())
}

/// Returns `runs` without the parts that `cut` covers; both are sorted.
fn without(runs: &[(u64, u64)], cut: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut left = Vec::new();
    let mut cuts = cut.iter().peekable();
    for (offset, len) in runs {
        let (mut start, end) =
            (*offset, offset.checked_add(*len).expect("inside of the image"));
        while let Some((at, by)) = cuts.peek() {
            let behind = at.checked_add(*by).expect("inside of the image");
            if *at >= end {
                break;
            }
            if *at > start {
                left.push((
                    start,
                    at.checked_sub(start).expect("inside of the image"),
                ));
            }
            start = start.max(behind);
            if behind > end {
                // It may cut the next run too.
                break;
            }
            cuts.next();
        }
        if start < end {
            left.push((
                start,
                end.checked_sub(start).expect("inside of the image"),
            ));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn cuts_runs() {
        let cut = |runs: &[_], cut: &[_]| without(runs, cut);
        assert_eq!(cut(&[(0, 10)], &[]), [(0, 10)]);
        assert_eq!(cut(&[(0, 10)], &[(0, 10)]), []);
        assert_eq!(cut(&[(0, 10)], &[(2, 3), (8, 9)]), [(0, 2), (5, 3)]);
        assert_eq!(
            cut(&[(0, 10), (20, 10), (40, 5)], &[(5, 20), (28, 100)]),
            [(0, 5), (25, 3)]
        );
        assert_eq!(cut(&[(10, 5)], &[(0, 3), (20, 3)]), [(10, 5)]);
        assert_eq!(cut(&[(10, 5)], &[(0, 12)]), [(12, 3)]);
    }
}
