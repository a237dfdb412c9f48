//! Block maps: how ext2 and ext3 files say where their blocks are. Read and
//! freed, never written: a file that is replaced gets extents.

use super::Result;
use super::extent::{Collector, Run};
use super::le::u32_at;

/// Entries of `i_block` that name data blocks.
const DIRECT: usize = 12;

impl Collector<'_, '_> {
    /// Collects a block map. Pointers of zero are holes.
    pub(super) fn block_map(
        &mut self,
        i_block: &[u8],
        block_size: u32,
    ) -> Result<()> {
        let per_block = u64::from(block_size / 4);
        let mut logical = 0;
        for (slot, pointer) in i_block.chunks_exact(4).enumerate() {
            // Three levels at most: i_block has fifteen slots.
            let level = match slot.checked_sub(DIRECT) {
                None => 0,
                Some(0) => 1,
                Some(1) => 2,
                Some(_) => 3,
            };
            self.pointer(u32_at(pointer, 0), level, per_block, &mut logical)?;
        }
        Ok(())
    }

    fn pointer(
        &mut self,
        pointer: u32,
        level: u32,
        per_block: u64,
        logical: &mut u64,
    ) -> Result<()> {
        if pointer == 0 {
            let covers = per_block.checked_pow(level);
            let next = covers.and_then(|covers| logical.checked_add(covers));
            *logical = next.expect("three levels of at most 1024 each");
            return Ok(());
        }
        let Some(below) = level.checked_sub(1) else {
            let run = Run {
                logical: *logical,
                physical: pointer.into(),
                len: 1,
                unwritten: false,
            };
            let next = logical.checked_add(1);
            *logical = next.expect("three levels of at most 1024 each");
            return self.run(run);
        };
        let bytes = self.enter(pointer.into())?;
        for pointer in bytes.chunks_exact(4) {
            self.pointer(u32_at(pointer, 0), below, per_block, logical)?;
        }
        Ok(())
    }
}
