//! Where new blocks come from.
//!
//! Everything of one session goes into one region, one after another, so
//! that few stretches of the image change. Blocks freed in this session are
//! still part of the file system on the device: they are taken last, and
//! what goes into them is held back until the commit.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::layout::bit;
use super::le::index;
use super::{Ext4, INSIDE, Result};
use crate::fs::{FsErrorKind, Structure};

/// A region worth beginning in has room for this many more blocks.
pub(super) const REGION: u64 = 1024;

/// Blocks given out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) len: u64,
    /// Whether the blocks still belong to something on the device.
    pub(super) held_back: bool,
}

/// Disjoint stretches of blocks, by their start.
#[derive(Debug, Default)]
struct Stretches {
    map: BTreeMap<u64, u64>,
    total: u64,
}

impl Stretches {
    fn insert(&mut self, start: u64, len: u64) {
        self.total = self.total.checked_add(len).expect(INSIDE);
        let (mut start, mut len) = (start, len);
        let before = self.map.range(..start).next_back();
        if let Some((&at, &held)) = before
            && at.checked_add(held).expect(INSIDE) == start
        {
            self.map.remove(&at);
            start = at;
            len = len.checked_add(held).expect(INSIDE);
        }
        if let Some(held) =
            self.map.remove(&start.checked_add(len).expect(INSIDE))
        {
            len = len.checked_add(held).expect(INSIDE);
        }
        self.map.insert(start, len);
    }

    /// Takes the first `len` blocks of the stretch at `start`.
    fn take(&mut self, start: u64, len: u64) {
        let held = self.map.remove(&start).expect("a stretch begins there");
        self.total = self.total.checked_sub(len).expect(INSIDE);
        let rest = held.checked_sub(len).expect("no more than was found");
        if rest > 0 {
            self.map.insert(start.checked_add(len).expect(INSIDE), rest);
        }
    }

    /// Returns the first stretch from `at` on with `len` blocks.
    fn find(&self, at: u64, len: u64) -> Option<u64> {
        let mut fitting =
            self.map.range(at..).filter(|(_, held)| **held >= len);
        fitting.next().map(|(start, _)| *start)
    }

    /// Takes up to `count` blocks from the longest stretches.
    fn take_longest(&mut self, count: u64) -> Vec<(u64, u64)> {
        let mut all: Vec<_> = self.map.iter().map(|(s, l)| (*s, *l)).collect();
        all.sort_by_key(|&(start, len)| (Reverse(len), start));
        let mut wanted = count;
        let mut taken = Vec::new();
        for (start, len) in all {
            let len = len.min(wanted);
            if len == 0 {
                break;
            }
            wanted = wanted.checked_sub(len).expect(INSIDE);
            self.take(start, len);
            taken.push((start, len));
        }
        taken
    }
}

/// The free blocks of a file system.
#[derive(Debug, Default)]
pub(super) struct Space {
    free: Stretches,
    freed: Stretches,
    /// Where the last block was given out.
    cursor: u64,
}

impl Space {
    /// Picks one stretch for `count` blocks: at the cursor, else in the
    /// first large stretch, else in the next that has room.
    fn pick(&self, count: u64) -> Option<u64> {
        let here = self.free.map.get(&self.cursor);
        if here.is_some_and(|len| *len >= count) {
            return Some(self.cursor);
        }
        self.free
            .find(0, count.max(REGION))
            .or_else(|| self.free.find(self.cursor, count))
            .or_else(|| self.free.find(0, count))
    }

    /// Returns what is free: `(start, len)`, ascending.
    pub(super) fn free_runs(&self) -> Vec<(u64, u64)> {
        self.free.map.iter().map(|(start, len)| (*start, *len)).collect()
    }

    fn give(&mut self, count: u64) -> Vec<Piece> {
        if let Some(start) = self.pick(count) {
            self.free.take(start, count);
            self.cursor = start.checked_add(count).expect(INSIDE);
            return vec![Piece { start, len: count, held_back: false }];
        }
        let mut pieces = Vec::new();
        let mut given = 0u64;
        for (list, held_back) in
            [(&mut self.free, false), (&mut self.freed, true)]
        {
            for (start, len) in
                list.take_longest(count.checked_sub(given).expect(INSIDE))
            {
                given = given.checked_add(len).expect(INSIDE);
                pieces.push(Piece { start, len, held_back });
            }
        }
        pieces.sort_by_key(|piece| piece.start);
        pieces
    }

    /// Returns what was freed and not given out again: start, length.
    fn freed_runs(&self) -> Vec<(u64, u64)> {
        self.freed.map.iter().map(|(start, len)| (*start, *len)).collect()
    }

    /// Makes what was freed usable: nothing refers to it any more.
    pub(super) fn committed(&mut self) {
        for (start, len) in std::mem::take(&mut self.freed).map {
            self.free.insert(start, len);
        }
    }
}

impl Ext4<'_> {
    /// Reads all bitmaps, once, and compares them with the counts.
    pub(super) fn survey(&mut self) -> Result<()> {
        if self.space.is_some() {
            return Ok(());
        }
        let mut space = Space::default();
        for number in 0..self.sb.groups {
            let bitmap = self.block_bitmap(number)?;
            let start = self.group_start(number);
            let blocks = self.group_end(number).checked_sub(start);
            let blocks = blocks.expect("groups begin inside");
            let before = space.free.total;
            for (from, len) in clear_runs(&bitmap, blocks) {
                let from = start.checked_add(from).expect(INSIDE);
                if !self.is_data(from, len) {
                    return Err(Structure::BlockBitmap(number)
                        .rule("tables are marked as free"));
                }
                space.free.insert(from, len);
            }
            self.check_inodes(number)?;
            let found = space.free.total.checked_sub(before).expect(INSIDE);
            let count = self.group_mut(number)?.bg_free_blocks_count;
            if found != u64::from(count) {
                return Err(Structure::GroupDescriptor(number).field(
                    "bg_free_blocks_count",
                    count,
                    found,
                ));
            }
        }
        let free = self.sb.free_blocks();
        if free != space.free.total {
            return Err(Structure::Superblock.field(
                "s_free_blocks_count",
                free,
                space.free.total,
            ));
        }
        self.space = Some(space);
        Ok(())
    }

    /// Zeroes the blocks that were freed, so that nothing of what was removed
    /// or replaced is left on the device. Those that are zero already are
    /// not written.
    pub(super) fn wipe_freed(&self) -> Result<()> {
        const PIECE: u64 = 256;
        let Some(space) = &self.space else { return Ok(()) };
        let block = index(self.sb.block_size);
        let zeros = vec![0; block];
        let mut buffer = Vec::new();
        for (start, len) in space.freed_runs() {
            let end = start.checked_add(len).expect(INSIDE);
            let mut at = start;
            while at < end {
                let count = end.checked_sub(at).expect(INSIDE).min(PIECE);
                let bytes =
                    count.checked_mul(self.sb.block_size.into()).expect(INSIDE);
                buffer.resize(index(bytes), 0);
                self.blocks.read_run(at, &mut buffer)?;
                for (number, held) in (at..).zip(buffer.chunks(block)) {
                    if held != zeros {
                        self.blocks.write_zeros(number)?;
                    }
                }
                at = at.checked_add(count).expect(INSIDE);
            }
        }
        Ok(())
    }

    /// Allocates `count` blocks in as few pieces as possible.
    pub(super) fn allocate_blocks(&mut self, count: u64) -> Result<Vec<Piece>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        self.survey()?;
        let size = u64::from(self.sb.block_size);
        let space = self.space.as_mut().expect("surveyed just now");
        let available =
            space.free.total.checked_add(space.freed.total).expect(INSIDE);
        if available < count {
            return Err(no_space(count, available, size));
        }
        let pieces = space.give(count);
        for piece in &pieces {
            self.mark_blocks(piece.start, piece.len, true)?;
        }
        Ok(pieces)
    }

    /// Allocates one block of metadata.
    pub(super) fn allocate_block(&mut self) -> Result<u64> {
        let pieces = self.allocate_blocks(1)?;
        pieces.first().map(|piece| piece.start).ok_or(FsErrorKind::NoSpace {
            what: "bytes",
            needed: self.sb.block_size.into(),
            available: 0,
        })
    }

    /// Frees blocks; they stay untouched on the device until the commit.
    pub(super) fn free_blocks(&mut self, start: u64, len: u64) -> Result<()> {
        self.survey()?;
        if !self.is_data(start, len) {
            return Err(Structure::Block(start).rule("in use, but no data"));
        }
        self.mark_blocks(start, len, false)?;
        let end = start.checked_add(len).expect("data: see `is_data`");
        for block in start..end {
            self.blocks.forget(block);
        }
        if let Some(space) = &mut self.space {
            space.freed.insert(start, len);
        }
        Ok(())
    }
}

/// Of blocks of `size` bytes. What is needed may be absurd, and is only shown.
pub(super) fn no_space(needed: u64, available: u64, size: u64) -> FsErrorKind {
    FsErrorKind::NoSpace {
        what: "bytes",
        needed: needed.saturating_mul(size),
        available: available.saturating_mul(size),
    }
}

/// Returns the runs of clear bits among the first `bits`.
pub(super) fn clear_runs(bitmap: &[u8], bits: u64) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    let mut add = |at: u64, count: u64| match runs.last_mut() {
        Some((start, len))
            if start.checked_add(*len).expect("bits of one group") == at =>
        {
            *len = len.checked_add(count).expect("bits of one group");
        }
        _ => runs.push((at, count)),
    };
    let mut at = 0u64;
    for &byte in bitmap {
        let rest = bits.checked_sub(at).expect("bits of one group").min(8);
        if byte == 0 && rest == 8 {
            add(at, 8);
        } else if byte != 0xFF {
            for within in (0..rest).filter(|&shift| !bit(&[byte], shift)) {
                add(at.checked_add(within).expect("bits of one group"), 1);
            }
        }
        at = at.checked_add(8).expect("bits of one group");
        if at >= bits {
            break;
        }
    }
    runs
}
