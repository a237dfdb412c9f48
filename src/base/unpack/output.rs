use super::{Limits, UnpackError};
use crate::{
    base::digest::{Hasher, Sha256},
    disk::{Summing, Sums},
};
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    thread,
};

const CHUNK: usize = 1 << 20;
/// Buffers on their way to the writer.
const QUEUE: usize = 4;
/// Zero blocks of this size become holes.
const BLOCK: usize = 4096;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// Where a decoder puts its bytes: counts them against the limits and hands
/// them to the writer thread.
#[derive(Debug)]
pub(super) struct Output {
    buffer: Vec<u8>,
    used: usize,
    full: SyncSender<(Vec<u8>, usize)>,
    spare: Receiver<Vec<u8>>,
    total: u64,
    limits: Limits,
}

/// Runs `decode` with an output to `receive`, which is called in a thread of
/// its own with offsets and bytes; returns size, digest and checksums.
pub(super) fn with(
    limits: &Limits,
    receive: impl FnMut(u64, &[u8]) -> io::Result<()> + Send,
    decode: impl FnOnce(&mut Output) -> Result<(), UnpackError>,
) -> Result<(u64, Sha256, Sums), UnpackError> {
    let (full, from_decoder) = sync_channel(QUEUE);
    let (give_back, spare) = channel();
    thread::scope(|scope| {
        let writer = scope.spawn(|| write(receive, from_decoder, give_back));
        let mut output = Output {
            buffer: vec![0; CHUNK],
            used: 0,
            full,
            spare,
            total: 0,
            limits: limits.clone(),
        };
        let decoded = decode(&mut output).and_then(|()| output.finish());
        drop(output);
        // The writer's error comes first: the decoder only saw it gone.
        let written = match writer.join() {
            Ok(written) => written.map_err(UnpackError::Write)?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        decoded.map(|()| written)
    })
}

impl Output {
    /// Returns room for at least one byte.
    pub(super) fn space(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.used..).unwrap_or_default()
    }

    /// Takes the first `len` bytes of [`Self::space`], made of `consumed`
    /// bytes of input in all.
    pub(super) fn filled(
        &mut self,
        len: usize,
        consumed: u64,
    ) -> Result<(), UnpackError> {
        self.used = self.used.saturating_add(len).min(CHUNK);
        self.total = self.total.saturating_add(bytes(len));
        let limit = self.limits.size.unwrap_or(self.limits.max_size);
        if self.total > limit {
            return Err(UnpackError::TooLarge { limit });
        }
        if self.limits.size.is_none()
            && self.total > self.limits.free
            && self.total > consumed.saturating_mul(self.limits.max_ratio)
        {
            let output = self.total;
            return Err(UnpackError::Bomb { input: consumed, output });
        }
        if self.used == CHUNK { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), UnpackError> {
        let next = self.spare.try_recv().unwrap_or_else(|_| vec![0; CHUNK]);
        let full = std::mem::replace(&mut self.buffer, next);
        let used = std::mem::take(&mut self.used);
        self.full
            .send((full, used))
            .map_err(|_| UnpackError::Write(io::ErrorKind::BrokenPipe.into()))
    }

    fn finish(&mut self) -> Result<(), UnpackError> {
        if self.used > 0 {
            self.send()?;
        }
        let found = self.total;
        match self.limits.size {
            Some(expected) if expected != found => {
                Err(UnpackError::TooSmall { expected, found })
            }
            _ => Ok(()),
        }
    }
}

/// The writer thread.
fn write(
    mut receive: impl FnMut(u64, &[u8]) -> io::Result<()>,
    full: Receiver<(Vec<u8>, usize)>,
    spare: Sender<Vec<u8>>,
) -> io::Result<(u64, Sha256, Sums)> {
    let (mut hasher, mut summing) = (Hasher::default(), Summing::default());
    let mut offset = 0_u64;
    for (buffer, used) in full {
        let data = buffer.get(..used).unwrap_or_default();
        receive(offset, data)?;
        hasher.update(data);
        summing.update(data);
        offset = offset.saturating_add(bytes(used));
        // The decoder may have ended.
        let _ = spare.send(buffer);
    }
    Ok((offset, hasher.finish(), summing.finish()))
}

/// Writes runs of blocks that are not zero.
pub(super) fn write_sparse(
    file: &File,
    data: &[u8],
    offset: u64,
) -> io::Result<()> {
    let (mut start, mut end) = (0_usize, 0_usize);
    for block in data.chunks(BLOCK) {
        let next = end.saturating_add(block.len());
        if ZEROS.starts_with(block) {
            write_run(file, data, start, end, offset)?;
            start = next;
        }
        end = next;
    }
    write_run(file, data, start, end, offset)
}

fn write_run(
    file: &File,
    data: &[u8],
    start: usize,
    end: usize,
    offset: u64,
) -> io::Result<()> {
    match data.get(start..end) {
        Some(run) if !run.is_empty() => {
            file.write_all_at(run, offset.saturating_add(bytes(start)))
        }
        _ => Ok(()),
    }
}

fn bytes(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
