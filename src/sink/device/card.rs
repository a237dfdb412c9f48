//! One device of a run: what it was given, and what became of it.

use super::{
    BLOCK, CHUNK, DeviceErrorKind, HEAD, Run, Runs, Target,
    buffer::Buffer,
    flow::{Digest, Job, digest, is_zero},
};
use crate::progress::Progress;
use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::Receiver,
    },
    time::{Duration, Instant},
};

/// Writes, and later reads, that are under way at once: enough to keep a card
/// busy, and not so many that it jumps about.
pub(super) const WORKERS: usize = 4;
/// What is cleared at once, in bytes.
const CLEAR: u64 = 256 << 20;
/// A device that takes longer for [`CLEAR`] writes the zeros itself: then
/// only those that matter are worth it.
const PATIENCE: Duration = Duration::from_secs(1);

/// What must be read back.
#[derive(Clone, Copy, Debug)]
struct Record {
    run: Run,
    /// `None`: zeros.
    digest: Option<Digest>,
}

/// A device while it is written.
pub(super) struct Card<'c> {
    pub(super) target: &'c Arc<dyn Target>,
    pub(super) progress: &'c dyn Progress,
    stop: &'c AtomicBool,
    /// Whether what is written will be compared.
    verify: bool,
    /// From the head to here all is zero but for what was written.
    cleared: AtomicU64,
    /// Whether the head holds nothing that boots.
    headless: AtomicBool,
    records: Mutex<Vec<Record>>,
    /// The first thing that went wrong.
    failure: Mutex<Option<DeviceErrorKind>>,
    failed: AtomicBool,
    /// Bytes written, and bytes that were made zero.
    written: AtomicU64,
    zeroed: AtomicU64,
}

type Step<T = ()> = Result<T, DeviceErrorKind>;

fn failed(
    op: &'static str,
    offset: u64,
) -> impl FnOnce(io::Error) -> DeviceErrorKind {
    move |source| DeviceErrorKind::Io { op, offset: Some(offset), source }
}

impl<'c> Card<'c> {
    pub(super) fn new(
        target: &'c Arc<dyn Target>,
        progress: &'c dyn Progress,
        stop: &'c AtomicBool,
        verify: bool,
    ) -> Self {
        Self {
            target,
            progress,
            stop,
            verify,
            cleared: AtomicU64::new(0),
            headless: AtomicBool::new(false),
            records: Mutex::default(),
            failure: Mutex::new(None),
            failed: AtomicBool::new(false),
            written: AtomicU64::new(0),
            zeroed: AtomicU64::new(0),
        }
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(super) fn zeroed(&self) -> u64 {
        self.zeroed.load(Ordering::Relaxed)
    }

    /// Remembers what went wrong first.
    pub(super) fn fail(&self, error: DeviceErrorKind) {
        self.failed.store(true, Ordering::Relaxed);
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
    }

    /// Returns whether nothing went wrong so far.
    pub(super) fn is_well(&self) -> bool {
        !self.failed.load(Ordering::Relaxed)
    }

    pub(super) fn failure(&self) -> Option<DeviceErrorKind> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn check_stop(&self) -> Step {
        if self.stop.load(Ordering::Relaxed) {
            return Err(DeviceErrorKind::Interrupted);
        }
        Ok(())
    }

    /// Erases what a board could start from, and what a partition table has
    /// at the end of the device.
    pub(super) fn erase(&self) -> Step {
        let size = self.target.size();
        self.zero(Run { start: 0, end: size.min(HEAD) })?;
        self.flush()?;
        self.headless.store(true, Ordering::Relaxed);
        // The backup of a GPT, which tools would find again.
        // On a device as short as the head there is nothing more.
        let start = size.saturating_sub(HEAD).max(HEAD);
        let start = start.next_multiple_of(BLOCK);
        if start < size {
            self.zero(Run { start, end: size })?;
            self.flush()?;
        }
        Ok(())
    }

    /// Leaves nothing that boots; returns whether that is sure. A device
    /// that is gone was erased before it was written to.
    pub(super) fn abandon(&self) -> bool {
        self.erase().is_ok() || self.headless.load(Ordering::Relaxed)
    }

    pub(super) fn flush(&self) -> Step {
        let error = |source| DeviceErrorKind::Io {
            op: "flushing",
            offset: None,
            source,
        };
        self.target.flush().map_err(error)
    }

    /// Writes zeros.
    fn zero(&self, run: Run) -> Step {
        let buffer = Buffer::new();
        for piece in run.pieces(to_u64(CHUNK)) {
            self.write_zeros(piece, &buffer)?;
        }
        Ok(())
    }

    /// Writes as many bytes of `zeros` as the run has.
    fn write_zeros(&self, run: Run, zeros: &Buffer) -> Step {
        let bytes = zeros
            .first(run.len())
            .ok_or(DeviceErrorKind::TooLong { run, limit: CHUNK })?;
        self.target
            .write_at(run.start, bytes)
            .map_err(failed("writing", run.start))
    }

    /// Lets the device clear the range of the image, if it can do that
    /// quickly: then zeros need not be written, and it knows that what was
    /// there before is not needed any more.
    pub(super) fn clear(&self, size: u64) -> Step {
        let rest = size.checked_rem(BLOCK).unwrap_or(0);
        let run = Run {
            start: HEAD,
            end: size.checked_sub(rest).expect("a remainder is no larger"),
        };
        if run.is_empty() {
            return Ok(());
        }
        self.progress.start("discard", Some(run.len()));
        for piece in run.pieces(CLEAR) {
            self.check_stop()?;
            let started = Instant::now();
            let cleared = self
                .target
                .clear(piece.start, piece.len())
                .map_err(failed("clearing", piece.start))?;
            if !cleared || started.elapsed() > PATIENCE {
                // Not done, and no failure either.
                self.progress.finish();
                return Ok(());
            }
            self.progress.advance(piece.len());
        }
        self.progress.finish();
        self.cleared.store(run.end, Ordering::Relaxed);
        Ok(())
    }

    /// Does the jobs of a queue until it ends or something goes wrong. Run by
    /// several threads, of which one has an interest in the queue at a time.
    pub(super) fn work(&self, queue: &Mutex<Receiver<Job>>) {
        let zeros = Buffer::new();
        while self.is_well() {
            let next =
                queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = next else { return };
            if !self.is_well() {
                return;
            }
            let done = self.check_stop().and_then(|()| self.job(&job, &zeros));
            if let Err(error) = done {
                self.fail(error);
            }
        }
    }

    fn job(&self, job: &Job, zeros: &Buffer) -> Step {
        // Of an image whose size nobody knew.
        let (image, device) = (job.end(), self.target.size());
        if image > device {
            return Err(DeviceErrorKind::TooSmall { image, device });
        }
        let record = match job {
            Job::Write(piece) => {
                let bytes = piece.bytes();
                self.target
                    .write_at(piece.offset, bytes)
                    .map_err(failed("writing", piece.offset))?;
                let len = to_u64(bytes.len());
                self.written.fetch_add(len, Ordering::Relaxed);
                // Not beyond the device, as was seen above.
                let run = Run { start: piece.offset, end: image };
                let digest = self.verify.then(|| piece.digest());
                Record { run, digest }
            }
            Job::Zero(run) => {
                if run.end > self.cleared.load(Ordering::Relaxed) {
                    self.write_zeros(*run, zeros)?;
                    self.written.fetch_add(run.len(), Ordering::Relaxed);
                }
                self.zeroed.fetch_add(run.len(), Ordering::Relaxed);
                Record { run: *run, digest: None }
            }
        };
        self.progress.advance(record.run.len());
        self.records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(record);
        Ok(())
    }

    /// Reads back all that was written; fails with the ranges that differ.
    pub(super) fn verify(&self) -> Step {
        let mut records = std::mem::take(
            &mut *self.records.lock().unwrap_or_else(PoisonError::into_inner),
        );
        records.sort_unstable_by_key(|record| record.run);
        let total = records.iter().fold(0u64, |sum, record| {
            sum.checked_add(record.run.len()).expect("records do not overlap")
        });
        self.progress.start("read back", Some(total));
        let queue = Mutex::new(records.into_iter());
        let wrong = Mutex::new(Vec::new());
        let worker = || -> Step {
            let mut buffer = Buffer::new();
            loop {
                let next =
                    queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(record) = next else { return Ok(()) };
                self.check_stop()?;
                if !self.reads_back(&record, &mut buffer)? {
                    let run = (record.run.start, record.run.len());
                    wrong
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(run);
                }
                self.progress.advance(record.run.len());
            }
        };
        let results = std::thread::scope(|scope| {
            let workers: Vec<_> =
                (0..WORKERS).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().map(joined).collect::<Vec<_>>()
        });
        results.into_iter().collect::<Step>()?;
        let wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !wrong.is_empty() {
            let runs = Runs::new(wrong).iter().collect();
            return Err(DeviceErrorKind::Mismatch(runs));
        }
        self.progress.finish();
        Ok(())
    }

    fn reads_back(&self, record: &Record, buffer: &mut Buffer) -> Step<bool> {
        let run = record.run;
        // Nothing reads back as whatever is wanted.
        let bytes = buffer
            .first_mut(run.len())
            .ok_or(DeviceErrorKind::TooLong { run, limit: CHUNK })?;
        self.target
            .read_at(run.start, bytes)
            .map_err(failed("reading", run.start))?;
        Ok(match record.digest {
            Some(expected) => digest(bytes) == expected,
            None => is_zero(bytes),
        })
    }

    /// Writes what makes the card one that boots, and looks at it again.
    pub(super) fn finish(&self, head: &[u8]) -> Step {
        self.headless.store(false, Ordering::Relaxed);
        let mut buffer = Buffer::new();
        let sector = self.target.sector();
        let len = to_u64(head.len())
            .checked_next_multiple_of(sector)
            .ok_or(DeviceErrorKind::Sector(sector))?;
        let run = Run { start: 0, end: len };
        let padded = buffer
            .first_mut(len)
            .ok_or(DeviceErrorKind::TooLong { run, limit: CHUNK })?;
        let (start, _) = padded.split_at_mut(head.len());
        start.copy_from_slice(head);
        self.target.write_at(0, padded).map_err(failed("writing", 0))?;
        self.flush()?;
        if self.verify {
            let expected = digest(padded);
            padded.fill(0);
            self.target.read_at(0, padded).map_err(failed("reading", 0))?;
            if digest(padded) != expected {
                return Err(DeviceErrorKind::Mismatch(vec![run]));
            }
        }
        self.written.fetch_add(len, Ordering::Relaxed);
        Ok(())
    }
}

/// Returns what a thread returned.
pub(super) fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn to_u64(len: usize) -> u64 {
    u64::try_from(len).expect("a usize has 64 bits at most")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    /// A device that takes whatever comes, and has the size of nothing real.
    #[derive(Debug)]
    struct Any {
        calls: Mutex<Vec<(u64, usize)>>,
        sector: u64,
    }

    impl Target for Any {
        fn size(&self) -> u64 {
            1 << 40
        }
        fn sector(&self) -> u64 {
            self.sector
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
            buf.fill(0);
            self.calls.lock().unwrap().push((offset, buf.len()));
            Ok(())
        }
        fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
            self.calls.lock().unwrap().push((offset, buf.len()));
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
        fn clear(&self, _: u64, _: u64) -> io::Result<bool> {
            Ok(false)
        }
        fn reread_table(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Nothing was written, so nothing may be said to be.
    #[test]
    fn a_piece_that_no_buffer_holds_is_an_error() {
        let any = Arc::new(Any { calls: Mutex::default(), sector: 512 });
        let target: Arc<dyn Target> = any.clone();
        let stop = AtomicBool::new(false);
        let card = Card::new(&target, &Silent, &stop, true);
        let run = Run { start: 4096, end: 4097 + to_u64(CHUNK) };
        let too_long =
            |step: Step| matches!(step, Err(DeviceErrorKind::TooLong { .. }));
        let mut buffer = Buffer::new();
        assert!(too_long(card.job(&Job::Zero(run), &buffer)));
        let record = Record { run, digest: None };
        assert!(too_long(card.reads_back(&record, &mut buffer).map(drop)));
        let record = Record { run, digest: Some(digest(&[])) };
        assert!(too_long(card.reads_back(&record, &mut buffer).map(drop)));
        assert!(too_long(card.finish(&vec![1; CHUNK + 1])));
        assert_eq!(card.written(), 0);
        assert_eq!(*any.calls.lock().unwrap(), []);
        // Of any size in pieces.
        card.zero(Run { start: 0, end: run.end }).unwrap();
        let written = any.calls.lock().unwrap().clone();
        assert_eq!(written, [(0, CHUNK), (to_u64(CHUNK), 4097)]);
    }

    #[test]
    fn a_sector_that_is_no_size_is_an_error() {
        let any = Any { calls: Mutex::default(), sector: 0 };
        let target: Arc<dyn Target> = Arc::new(any);
        let stop = AtomicBool::new(false);
        let card = Card::new(&target, &Silent, &stop, true);
        let error = card.finish(&[1]).unwrap_err();
        assert!(matches!(error, DeviceErrorKind::Sector(0)), "{error}");
    }
}
