use super::{XzError, XzErrorKind, XzIndex, block::decode};
use crate::disk::{ReadAt, check_range, past_end};
use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What an [`XzImage`] may take.
#[derive(Clone, Copy, Debug)]
pub struct XzLimits {
    /// Bytes of decoded blocks that are kept (96 MiB). The block being read
    /// is there in any case, one for each thread that reads.
    pub cache: u64,
    /// The largest block that is accepted, in bytes of content (64 MiB): all
    /// of a block must be decoded for any byte of it.
    pub max_block: u64,
    /// Memory of a decoder, in bytes (128 MiB: more than any preset needs).
    pub memory: u64,
}

impl Default for XzLimits {
    fn default() -> Self {
        Self { cache: 96 << 20, max_block: 64 << 20, memory: 128 << 20 }
    }
}

/// An image read out of its .xz file, block by block.
///
/// Any number of threads may read; of those that want the same block one
/// decodes it. Blocks are decoded whole, and checked, before a byte is
/// returned. That a block is all zero is known only then, so the image is
/// one data extent.
pub struct XzImage {
    file: Arc<dyn ReadAt>,
    index: XzIndex,
    options: XzLimits,
    cache: Mutex<Cache>,
}

/// Locked while the block is decoded; empty after a failure.
type Content = Arc<Mutex<Option<Arc<Vec<u8>>>>>;

#[derive(Default)]
struct Cache {
    /// By block number.
    slots: BTreeMap<usize, Slot>,
    /// Counts uses.
    clock: u64,
    /// Bytes of all blocks that are kept.
    held: u64,
}

#[derive(Default)]
struct Slot {
    used: u64,
    /// Bytes of the content; none while it is decoded.
    len: u64,
    content: Content,
}

impl XzImage {
    /// Reads the index of `file`.
    ///
    /// # Errors
    ///
    /// Those of [`XzIndex::read`], and a block larger than the limit.
    pub fn open(
        file: Arc<dyn ReadAt>,
        options: XzLimits,
    ) -> Result<Self, XzError> {
        let index = XzIndex::read(&file)?;
        let large = index.blocks().iter().find(|b| b.len > options.max_block);
        if let Some(block) = large {
            let kind = XzErrorKind::TooLarge {
                what: "size of a block",
                found: block.len,
                limit: options.max_block,
            };
            return Err(XzError { offset: block.packed, kind });
        }
        Ok(Self { file, index, options, cache: Mutex::default() })
    }

    /// Returns where the blocks are.
    pub fn index(&self) -> &XzIndex {
        &self.index
    }

    /// Returns the content of a block.
    fn content(&self, number: usize) -> io::Result<Arc<Vec<u8>>> {
        let slot = self.cache().slot(number);
        let mut content = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = &*content {
            return Ok(Arc::clone(content));
        }
        let blocks = self.index.blocks();
        let block = blocks.get(number).ok_or_else(past_end)?;
        let decoded = decode(&self.file, block, self.options.memory);
        let decoded = match decoded {
            Ok(decoded) => Arc::new(decoded),
            Err(error) => {
                self.cache().slots.remove(&number);
                return Err(error.into());
            }
        };
        *content = Some(Arc::clone(&decoded));
        drop(content);
        self.cache().keep(number, block.len, self.options.cache);
        Ok(decoded)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    /// Returns the slot of a block, now the last one used.
    fn slot(&mut self, number: usize) -> Content {
        self.clock =
            self.clock.checked_add(1).expect("far fewer calls than 2^64");
        let slot = self.slots.entry(number).or_default();
        slot.used = self.clock;
        Arc::clone(&slot.content)
    }

    /// Counts a decoded block, and drops those that were not used for longest
    /// while there is more than `limit`.
    fn keep(&mut self, number: usize, len: u64, limit: u64) {
        if let Some(slot) = self.slots.get_mut(&number)
            && slot.len == 0
        {
            slot.len = len;
            self.held = self
                .held
                .checked_add(len)
                .expect("sizes of blocks of one image");
        }
        while self.held > limit {
            let kept = self.slots.iter().filter(|(_, slot)| slot.len > 0);
            let oldest = kept.min_by_key(|(_, slot)| slot.used);
            let Some((&oldest, _)) = oldest else { break };
            if let Some(slot) = self.slots.remove(&oldest) {
                self.held = self
                    .held
                    .checked_sub(slot.len)
                    .expect("it was added before");
            }
        }
    }
}

impl ReadAt for XzImage {
    fn size(&self) -> u64 {
        self.index.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        check_range(self.size(), offset, buf.len())?;
        let (mut position, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let number = self.index.find(position).ok_or_else(past_end)?;
            let content = self.content(number)?;
            let start = self.index.blocks().get(number).map(|b| b.offset);
            let source = start
                .and_then(|start| position.checked_sub(start))
                .and_then(|within| usize::try_from(within).ok())
                .and_then(|within| content.get(within..))
                .ok_or_else(past_end)?;
            let len = source.len().min(rest.len());
            let (now, later) = rest.split_at_mut(len);
            now.copy_from_slice(
                source.get(..len).expect("no longer than it is"),
            );
            let len = u64::try_from(len).map_err(|_| past_end())?;
            position = position.checked_add(len).ok_or_else(past_end)?;
            rest = later;
        }
        Ok(())
    }
}

impl fmt::Debug for XzImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XzImage")
            .field("size", &self.size())
            .field("blocks", &self.index.blocks().len())
            .finish_non_exhaustive()
    }
}
