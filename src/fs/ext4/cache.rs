//! Blocks in memory: changed ones until the commit, others to save reads.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::INSIDE;
use super::Result;
use super::le::{index, wide};
use crate::disk::WriteAt;
use crate::fs::{FsErrorKind, Structure};

/// How many unchanged blocks are kept, at most.
const CLEAN_LIMIT: usize = 8192;

/// The blocks of a device, with the changed ones held back.
pub(super) struct Blocks<'d> {
    device: &'d dyn WriteAt,
    size: u32,
    dirty: BTreeMap<u64, Arc<Vec<u8>>>,
    clean: RefCell<HashMap<u64, Arc<Vec<u8>>>>,
}

impl<'d> Blocks<'d> {
    pub(super) fn new(device: &'d dyn WriteAt, size: u32) -> Self {
        Self { device, size, dirty: BTreeMap::new(), clean: RefCell::default() }
    }

    fn offset(&self, block: u64) -> Result<u64> {
        block
            .checked_mul(self.size.into())
            .ok_or_else(|| Structure::Block(block).rule("past any device"))
    }

    /// Returns the content of `block` as edited so far.
    pub(super) fn read(&self, block: u64) -> Result<Arc<Vec<u8>>> {
        if let Some(bytes) = self.dirty.get(&block) {
            return Ok(Arc::clone(bytes));
        }
        if let Some(bytes) = self.clean.borrow().get(&block) {
            return Ok(Arc::clone(bytes));
        }
        let mut bytes = vec![0; index(self.size)];
        self.device
            .read_at(self.offset(block)?, &mut bytes)
            .map_err(FsErrorKind::Io)?;
        let bytes = Arc::new(bytes);
        let mut clean = self.clean.borrow_mut();
        if clean.len() >= CLEAN_LIMIT {
            clean.clear();
        }
        clean.insert(block, Arc::clone(&bytes));
        Ok(bytes)
    }

    /// Replaces the content of `block`.
    pub(super) fn write(&mut self, block: u64, mut bytes: Vec<u8>) {
        bytes.resize(index(self.size), 0);
        self.clean.get_mut().remove(&block);
        self.dirty.insert(block, Arc::new(bytes));
    }

    /// Changes a part of `block`.
    pub(super) fn modify(
        &mut self,
        block: u64,
        change: impl FnOnce(&mut Vec<u8>),
    ) -> Result<()> {
        if !self.dirty.contains_key(&block) {
            let bytes = self.read(block)?;
            self.clean.get_mut().remove(&block);
            self.dirty.insert(block, bytes);
        }
        if let Some(bytes) = self.dirty.get_mut(&block) {
            change(Arc::make_mut(bytes));
        }
        Ok(())
    }

    /// Forgets `block`: it is free, or is about to be written past us.
    pub(super) fn forget(&mut self, block: u64) {
        self.dirty.remove(&block);
        self.clean.get_mut().remove(&block);
    }

    /// Writes data into free blocks, which nothing refers to yet.
    pub(super) fn write_through(
        &mut self,
        start: u64,
        bytes: &[u8],
    ) -> Result<()> {
        let count = wide(bytes.len()).div_ceil(self.size.into());
        for block in start..start.checked_add(count).expect(INSIDE) {
            self.forget(block);
        }
        self.device
            .write_at(self.offset(start)?, bytes)
            .map_err(FsErrorKind::Io)
    }

    /// Zeroes a block of the device that is free and not held here.
    pub(super) fn write_zeros(&self, block: u64) -> Result<()> {
        let zeros = vec![0; index(self.size)];
        self.device
            .write_at(self.offset(block)?, &zeros)
            .map_err(FsErrorKind::Io)
    }

    /// Fills `bytes`, a whole number of blocks, from block `start` on.
    pub(super) fn read_run(&self, start: u64, bytes: &mut [u8]) -> Result<()> {
        self.device
            .read_at(self.offset(start)?, bytes)
            .map_err(FsErrorKind::Io)?;
        let count = wide(bytes.len()).div_ceil(self.size.into());
        let end = start.checked_add(count).expect(INSIDE);
        for (block, held) in self.dirty.range(start..end) {
            let at = index(block.checked_sub(start).expect(INSIDE))
                .checked_mul(index(self.size))
                .expect(INSIDE);
            if let Some(target) = bytes.get_mut(at..) {
                let len = target.len().min(held.len());
                let (target, held) = (target.get_mut(..len), held.get(..len));
                if let (Some(target), Some(held)) = (target, held) {
                    target.copy_from_slice(held);
                }
            }
        }
        Ok(())
    }

    /// Writes the changed blocks, lowest first. A block that came back to
    /// what it was is left alone.
    pub(super) fn flush(&mut self) -> Result<()> {
        let mut before = vec![0; index(self.size)];
        for (&block, bytes) in &self.dirty {
            let offset = self.offset(block)?;
            self.device
                .read_at(offset, &mut before)
                .map_err(FsErrorKind::Io)?;
            if before != **bytes {
                self.device.write_at(offset, bytes).map_err(FsErrorKind::Io)?;
            }
        }
        self.clean.get_mut().extend(std::mem::take(&mut self.dirty));
        if self.clean.get_mut().len() > CLEAN_LIMIT {
            self.clean.get_mut().clear();
        }
        Ok(())
    }

    pub(super) fn device(&self) -> &'d dyn WriteAt {
        self.device
    }
}
