//! Compressed images: `.img.xz`, for rpi-imager and Etcher as they are.
//!
//! An .xz file is a row of blocks that are compressed one by one, and an
//! image differs from its base in few places. So blocks without a change are
//! copied as they are, and only the others are encoded:
//!
//! ```text
//! base .xz   [block][block][block][block] index
//!               │      │   changed   │
//! node .xz   [ same][ same][ new ][ same] new index
//! ```
//!
//! For that to be cheap the blocks must be small where nodes differ;
//! [`prepare`] makes such a base, once.

mod assemble;
mod base;
mod cuts;
mod encode;

use super::{SinkError, SinkErrorKind, Staged, source::Watch};
use crate::{
    disk::{
        Overlay, ReadAt,
        xz::{Check, Encoder},
    },
    progress::Progress,
};
use assemble::{Assembled, Assembly};
pub use base::XzBase;
use cuts::{Piece, Ranges};
use std::{fs::File, path::Path, thread};

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

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Size of the image in bytes.
    pub size: u64,
    /// Size of the file in bytes.
    pub packed: u64,
    /// Bytes in which the image differs from its base, in whole blocks of
    /// the overlay. Nothing for a prepared base.
    pub changed: u64,
    /// Blocks taken over as they were.
    pub copied: usize,
    /// Blocks that were encoded.
    pub encoded: usize,
}

/// Writes the image to `dest`, which has it whole or is as it was before.
///
/// `base` holds the same image as the base of the overlay: that is for the
/// caller to know, only the size is compared. Without it everything is
/// encoded. `raw` is the file under the overlay, where there is one; both
/// are watched for changes. The new file has mode 0600: images hold keys.
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
    let staged = Staged::create(dest)?;
    let files = base.map(XzBase::file).into_iter().chain(raw);
    let watch = Watch::new(&staged, files)?;
    let check = check_of(&staged, base, overlay.size())?;
    let changed = overlay.changed().map_err(|e| staged.read_error(None, e))?;
    let ranges = Ranges::new(&changed);
    let pieces = match base {
        Some(base) => cuts::splice(base.index(), check, &ranges),
        None => cuts::prepare(None, overlay.size(), &Ranges::new(&[])),
    };
    let assembled =
        assemble(overlay, base, &pieces, check, options, progress, &staged)?;
    watch.check(&staged)?;
    staged.publish()?;
    let changed =
        changed.iter().fold(0, |sum, (_, len)| len.saturating_add(sum));
    Ok(written(overlay.size(), changed, assembled))
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
    let index = source.map(XzBase::index);
    let pieces = cuts::prepare(index, image.size(), &Ranges::new(hot));
    let assembled =
        assemble(image, source, &pieces, check, options, progress, &staged)?;
    watch.check(&staged)?;
    staged.publish()?;
    Ok(written(image.size(), 0, assembled))
}

fn assemble(
    image: &dyn ReadAt,
    base: Option<&XzBase>,
    pieces: &[Piece],
    check: Check,
    options: &XzOptions,
    progress: &dyn Progress,
    staged: &Staged,
) -> Result<Assembled, SinkError> {
    let (preset, threads) = (options.preset, options.threads);
    let encoder = Encoder { preset, check };
    Assembly { image, base, pieces, encoder, threads, progress }.write(staged)
}

fn written(size: u64, changed: u64, assembled: Assembled) -> Written {
    let Assembled { packed, copied, encoded } = assembled;
    Written { size, packed, changed, copied, encoded }
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
