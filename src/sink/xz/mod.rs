//! Compressed images: `.img.xz`, for rpi-imager and Etcher as they are.
//!
//! Blocks of the base without a change are copied, the others encoded: see
//! [`splice`](super::splice). [`prepare`] makes a base that is cut for it.

mod base;

pub use super::packed::Written;
use super::{
    SinkError, SinkErrorKind, Staged,
    source::Watch,
    splice::{Encoded, Format, Grain, Job, Ranges},
    total,
};
use crate::{
    disk::{
        Overlay, ReadAt,
        xz::{Check, Encoder, XzIndex, index_and_footer, stream_header},
    },
    progress::Progress,
};
pub use base::XzBase;
use std::{fs::File, io, path::Path, thread};

/// Coarse blocks are those of `xz -6`.
const GRAIN: Grain = Grain { coarse: 24 << 20, fine: 128 << 10 };

/// How to write an .xz file.
#[derive(Clone, Copy, Debug)]
pub struct XzOptions {
    /// Effort, 0 to 9, as in xz(1).
    pub preset: u8,
    /// Threads that encode. The bytes do not depend on it.
    pub threads: usize,
}

impl Default for XzOptions {
    /// Preset 6, which is xz's own default, and a thread for each processor.
    fn default() -> Self {
        let threads = thread::available_parallelism();
        Self { preset: 6, threads: threads.map_or(1, |n| n.get()) }
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
    base: Option<&XzBase>,
    raw: Option<&File>,
    dest: &Path,
    options: &XzOptions,
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
    base: Option<&XzBase>,
    raw: Option<&File>,
    dest: &Path,
    options: &XzOptions,
    progress: &dyn Progress,
) -> Result<(Staged, Written), SinkError> {
    let staged = Staged::create(dest)?;
    let files = base.map(XzBase::file).into_iter().chain(raw);
    let watch = Watch::new(&staged, files)?;
    let check = check_of(&staged, base, overlay.size())?;
    let changed = overlay.changed().map_err(|e| staged.read_error(None, e))?;
    let job = job(overlay, base, check, options, progress);
    let assembled = job.splice(&Ranges::new(&changed), &staged)?;
    watch.check(&staged)?;
    let written = Written::new(overlay.size(), total(&changed), assembled);
    Ok((staged, written))
}

/// Makes an .xz file of `image` to take blocks from: fine blocks where it is
/// `hot`, ranges `(offset, len)` in bytes that nodes will change; coarse
/// ones elsewhere.
///
/// Cold blocks of `source`, an .xz file of the same image, are copied where
/// it is worth that ([`XzIndex::is_reusable`](crate::disk::xz::XzIndex::is_reusable)); all else is encoded, which
/// for gigabytes takes minutes. `dest` has all of it or is as it was before.
///
/// # Errors
///
/// A source of another size, a full disk, and those of reading and writing.
pub fn prepare(
    image: &dyn ReadAt,
    source: Option<&XzBase>,
    hot: &[(u64, u64)],
    dest: &Path,
    options: &XzOptions,
    progress: &dyn Progress,
) -> Result<Written, SinkError> {
    let staged = Staged::create(dest)?;
    let source = source.filter(|source| source.index().is_reusable());
    let watch = Watch::new(&staged, source.map(XzBase::file))?;
    let check = check_of(&staged, source, image.size())?;
    let job = job(image, source, check, options, progress);
    let assembled = job.prepare(&Ranges::new(hot), &staged)?;
    watch.check(&staged)?;
    staged.publish()?;
    Ok(Written::new(image.size(), 0, assembled))
}

fn job<'a>(
    image: &'a dyn ReadAt,
    base: Option<&'a XzBase>,
    check: Check,
    options: &XzOptions,
    progress: &'a dyn Progress,
) -> Job<'a, Xz> {
    let XzOptions { preset, threads } = *options;
    let format = Xz(Encoder { preset, check });
    let source = base.map(|base| base.source(check));
    Job { image, source, format, grain: GRAIN, threads, progress }
}

/// Streams of one kind of check.
struct Xz(Encoder);

impl Format for Xz {
    /// Unpadded and uncompressed size.
    type Record = (u64, u64);

    fn header(&self) -> Vec<u8> {
        stream_header(self.0.check).to_vec()
    }

    fn parameters(&self) -> [u8; 8] {
        let [_, _, _, _, _, _, _, check, ..] = stream_header(self.0.check);
        [self.0.preset, check, 0, 0, 0, 0, 0, 0]
    }

    fn encode(
        &self,
        image: &dyn ReadAt,
        offset: u64,
        len: u64,
    ) -> io::Result<Encoded<Self::Record>> {
        let block = self.0.encode(image, offset, len)?;
        let record = (block.unpadded, block.len);
        Ok(Encoded { bytes: block.bytes, record })
    }

    fn end(&self, records: &[Self::Record]) -> Option<Vec<u8>> {
        index_and_footer(records.iter().copied(), self.0.check)
    }

    fn size_of(&self, file: &dyn ReadAt) -> io::Result<u64> {
        Ok(XzIndex::read(file)?.size())
    }
}

/// Returns how blocks are to be checked: as those of the base are.
fn check_of(
    staged: &Staged,
    base: Option<&XzBase>,
    size: u64,
) -> Result<Check, SinkError> {
    let Some(base) = base else { return Ok(Check::Crc64) };
    if base.index().size() != size {
        return Err(SinkError {
            path: staged.path().to_owned(),
            offset: None,
            op: "write",
            kind: SinkErrorKind::BadBase(
                "the compressed base holds an image of another size",
            ),
        });
    }
    let first = base.index().blocks().first();
    Ok(first.map_or(Check::Crc64, |block| block.check))
}
