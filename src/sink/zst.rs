//! Compressed images: `.img.zst`, faster to unpack and larger than .xz.
//!
//! Rows of independent frames with a table of them at the end. Frames of the
//! base without a change are copied, the others encoded: see
//! [`splice`](super::splice). [`prepare`] makes a base that is cut for it.

use super::{
    SinkError, SinkErrorKind, Staged,
    packed::Written,
    source::Watch,
    splice::{Block, Encoded, Format, Grain, Job, Memo, Ranges, Source},
    total,
};
use crate::{
    disk::{
        CheckedFile, Overlay, ReadAt,
        zst::{ZstFrame, ZstIndex, encode, table},
    },
    progress::Progress,
};
use std::{fs::File, io, path::Path, thread};

/// More than a coarse one would gain little: windows are 2 to 4 MiB.
const GRAIN: Grain = Grain { coarse: 4 << 20, fine: 256 << 10 };

/// How to write a .zst file.
#[derive(Clone, Copy, Debug)]
pub struct ZstOptions {
    /// Effort, as in zstd(1).
    pub level: i32,
    /// Threads that encode. The bytes do not depend on it.
    pub threads: usize,
}

impl Default for ZstOptions {
    /// Level 9: a tenth smaller than zstd's own default, and still fifteen
    /// times as fast as xz. A thread for each processor.
    fn default() -> Self {
        let threads = thread::available_parallelism();
        Self { level: 9, threads: threads.map_or(1, |n| n.get()) }
    }
}

/// A base image as a .zst file with a table, to take frames from.
#[derive(Debug)]
pub struct ZstBase {
    file: CheckedFile,
    index: ZstIndex,
    memo: Memo<(u32, u32)>,
}

impl ZstBase {
    /// Takes an open file and reads its table.
    ///
    /// # Errors
    ///
    /// Those of [`ZstIndex::read`].
    pub fn new(file: File) -> io::Result<Self> {
        Self::checked(CheckedFile::new(file, Path::new(""), None)?)
    }

    /// Takes a file whose reads are checked, and reads its table.
    ///
    /// # Errors
    ///
    /// Those of [`ZstIndex::read`].
    pub fn checked(file: CheckedFile) -> io::Result<Self> {
        let index = ZstIndex::read(&file)?;
        Ok(Self { file, index, memo: Memo::default() })
    }

    /// Returns where its frames are.
    #[must_use]
    pub fn index(&self) -> &ZstIndex {
        &self.index
    }

    fn source(&self) -> Source<'_, (u32, u32)> {
        let block = |frame: &ZstFrame| Block {
            packed: frame.packed,
            packed_len: frame.packed_len.into(),
            offset: frame.offset,
            len: frame.len.into(),
            fits: true,
            record: (frame.packed_len, frame.len),
        };
        let full = self.index.frames().iter().filter(|frame| frame.len > 0);
        let (file, blocks) = (&self.file, full.map(block).collect());
        Source { file, blocks, memo: &self.memo }
    }
}

/// Writes the image to `dest`, which has it whole or is as it was before: see
/// [`stage_image`].
///
/// # Errors
///
/// A base of another size, a full disk, and those of reading and writing.
pub fn write_image(
    overlay: &Overlay,
    base: Option<&ZstBase>,
    raw: Option<&File>,
    dest: &Path,
    options: &ZstOptions,
    progress: &dyn Progress,
) -> Result<Written, SinkError> {
    let (staged, written) =
        stage_image(overlay, base, raw, dest, options, progress)?;
    staged.publish()?;
    Ok(written)
}

/// Writes the image to a file that is to be published as `dest`.
///
/// `base` holds the same image as the base of the overlay: that is for the
/// caller to know, only the size is compared. Without it everything is
/// encoded. `raw` is the file under the overlay, where there is one; both
/// are watched for changes. The new file has mode 0600: images hold keys.
///
/// # Errors
///
/// Those of [`write_image`].
pub fn stage_image(
    overlay: &Overlay,
    base: Option<&ZstBase>,
    raw: Option<&File>,
    dest: &Path,
    options: &ZstOptions,
    progress: &dyn Progress,
) -> Result<(Staged, Written), SinkError> {
    let staged = Staged::create(dest)?;
    let files = base.map(|base| base.file.file()).into_iter().chain(raw);
    let watch = Watch::new(&staged, files)?;
    if base.is_some_and(|base| base.index.size() != overlay.size()) {
        return Err(SinkError {
            path: dest.to_owned(),
            offset: None,
            op: "write",
            kind: SinkErrorKind::BadBase(
                "the compressed base holds an image of another size",
            ),
        });
    }
    let changed = overlay.changed().map_err(|e| staged.read_error(None, e))?;
    let job = job(overlay, base.map(ZstBase::source), options, progress);
    let assembled = job.splice(&Ranges::new(&changed), &staged)?;
    watch.check(&staged)?;
    let written = Written::new(overlay.size(), total(&changed), assembled);
    Ok((staged, written))
}

/// Makes a .zst file of `image` to take frames from: fine ones where it is
/// `hot`, ranges `(offset, len)` in bytes that nodes will change; coarse ones
/// elsewhere. `dest` has all of it or is as it was before.
///
/// # Errors
///
/// A full disk, and those of reading and writing.
pub fn prepare(
    image: &dyn ReadAt,
    hot: &[(u64, u64)],
    dest: &Path,
    options: &ZstOptions,
    progress: &dyn Progress,
) -> Result<Written, SinkError> {
    let staged = Staged::create(dest)?;
    let job = job(image, None, options, progress);
    let assembled = job.prepare(&Ranges::new(hot), &staged)?;
    staged.publish()?;
    Ok(Written::new(image.size(), 0, assembled))
}

fn job<'a>(
    image: &'a dyn ReadAt,
    source: Option<Source<'a, (u32, u32)>>,
    options: &ZstOptions,
    progress: &'a dyn Progress,
) -> Job<'a, Zst> {
    let ZstOptions { level, threads } = *options;
    let format = Zst { level };
    Job { image, source, format, grain: GRAIN, threads, progress }
}

struct Zst {
    level: i32,
}

impl Format for Zst {
    /// Compressed and uncompressed size.
    type Record = (u32, u32);

    fn header(&self) -> Vec<u8> {
        Vec::new()
    }

    fn parameters(&self) -> [u8; 8] {
        i64::from(self.level).to_le_bytes()
    }

    fn encode(
        &self,
        image: &dyn ReadAt,
        offset: u64,
        len: u64,
    ) -> io::Result<Encoded<Self::Record>> {
        let bytes = encode(image, offset, len, self.level)?;
        let packed = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let len = u32::try_from(len).map_err(io::Error::other)?;
        Ok(Encoded { bytes, record: (packed, len) })
    }

    fn end(&self, records: &[Self::Record]) -> Option<Vec<u8>> {
        table(records)
    }

    fn size_of(&self, file: &dyn ReadAt) -> io::Result<u64> {
        Ok(ZstIndex::read(file)?.size())
    }
}
