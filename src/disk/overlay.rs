use super::{Extent, ReadAt, WriteAt, check_range, past_end};
use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

/// The unit of copy-on-write, in bytes.
pub const BLOCK_SIZE: usize = 4096;
const BLOCK: u64 = 4096;
/// Why places of changed blocks can be computed: they are blocks of the image,
/// whose size is that of its base.
const INSIDE: &str = "inside of the image";
/// Blocks are kept in slabs, so that a large file is a few allocations.
const SLAB_BLOCKS: usize = 256;
const SLAB_SIZE: usize = 1 << 20;

/// How an [`Overlay`] keeps what was changed.
#[derive(Clone, Debug)]
pub struct OverlayOptions {
    /// Bytes kept in memory; what comes later goes to a temporary file.
    pub memory_limit: u64,
    /// Where the temporary file is made, without a name. It holds secrets
    /// of the image; its mode is 0600.
    pub spill_dir: PathBuf,
}

impl Default for OverlayOptions {
    /// 128 MiB, and the system's directory for temporary files.
    fn default() -> Self {
        Self { memory_limit: 128 << 20, spill_dir: std::env::temp_dir() }
    }
}

/// A writable view of a base that is never written.
///
/// Changed blocks of [`BLOCK_SIZE`] are kept in memory and, beyond a limit,
/// in an unlinked temporary file.
pub struct Overlay {
    base: Arc<dyn ReadAt>,
    size: u64,
    options: OverlayOptions,
    changes: RwLock<Changes>,
}

#[derive(Default)]
struct Changes {
    /// Block number in the image -> slot. Slots are handed out in order and
    /// never given back.
    slots: BTreeMap<u64, usize>,
    slabs: Vec<Vec<u8>>,
    /// Slots that fit into memory; those after them are in `spill`.
    spill: Option<File>,
}

impl Overlay {
    /// Puts an empty overlay over `base`, with default options.
    pub fn new(base: Arc<dyn ReadAt>) -> Self {
        Self::with_options(base, OverlayOptions::default())
    }

    /// Puts an empty overlay over `base`.
    pub fn with_options(
        base: Arc<dyn ReadAt>,
        options: OverlayOptions,
    ) -> Self {
        let size = base.size();
        Self { base, size, options, changes: RwLock::default() }
    }

    /// Returns what the overlay lies over.
    pub fn base(&self) -> &Arc<dyn ReadAt> {
        &self.base
    }

    /// Returns the ranges `(offset, len)` in which the image differs from
    /// its base: whole blocks (the last one may be shorter), sorted,
    /// neighbours merged.
    ///
    /// Blocks are compared with the base here and not when they are written:
    /// an edit often puts the old bytes back, and a base may be costly to
    /// read. So call it once, after the last edit.
    pub fn changed(&self) -> io::Result<Vec<(u64, u64)>> {
        let changes = self.changes.read().unwrap_or_else(poisoned);
        let mut runs: Vec<(u64, u64)> = Vec::new();
        let (mut ours, mut theirs) = ([0; BLOCK_SIZE], [0; BLOCK_SIZE]);
        for (&block, &slot) in &changes.slots {
            let (offset, len) = self.block_range(block)?;
            let ours = ours.get_mut(..len).ok_or_else(past_end)?;
            let theirs = theirs.get_mut(..len).ok_or_else(past_end)?;
            self.load(&changes, slot, 0, ours)?;
            self.base.read_at(offset, theirs)?;
            if ours == theirs {
                continue;
            }
            let len = u64::try_from(len).map_err(|_| past_end())?;
            match runs.last_mut() {
                Some((start, run))
                    if start.checked_add(*run) == Some(offset) =>
                {
                    *run = run.checked_add(len).expect(INSIDE);
                }
                _ => runs.push((offset, len)),
            }
        }
        Ok(runs)
    }

    /// Returns how many bytes the changed blocks take, in memory or spilled.
    /// Blocks that were written with what the base holds count too.
    pub fn held(&self) -> u64 {
        let changes = self.changes.read().unwrap_or_else(poisoned);
        u64::try_from(changes.slots.len())
            .ok()
            .and_then(|blocks| blocks.checked_mul(BLOCK))
            .expect(INSIDE)
    }

    /// Returns offset and length of a block; the last one may be short.
    fn block_range(&self, block: u64) -> io::Result<(u64, usize)> {
        let offset = block.checked_mul(BLOCK).ok_or_else(past_end)?;
        let left = self.size.checked_sub(offset).ok_or_else(past_end)?;
        let len = usize::try_from(left.min(BLOCK)).map_err(|_| past_end())?;
        Ok((offset, len))
    }

    fn memory_slots(&self) -> usize {
        usize::try_from(self.options.memory_limit / BLOCK).unwrap_or(usize::MAX)
    }

    /// Reads a part of a slot.
    fn load(
        &self,
        changes: &Changes,
        slot: usize,
        within: usize,
        buf: &mut [u8],
    ) -> io::Result<()> {
        match slot.checked_sub(self.memory_slots()) {
            None => {
                let start = slab_offset(slot, within);
                let source = changes
                    .slabs
                    .get(slot / SLAB_BLOCKS)
                    .and_then(|slab| slab.get(start..)?.get(..buf.len()))
                    .ok_or_else(|| io::Error::other("no such slot"))?;
                buf.copy_from_slice(source);
                Ok(())
            }
            Some(spilled) => changes
                .spill
                .as_ref()
                .ok_or_else(|| io::Error::other("no spill file"))?
                .read_exact_at(buf, spill_offset(spilled, within)?),
        }
    }

    /// Writes a part of a slot.
    fn store(
        &self,
        changes: &mut Changes,
        slot: usize,
        within: usize,
        bytes: &[u8],
    ) -> io::Result<()> {
        match slot.checked_sub(self.memory_slots()) {
            None => {
                if changes.slabs.len() <= slot / SLAB_BLOCKS {
                    changes.slabs.push(vec![0; SLAB_SIZE]);
                }
                let start = slab_offset(slot, within);
                changes
                    .slabs
                    .get_mut(slot / SLAB_BLOCKS)
                    .and_then(|slab| {
                        slab.get_mut(start..)?.get_mut(..bytes.len())
                    })
                    .ok_or_else(|| io::Error::other("no such slot"))?
                    .copy_from_slice(bytes);
                Ok(())
            }
            Some(spilled) => {
                let file = match &changes.spill {
                    Some(file) => file,
                    none => {
                        debug_assert!(none.is_none());
                        let dir = &self.options.spill_dir;
                        changes.spill.insert(tempfile::tempfile_in(dir)?)
                    }
                };
                file.write_all_at(bytes, spill_offset(spilled, within)?)
            }
        }
    }

    /// Writes a part of one block, taking the rest from the base if need be.
    fn write_block(
        &self,
        changes: &mut Changes,
        block: u64,
        within: usize,
        bytes: &[u8],
    ) -> io::Result<()> {
        if let Some(&slot) = changes.slots.get(&block) {
            return self.store(changes, slot, within, bytes);
        }
        let slot = changes.slots.len();
        let (offset, len) = self.block_range(block)?;
        if bytes.len() == BLOCK_SIZE {
            self.store(changes, slot, 0, bytes)?;
        } else {
            let mut whole = [0; BLOCK_SIZE];
            let old = whole.get_mut(..len).ok_or_else(past_end)?;
            self.base.read_at(offset, old)?;
            whole
                .get_mut(within..)
                .and_then(|rest| rest.get_mut(..bytes.len()))
                .ok_or_else(past_end)?
                .copy_from_slice(bytes);
            self.store(changes, slot, 0, &whole)?;
        }
        // Last, so that a failed write leaves no half block behind.
        changes.slots.insert(block, slot);
        Ok(())
    }
}

fn poisoned<T>(error: PoisonError<T>) -> T {
    error.into_inner()
}

fn slab_offset(slot: usize, within: usize) -> usize {
    (slot % SLAB_BLOCKS)
        .checked_mul(BLOCK_SIZE)
        .and_then(|start| start.checked_add(within))
        .expect("a place in a slab")
}

fn spill_offset(spilled: usize, within: usize) -> io::Result<u64> {
    spilled
        .checked_mul(BLOCK_SIZE)
        .and_then(|start| start.checked_add(within))
        .and_then(|offset| u64::try_from(offset).ok())
        .ok_or_else(past_end)
}

/// Returns how far into its block an offset is.
fn within_block(offset: u64) -> usize {
    usize::try_from(offset % BLOCK).expect("below a block's size")
}

impl ReadAt for Overlay {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        check_range(self.size, offset, buf.len())?;
        let changes = self.changes.read().unwrap_or_else(poisoned);
        let (mut position, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let block = position / BLOCK;
            let slot = changes.slots.get(&block);
            let end = match slot {
                Some(_) => block.checked_add(1),
                None => changes.slots.range(block..).next().map(|(b, _)| *b),
            };
            let len = end
                .and_then(|end| end.checked_mul(BLOCK)?.checked_sub(position))
                .and_then(|len| usize::try_from(len).ok())
                .map_or(rest.len(), |len| len.min(rest.len()));
            let (now, later) = rest.split_at_mut(len);
            match slot {
                Some(&slot) => {
                    self.load(&changes, slot, within_block(position), now)?;
                }
                None => self.base.read_at(position, now)?,
            }
            let len = u64::try_from(len).map_err(|_| past_end())?;
            position = position.checked_add(len).ok_or_else(past_end)?;
            rest = later;
        }
        Ok(())
    }

    /// Changed blocks are data, whatever they hold.
    fn extent_at(&self, offset: u64) -> io::Result<Extent> {
        let rest = self.size.checked_sub(offset).ok_or_else(past_end)?;
        let changes = self.changes.read().unwrap_or_else(poisoned);
        let block = offset / BLOCK;
        let bytes = |blocks: u64| blocks.checked_mul(BLOCK).expect(INSIDE);
        let mut following = changes.slots.range(block..).map(|(b, _)| *b);
        let mut next = following.next();
        if next == Some(block) {
            let mut end = block;
            while next == Some(end) {
                end = end.checked_add(1).expect(INSIDE);
                next = following.next();
            }
            let len = bytes(end).checked_sub(offset).expect(INSIDE);
            return Ok(Extent { offset, len: len.min(rest), zero: false });
        }
        let until = next.map_or(self.size, bytes);
        let base = self.base.extent_at(offset)?;
        let len =
            base.len.min(rest).min(until.checked_sub(offset).expect(INSIDE));
        Ok(Extent { offset, len, zero: base.zero })
    }
}

impl WriteAt for Overlay {
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        check_range(self.size, offset, buf.len())?;
        let mut changes = self.changes.write().unwrap_or_else(poisoned);
        let (mut position, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let within = within_block(position);
            let len = BLOCK_SIZE
                .checked_sub(within)
                .expect("below a block's size")
                .min(rest.len());
            let (now, later) = rest.split_at(len);
            self.write_block(&mut changes, position / BLOCK, within, now)?;
            let len = u64::try_from(len).map_err(|_| past_end())?;
            position = position.checked_add(len).ok_or_else(past_end)?;
            rest = later;
        }
        Ok(())
    }
}
