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
            let level = slot.saturating_sub(DIRECT.saturating_sub(1));
            let level = u32::try_from(level).unwrap_or(0);
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
        let covers = per_block.saturating_pow(level);
        if pointer == 0 {
            *logical = logical.saturating_add(covers);
            return Ok(());
        }
        let Some(below) = level.checked_sub(1) else {
            self.run(Run {
                logical: *logical,
                physical: pointer.into(),
                len: 1,
                unwritten: false,
            })?;
            *logical = logical.saturating_add(1);
            return Ok(());
        };
        let bytes = self.enter(pointer.into())?;
        for pointer in bytes.chunks_exact(4) {
            self.pointer(u32_at(pointer, 0), below, per_block, logical)?;
        }
        Ok(())
    }
}
