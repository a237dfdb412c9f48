//! Block maps: `.bmap`, version 2.0, which tells bmaptool(1) and others which
//! blocks of an image need not be written to a card.

use super::{SinkError, Staged};
use crate::{
    disk::{Overlay, ReadAt},
    progress::Progress,
};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write as _},
    path::Path,
    sync::{Mutex, PoisonError},
};

/// The unit of the map, in bytes.
const BLOCK: u64 = 4096;
/// Ranges end at multiples of that many blocks (4 MiB), so that those of an
/// image and of its base are mostly the same.
const STEP: u64 = 1024;
/// What is read at once, in bytes.
const CHUNK: usize = 1 << 20;
/// Where the file's own checksum goes; it is made with this in its place.
const NO_CHECKSUM: &str =
    "0000000000000000000000000000000000000000000000000000000000000000";

/// Checksums of ranges that are as they are in a base: the same for all
/// images over it. Threads may share one.
#[derive(Debug, Default)]
pub struct BaseChecksums(Mutex<BTreeMap<(u64, u64), String>>);

impl BaseChecksums {
    fn get(&self, blocks: (u64, u64)) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&blocks).cloned()
    }

    fn put(&self, blocks: (u64, u64), checksum: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(blocks, checksum.to_owned());
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Size of the image in bytes.
    pub size: u64,
    /// Bytes of it that are mapped, in whole blocks.
    pub mapped: u64,
    /// Size of the map in bytes.
    pub file: u64,
}

/// Writes the map of an image to `dest`, which has it whole or is as it was
/// before: see [`stage_map`].
///
/// # Errors
///
/// Those of reading and writing.
pub fn write_map(
    overlay: &Overlay,
    unused: &[(u64, u64)],
    known: &BaseChecksums,
    dest: &Path,
    progress: &dyn Progress,
) -> Result<Written, SinkError> {
    let (staged, written) = stage_map(overlay, unused, known, dest, progress)?;
    staged.publish()?;
    Ok(written)
}

/// Writes the map of an image to a file that is to be published as `dest`.
///
/// `unused` are the ranges `(offset, len)`, sorted, whose content does not
/// matter; every block with another byte is mapped, also where it is zero: a
/// card is not. `known` belongs to the base of the overlay.
///
/// # Errors
///
/// Those of reading and writing.
pub fn stage_map(
    overlay: &Overlay,
    unused: &[(u64, u64)],
    known: &BaseChecksums,
    dest: &Path,
    progress: &dyn Progress,
) -> Result<(Staged, Written), SinkError> {
    let staged = Staged::create(dest)?;
    let size = overlay.size();
    let changed = overlay.changed().map_err(|e| staged.read_error(None, e))?;
    let ranges = mapped(size, unused);
    let count = ranges.iter().fold(0u64, |sum, (first, end)| {
        sum.checked_add(
            end.checked_sub(*first)
                .expect("inside of the image, and one block more"),
        )
        .expect("inside of the image, and one block more")
    });
    progress.start(
        "map",
        Some(
            count
                .checked_mul(BLOCK)
                .expect("inside of the image, and one block more"),
        ),
    );
    let mut lines = String::new();
    for &(first, end) in &ranges {
        let at = first
            .checked_mul(BLOCK)
            .expect("inside of the image, and one block more");
        let len = end
            .checked_mul(BLOCK)
            .expect("inside of the image, and one block more")
            .min(size)
            .checked_sub(at)
            .expect("inside of the image, and one block more");
        let same = !touches(
            &changed,
            at,
            at.checked_add(len)
                .expect("inside of the image, and one block more"),
        );
        let found = known.get((first, end)).filter(|_| same);
        let checksum = match found {
            Some(checksum) => checksum,
            None => checksum(overlay, at, len)
                .map_err(|e| staged.read_error(Some(at), e))?,
        };
        if same {
            known.put((first, end), &checksum);
        }
        progress.advance(len);
        let last = end
            .checked_sub(1)
            .expect("inside of the image, and one block more");
        let blocks = match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            lines,
            "        <Range chksum=\"{checksum}\"> {blocks} </Range>"
        );
    }
    let text = document(size, count, &lines);
    staged
        .file()
        .write_all(text.as_bytes())
        .map_err(|e| staged.error("write", None, e))?;
    progress.finish();
    let file = u64::try_from(text.len()).expect("64 bits at most");
    let mapped = count
        .checked_mul(BLOCK)
        .expect("inside of the image, and one block more");
    Ok((staged, Written { size, mapped, file }))
}

/// Ranges of blocks, `(first, behind the last)`, that are not unused.
fn mapped(size: u64, unused: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let count = size.div_ceil(BLOCK);
    let mut ranges = Vec::new();
    let mut start = 0;
    let holes = unused.iter().map(|(at, len)| {
        let end = at
            .checked_add(*len)
            .expect("inside of the image, and one block more");
        // The last block may be short.
        let end = if end >= size { count } else { end / BLOCK };
        (at.div_ceil(BLOCK), end)
    });
    for (from, to) in holes.chain([(count, count)]) {
        if to < from || (to == from && from != count) {
            continue;
        }
        let from = from.min(count);
        while start < from {
            let step = (start / STEP)
                .checked_add(1)
                .expect("inside of the image, and one block more")
                .checked_mul(STEP)
                .expect("inside of the image, and one block more");
            let end = step.min(from);
            ranges.push((start, end));
            start = end;
        }
        start = start.max(to);
    }
    ranges
}

fn touches(changed: &[(u64, u64)], start: u64, end: u64) -> bool {
    let first = changed.partition_point(|(at, len)| {
        at.checked_add(*len).expect("inside of the image, and one block more")
            <= start
    });
    changed.get(first).is_some_and(|(at, _)| *at < end)
}

fn checksum(
    image: &dyn ReadAt,
    mut at: u64,
    mut len: u64,
) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    while len > 0 {
        let step = usize::try_from(len).map_or(CHUNK, |len| len.min(CHUNK));
        let chunk = buffer.get_mut(..step).expect("a chunk at most");
        image.read_at(at, chunk)?;
        digest.update(&*chunk);
        let step = u64::try_from(step).expect("a chunk at most");
        at = at
            .checked_add(step)
            .expect("inside of the image, and one block more");
        len = len
            .checked_sub(step)
            .expect("inside of the image, and one block more");
    }
    Ok(hex(&digest.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn document(size: u64, mapped: u64, ranges: &str) -> String {
    let text = format!(
        "<?xml version=\"1.0\" ?>\n\
         <!-- Blocks of an SD-card image: which are to be written. -->\n\
         <bmap version=\"2.0\">\n    \
             <ImageSize> {size} </ImageSize>\n    \
             <BlockSize> {BLOCK} </BlockSize>\n    \
             <BlocksCount> {} </BlocksCount>\n    \
             <MappedBlocksCount> {mapped} </MappedBlocksCount>\n    \
             <ChecksumType> sha256 </ChecksumType>\n    \
             <BmapFileChecksum> {NO_CHECKSUM} </BmapFileChecksum>\n    \
             <BlockMap>\n{ranges}    </BlockMap>\n\
         </bmap>\n",
        size.div_ceil(BLOCK),
    );
    let own = hex(&Sha256::digest(text.as_bytes()));
    text.replacen(NO_CHECKSUM, &own, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_with_a_used_byte_are_mapped() {
        let blocks = |n: u64| n * BLOCK;
        assert_eq!(mapped(0, &[]), []);
        assert_eq!(mapped(1, &[]), [(0, 1)]);
        assert_eq!(mapped(1, &[(0, 1)]), []);
        assert_eq!(mapped(blocks(4), &[]), [(0, 4)]);
        let unused = [(1, blocks(2)), (blocks(3), blocks(1))];
        assert_eq!(mapped(blocks(5), &unused), [(0, 1), (2, 3), (4, 5)]);
        // Less than a block is free.
        assert_eq!(mapped(blocks(3), &[(5000, 100)]), [(0, 3)]);
        assert_eq!(mapped(blocks(3), &[(5000, 4000)]), [(0, 3)]);
        // A short last block.
        assert_eq!(mapped(blocks(2) + 7, &[(blocks(2), 7)]), [(0, 2)]);
        assert_eq!(mapped(blocks(2) + 7, &[(blocks(2), 6)]), [(0, 3)]);
        assert_eq!(
            mapped(blocks(3000), &[(0, blocks(1000))]),
            [(1000, 1024), (1024, 2048), (2048, 3000)]
        );
    }

    #[test]
    fn changes_are_found() {
        let changed = [(10, 10), (40, 10)];
        for (start, end, found) in
            [(0, 10, false), (0, 11, true), (20, 40, false), (49, 60, true)]
        {
            assert_eq!(touches(&changed, start, end), found);
        }
    }
}
