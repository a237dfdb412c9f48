//! Which blocks are copied and which are encoded: arithmetic only.

use super::Block;
use std::ops::Range;

/// Content of blocks, in bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::sink) struct Grain {
    /// Where nothing changes.
    pub(in crate::sink) coarse: u64,
    /// Where something may change. A change costs the encoding of one; each
    /// costs some hundred bytes of size.
    pub(in crate::sink) fine: u64,
}

/// Blocks with more content are not taken over: whoever reads or encodes
/// them needs it all in memory.
const LARGEST: u64 = 64 << 20;

/// A part of a new file. All of them are the image, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Blocks of the source by their numbers, as they are.
    Copy(Range<usize>),
    /// A block with this range of the image.
    Encode {
        /// Where it begins, in bytes.
        offset: u64,
        /// Its length in bytes.
        len: u64,
    },
}

/// A sorted list of ranges `(offset, len)` without empty ones.
pub(in crate::sink) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Sorts and joins ranges.
    pub(in crate::sink) fn new(ranges: &[(u64, u64)]) -> Self {
        // A range may go on to the end, wherever that is.
        let ends = |(at, len): &(u64, u64)| (*at, at.saturating_add(*len));
        let mut sorted: Vec<_> = ranges.iter().map(ends).collect();
        sorted.retain(|(start, end)| start < end);
        sorted.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::new();
        for (start, end) in sorted {
            match joined.last_mut() {
                Some((_, last)) if *last >= start => *last = end.max(*last),
                _ => joined.push((start, end)),
            }
        }
        Self(joined)
    }

    /// Returns the ranges `(start, end)` that have a byte in `start..end`.
    fn within(&self, start: u64, end: u64) -> &[(u64, u64)] {
        let first = self.0.partition_point(|(_, e)| *e <= start);
        let last = self.0.partition_point(|(s, _)| *s < end);
        self.0.get(first..last).unwrap_or_default()
    }
}

/// Returns how `blocks` become an image that differs in `changed`: each block
/// that has a changed byte is encoded again, as are those that do not fit.
pub(super) fn splice<R>(
    blocks: &[Block<R>],
    changed: &Ranges,
    grain: Grain,
) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (number, block) in blocks.iter().enumerate() {
        let same = changed.within(block.offset, block.end()).is_empty();
        if same && block.fits {
            copy(number, &mut pieces);
        } else if block.len <= LARGEST {
            let (offset, len) = (block.offset, block.len);
            pieces.push(Piece::Encode { offset, len });
        } else {
            grain.cut(block.offset, block.end(), &[], &mut pieces);
        }
    }
    pieces
}

/// Returns the blocks of an image of `size` bytes that is to be changed in
/// `hot`: those of the source where they are cold, else fine ones in the hot
/// places and coarse ones between them.
pub(super) fn prepare<R>(
    source: Option<&[Block<R>]>,
    size: u64,
    hot: &Ranges,
    grain: Grain,
) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let Some(blocks) = source else {
        let mut start = 0;
        while start < size {
            let end = start
                .checked_add(grain.coarse)
                .expect("inside of the image")
                .min(size);
            grain.cut(start, end, hot.within(start, end), &mut pieces);
            start = end;
        }
        return pieces;
    };
    for (number, block) in blocks.iter().enumerate() {
        let hot = hot.within(block.offset, block.end());
        if hot.is_empty() && block.fits && block.len <= LARGEST {
            copy(number, &mut pieces);
        } else {
            grain.cut(block.offset, block.end(), hot, &mut pieces);
        }
    }
    pieces
}

fn copy(number: usize, pieces: &mut Vec<Piece>) {
    let behind = number.checked_add(1).expect("inside of the image");
    match pieces.last_mut() {
        Some(Piece::Copy(run)) if run.end == number => run.end = behind,
        _ => pieces.push(Piece::Copy(number..behind)),
    }
}

impl Grain {
    /// Cuts `start..end` into blocks: fine ones where it is hot.
    fn cut(
        self,
        start: u64,
        end: u64,
        hot: &[(u64, u64)],
        pieces: &mut Vec<Piece>,
    ) {
        let mut position = start;
        for (hot_start, hot_end) in hot {
            let from = self.down(*hot_start).max(position);
            let to = hot_end
                .checked_next_multiple_of(self.fine)
                .map_or(end, |to| to.min(end));
            grid(position, from, self.coarse, pieces);
            position = position.max(from);
            while position < to {
                let next = self
                    .down(position)
                    .checked_add(self.fine)
                    .expect("inside of the image");
                let next = next.min(to);
                grid(position, next, self.fine, pieces);
                position = next;
            }
        }
        grid(position, end, self.coarse, pieces);
    }

    /// Rounds down to the fine grid, which counts from the image's start: so
    /// the same image is cut in the same way whatever its source's blocks
    /// are.
    fn down(self, offset: u64) -> u64 {
        offset
            .checked_rem(self.fine)
            .and_then(|over| offset.checked_sub(over))
            .expect("the grid has a width")
    }
}

/// Cuts `start..end` into steps.
fn grid(mut start: u64, end: u64, step: u64, pieces: &mut Vec<Piece>) {
    while start < end {
        let left = end.checked_sub(start).expect("before the end");
        let len = step.min(left);
        pieces.push(Piece::Encode { offset: start, len });
        start = start.checked_add(len).expect("inside of the image");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const KIB: u64 = 1 << 10;
    const GRAIN: Grain = Grain { coarse: 24 * MIB, fine: 256 * KIB };

    fn prepare(
        source: Option<&[Block<()>]>,
        size: u64,
        hot: &Ranges,
    ) -> Vec<Piece> {
        super::prepare(source, size, hot, GRAIN)
    }

    fn encode(offset: u64, len: u64) -> Piece {
        Piece::Encode { offset, len }
    }

    #[test]
    fn ranges_are_joined() {
        let joined = |ranges: &[_]| Ranges::new(ranges).0;
        assert_eq!(joined(&[]), []);
        assert_eq!(joined(&[(5, 0)]), []);
        assert_eq!(
            joined(&[(20, 5), (0, 10), (10, 2), (3, 4), (24, 6)]),
            [(0, 12), (20, 30)]
        );
        assert_eq!(joined(&[(7, u64::MAX)]), [(7, u64::MAX)]);
        let ranges = Ranges::new(&[(10, 10), (30, 10)]);
        assert_eq!(ranges.within(0, 10), []);
        assert_eq!(ranges.within(0, 11), [(10, 20)]);
        assert_eq!(ranges.within(20, 30), []);
        assert_eq!(ranges.within(19, 31), [(10, 20), (30, 40)]);
    }

    #[test]
    fn cold_places_are_coarse_and_hot_ones_fine() {
        let hot = Ranges::new(&[(0, 1), (25 * MIB + 5, 300 * KIB)]);
        let fine = 256 * KIB;
        assert_eq!(
            prepare(None, 60 * MIB + 7, &hot),
            [
                encode(0, fine),
                encode(fine, 24 * MIB - fine),
                encode(24 * MIB, MIB),
                encode(25 * MIB, fine),
                encode(25 * MIB + fine, fine),
                encode(25 * MIB + 2 * fine, 23 * MIB - 2 * fine),
                encode(48 * MIB, 12 * MIB + 7),
            ]
        );
        assert_eq!(prepare(None, 0, &hot), []);
        assert_eq!(prepare(None, 5, &hot), [encode(0, 5)]);
        let all = Ranges::new(&[(0, u64::MAX)]);
        assert_eq!(
            prepare(None, 600 * KIB, &all),
            [encode(0, fine), encode(fine, fine), encode(2 * fine, 88 * KIB)]
        );
    }

    #[test]
    fn two_hot_places_in_one_cell_make_one_block() {
        let hot = Ranges::new(&[(10, 10), (100, 10), (300 * KIB, 1)]);
        assert_eq!(
            prepare(None, MIB, &hot),
            [
                encode(0, 256 * KIB),
                encode(256 * KIB, 256 * KIB),
                encode(512 * KIB, 512 * KIB)
            ]
        );
    }
}
