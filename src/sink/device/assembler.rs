//! Chunks out of what comes byte by byte.

use super::{
    CHUNK, HEAD, Runs,
    buffer::Pooled,
    flow::{Flow, beyond, to_u64, to_usize},
};
use std::{io, time::Instant};

/// Makes chunks of what comes byte by byte.
pub(super) struct Assembler<'n> {
    needed: Option<&'n Runs>,
    sector: u64,
    pub(super) size: u64,
    pub(super) head: Vec<u8>,
    chunk: Option<Pooled>,
    used: usize,
    resumed: Instant,
}

impl<'n> Assembler<'n> {
    pub(super) fn new(needed: Option<&'n Runs>, sector: u64) -> Self {
        Self {
            needed,
            sector,
            size: 0,
            head: Vec::new(),
            chunk: None,
            used: 0,
            resumed: Instant::now(),
        }
    }

    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        flow: &mut Flow<'_>,
    ) -> io::Result<()> {
        // All that passed since the last call went into the image.
        let spent = self.resumed.elapsed();
        flow.reading = flow.reading.saturating_add(spent);
        let head = to_usize(HEAD)?.checked_sub(self.head.len());
        let head = head.expect("it never gets more than that");
        let (first, mut rest) = bytes.split_at(head.min(bytes.len()));
        self.head.extend_from_slice(first);
        self.grow(first.len())?;
        while !rest.is_empty() {
            let mut chunk = match self.chunk.take() {
                Some(chunk) => chunk,
                None => flow.buffer()?,
            };
            let space = chunk.bytes_mut().get_mut(self.used..);
            let space = space.expect("a full one was sent");
            let len = space.len().min(rest.len());
            let (now, later) = rest.split_at(len);
            let (space, _) = space.split_at_mut(len);
            space.copy_from_slice(now);
            rest = later;
            self.used = self.used.checked_add(len).ok_or_else(beyond)?;
            self.grow(len)?;
            self.chunk = Some(chunk);
            if self.used >= CHUNK {
                self.send(flow)?;
            }
        }
        self.resumed = Instant::now();
        Ok(())
    }

    /// Counts bytes of the image.
    fn grow(&mut self, len: usize) -> io::Result<()> {
        let size = self.size.checked_add(to_u64(len));
        self.size = size.ok_or_else(beyond)?;
        Ok(())
    }

    fn send(&mut self, flow: &mut Flow<'_>) -> io::Result<()> {
        let Some(chunk) = self.chunk.take() else { return Ok(()) };
        let used = std::mem::take(&mut self.used);
        let offset = self.size.checked_sub(to_u64(used));
        let offset = offset.expect("they are among the image's bytes");
        let mut chunk = chunk;
        let padded = used.checked_next_multiple_of(to_usize(self.sector)?);
        let padded = padded.ok_or_else(beyond)?;
        let padding = chunk.bytes_mut().get_mut(used..padded);
        padding.ok_or_else(beyond)?.fill(0);
        flow.split(chunk, offset, padded, self.needed)
    }

    pub(super) fn finish(&mut self, flow: &mut Flow<'_>) -> io::Result<()> {
        self.send(flow)
    }
}
