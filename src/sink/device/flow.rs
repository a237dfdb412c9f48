//! From an image to pieces on the queues of the devices.

use super::{
    BLOCK, Bottleneck, CHUNK, DeviceErrorKind, HEAD, Run, Runs,
    assembler::Assembler,
    buffer::{Pool, Pooled},
};
use crate::disk::ReadAt;
use sha2::Digest as _;
use std::{
    error::Error,
    fmt, io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    time::{Duration, Instant},
};

/// Takes the next bytes of an image.
pub type Receive<'r> = dyn FnMut(&[u8]) -> io::Result<()> + Send + 'r;

/// Reads an image from its first byte to its last.
type Stream<'s> = Box<
    dyn FnOnce(&mut Receive<'_>) -> Result<(), Box<dyn Error + Send + Sync>>
        + Send
        + 's,
>;

/// Where the bytes come from.
pub enum Source<'s> {
    /// An image that can be read at any place; what it does not need is not
    /// read.
    Disk(&'s dyn ReadAt),
    /// An image that comes byte by byte.
    Stream {
        /// Its size in bytes, where that is known before.
        size: Option<u64>,
        /// Reads it. Only when it returns without an error the image is
        /// known to be whole.
        read: Stream<'s>,
    },
}

impl Source<'_> {
    /// Returns the size of the image in bytes, where it is known.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Disk(disk) => Some(disk.size()),
            Self::Stream { size, .. } => *size,
        }
    }
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Disk(_) => "Disk",
            Self::Stream { .. } => "Stream",
        };
        f.debug_struct(name).field("size", &self.size()).finish()
    }
}

/// SHA-256, by which is compared what was written and what is read.
pub(super) type Digest = [u8; 32];

pub(super) fn digest(bytes: &[u8]) -> Digest {
    sha2::Sha256::digest(bytes).into()
}

/// Bytes on their way to the devices.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) offset: u64,
    buffer: Arc<Pooled>,
    start: usize,
    end: usize,
    digest: OnceLock<Digest>,
}

impl Piece {
    pub(super) fn bytes(&self) -> &[u8] {
        let bytes = self.buffer.bytes().get(self.start..self.end);
        bytes.expect("it was cut out of the buffer's bytes")
    }

    /// Returns the digest, made by the first of the devices that asks.
    pub(super) fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| digest(self.bytes()))
    }
}

/// What a device is to do.
#[derive(Clone, Debug)]
pub(super) enum Job {
    /// Write these bytes.
    Write(Arc<Piece>),
    /// Have zeros here.
    Zero(Run),
}

impl Job {
    /// Returns the offset behind it.
    pub(super) fn end(&self) -> u64 {
        match self {
            Self::Write(piece) => {
                // Beyond every device, where there is no such offset.
                piece.offset.saturating_add(to_u64(piece.bytes().len()))
            }
            Self::Zero(run) => run.end,
        }
    }
}

/// A run of zeros inside of data is not written only if it has this size, in
/// bytes: for less a jump costs more than the zeros.
const GAP: usize = 64 << 10;
/// How often is said who waits for whom.
const TELL: Duration = Duration::from_millis(500);

/// What went through.
pub(super) struct Flowed {
    /// Size of the image, in bytes.
    pub(super) size: u64,
    /// The first bytes, [`HEAD`] at most, which no device was given.
    pub(super) head: Vec<u8>,
    pub(super) bottleneck: Option<Bottleneck>,
}

/// Gives pieces to devices, and knows who waited.
pub(super) struct Flow<'f> {
    pub(super) pool: Pool,
    /// The queues, one of each device that still takes something.
    pub(super) queues: Vec<Sender<Job>>,
    pub(super) stop: &'f AtomicBool,
    /// Is told who waits for whom.
    pub(super) tell: &'f (dyn Fn(Bottleneck) + Sync),
    /// Time spent on the image, and on waiting for a device.
    pub(super) reading: Duration,
    pub(super) waiting: Duration,
    pub(super) told: Instant,
}

impl Flow<'_> {
    /// Reads an image and gives it to the devices; `needed` are the ranges
    /// that matter, if that is known.
    pub(super) fn run(
        mut self,
        source: Source<'_>,
        needed: Option<&Runs>,
        sector: u64,
    ) -> Result<Flowed, DeviceErrorKind> {
        let (size, head) = match source {
            Source::Disk(disk) => {
                let failed = |e| DeviceErrorKind::Source(Arc::new(e));
                let head = self.disk(disk, needed, sector);
                (disk.size(), self.ended(head, failed)?)
            }
            Source::Stream { read, .. } => {
                let mut stream = Assembler::new(needed, sector);
                let read = read(&mut |bytes| stream.take(bytes, &mut self));
                self.ended(read, |e| DeviceErrorKind::Source(e.into()))?;
                let last = stream.finish(&mut self);
                let failed = |e| DeviceErrorKind::Source(Arc::new(e));
                self.ended(last, failed)?;
                (stream.size, stream.head)
            }
        };
        Ok(Flowed { size, head, bottleneck: self.bottleneck() })
    }

    /// Says why reading ended: of a stop and of devices that are gone the
    /// reader only knows that it was interrupted.
    fn ended<T, E>(
        &self,
        result: Result<T, E>,
        failed: impl FnOnce(E) -> DeviceErrorKind,
    ) -> Result<T, DeviceErrorKind> {
        if self.stop.load(Ordering::Relaxed) || self.queues.is_empty() {
            return Err(DeviceErrorKind::Interrupted);
        }
        result.map_err(failed)
    }

    fn disk(
        &mut self,
        disk: &dyn ReadAt,
        needed: Option<&Runs>,
        sector: u64,
    ) -> io::Result<Vec<u8>> {
        let size = disk.size();
        let mut head = vec![0; to_usize(size.min(HEAD))?];
        disk.read_at(0, &mut head)?;
        let (data, zero) = plan(disk, needed)?;
        let step = u64::try_from(CHUNK).unwrap_or(u64::MAX);
        for run in data.iter().flat_map(|run| run.pieces(step)) {
            let mut buffer = self.buffer()?;
            let started = Instant::now();
            let inside = run.end.min(size).checked_sub(run.start);
            let inside = inside.ok_or_else(beyond)?;
            let padded = inside.checked_next_multiple_of(sector);
            let padded = to_usize(padded.ok_or_else(beyond)?)?;
            let inside = to_usize(inside)?;
            let bytes = buffer.bytes_mut().get_mut(..padded);
            let bytes = bytes.ok_or_else(beyond)?;
            let (image, padding) = bytes.split_at_mut(inside);
            disk.read_at(run.start, image)?;
            padding.fill(0);
            self.reading = self.reading.saturating_add(started.elapsed());
            self.split(buffer, run.start, padded, None)?;
        }
        for run in zero.iter() {
            self.zero(run, size, sector)?;
        }
        Ok(head)
    }

    /// Has zeros in a run, which ends with the image at the latest.
    fn zero(&mut self, run: Run, size: u64, sector: u64) -> io::Result<()> {
        let end = match run.end < size {
            true => run.end,
            false => {
                size.checked_next_multiple_of(sector).ok_or_else(beyond)?
            }
        };
        let step = u64::try_from(CHUNK).unwrap_or(u64::MAX);
        for piece in (Run { start: run.start, end }).pieces(step) {
            self.send(&Job::Zero(piece))?;
        }
        Ok(())
    }

    /// Waits for a buffer, which a device must have written first.
    pub(super) fn buffer(&mut self) -> io::Result<Pooled> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let started = Instant::now();
        let buffer = self.pool.take();
        self.waiting = self.waiting.saturating_add(started.elapsed());
        if self.told.elapsed() >= TELL {
            self.told = Instant::now();
            if let Some(bottleneck) = self.bottleneck() {
                (self.tell)(bottleneck);
            }
        }
        Ok(buffer)
    }

    fn bottleneck(&self) -> Option<Bottleneck> {
        match self.waiting.cmp(&self.reading) {
            std::cmp::Ordering::Greater => Some(Bottleneck::Device),
            std::cmp::Ordering::Less => Some(Bottleneck::Image),
            std::cmp::Ordering::Equal => None,
        }
    }

    /// Sends the first `len` bytes of a buffer, long zeros as such. Where
    /// `needed` is given, only what it names.
    pub(super) fn split(
        &mut self,
        buffer: Pooled,
        offset: u64,
        len: usize,
        needed: Option<&Runs>,
    ) -> io::Result<()> {
        let buffer = Arc::new(buffer);
        let end = offset.checked_add(to_u64(len)).ok_or_else(beyond)?;
        let whole = Run { start: offset, end };
        let wanted = match needed {
            None => vec![whole],
            Some(needed) => needed
                .within(&Runs::new([(whole.start, whole.len())]))
                .iter()
                .collect(),
        };
        for run in wanted {
            let within =
                |at: u64| to_usize(at.checked_sub(offset).ok_or_else(beyond)?);
            let from = within(run.start)?;
            let bytes = buffer.bytes().get(from..within(run.end)?);
            let bytes = bytes.ok_or_else(beyond)?;
            for (part, zero) in zero_runs(bytes) {
                let inside = |at: usize| {
                    let place = from.checked_add(at).ok_or_else(beyond)?;
                    let at = offset.checked_add(to_u64(place));
                    Ok::<_, io::Error>((place, at.ok_or_else(beyond)?))
                };
                let ((start, at), (end, behind)) =
                    (inside(part.start)?, inside(part.end)?);
                let job = if zero {
                    let end = behind;
                    Job::Zero(Run { start: at, end })
                } else {
                    Job::Write(Arc::new(Piece {
                        offset: at,
                        buffer: Arc::clone(&buffer),
                        start,
                        end,
                        digest: OnceLock::new(),
                    }))
                };
                self.send(&job)?;
            }
        }
        Ok(())
    }

    /// Gives a job to every device that still takes any.
    fn send(&mut self, job: &Job) -> io::Result<()> {
        self.queues.retain(|queue| queue.send(job.clone()).is_ok());
        if self.queues.is_empty() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }
}

/// Returns what is to be written, and what is to be zero, behind the head.
pub(super) fn plan(
    disk: &dyn ReadAt,
    needed: Option<&Runs>,
) -> io::Result<(Runs, Runs)> {
    // A short image has nothing behind its head.
    let behind = Runs::new([(HEAD, disk.size().saturating_sub(HEAD))]);
    let mut data = Runs::data(disk)?.within(&behind);
    let mut wanted = behind;
    if let Some(needed) = needed {
        wanted = wanted.within(needed);
        data = data.within(needed);
    }
    let data = data.aligned(BLOCK);
    let zero = data.gaps(disk.size()).within(&wanted.aligned(BLOCK));
    Ok((data, zero.within(&Runs::new([(0, disk.size())]))))
}

static ZEROS: [u8; 4096] = [0; 4096];

/// Returns whether all bytes are zero.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(ZEROS.len()).all(|part| ZEROS.starts_with(part))
}

/// Cuts bytes where long runs of zero blocks begin and end.
fn zero_runs(bytes: &[u8]) -> Vec<(std::ops::Range<usize>, bool)> {
    let block = ZEROS.len();
    let mut runs: Vec<(std::ops::Range<usize>, bool)> = Vec::new();
    let mut start = 0usize;
    for part in bytes.chunks(block) {
        let end = start.checked_add(part.len()).expect("parts of these bytes");
        let zero = is_zero(part);
        match runs.last_mut() {
            Some((run, kind)) if *kind == zero => run.end = end,
            _ => runs.push((start..end, zero)),
        }
        start = end;
    }
    // Short runs of zeros go with their neighbours.
    let mut joined: Vec<(std::ops::Range<usize>, bool)> = Vec::new();
    let whole = bytes.len();
    for (run, zero) in runs {
        let zero = zero && (run.len() >= GAP || run.len() == whole);
        match joined.last_mut() {
            Some((last, kind)) if *kind == zero => last.end = run.end,
            _ => joined.push((run, zero)),
        }
    }
    joined
}

/// A number that no image and no device has.
pub(super) fn beyond() -> io::Error {
    io::Error::other("a place beyond every disk: this is a fault of piflash")
}

pub(super) fn to_u64(len: usize) -> u64 {
    u64::try_from(len).expect("a usize has 64 bits at most")
}

pub(super) fn to_usize(len: u64) -> io::Result<usize> {
    usize::try_from(len).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_runs_of_zeros_are_cut_out() {
        let cut = |parts: &[(usize, u8)]| {
            let mut bytes = Vec::new();
            for (len, value) in parts {
                bytes.resize(bytes.len() + len, *value);
            }
            zero_runs(&bytes)
        };
        assert_eq!(cut(&[(8192, 0)]), [(0..8192, true)]);
        assert_eq!(
            cut(&[(4096, 1), (8192, 0), (4096, 1)]),
            [(0..16384, false)]
        );
        assert_eq!(
            cut(&[(4096, 1), (GAP, 0), (100, 1)]),
            [
                (0..4096, false),
                (4096..4096 + GAP, true),
                (4096 + GAP..4196 + GAP, false)
            ]
        );
        assert_eq!(cut(&[(4096, 0), (4096, 1)]), [(0..8192, false)]);
    }
}
