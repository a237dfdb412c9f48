//! The order in which a card is written; see the module's description.

use super::{
    BLOCK, CHUNK, DeviceError, DeviceErrorKind, HEAD, Left, Runs, Source,
    Target, TargetView,
    buffer::Pool,
    card::{Card, WORKERS, joined},
    flow::{Flow, Flowed, plan},
};
use crate::{disk::ReadAt, progress::Progress};
use std::{
    error::Error,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::channel,
    },
    time::{Duration, Instant},
};

/// Buffers of one run: what a device has under way, twice, so that reading
/// goes on meanwhile.
const BUFFERS: usize = 12;

/// Looks at the image on a device, before the card can boot from it.
pub type Check<'c> = dyn Fn(Arc<dyn ReadAt>) -> Result<(), Box<dyn Error + Send + Sync>>
    + Sync
    + 'c;

/// A device to be written.
#[derive(Clone)]
pub struct Destination<'d> {
    /// The device itself.
    pub target: Arc<dyn Target>,
    /// Is told how far it is.
    pub progress: &'d dyn Progress,
}

impl fmt::Debug for Destination<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("size", &self.target.size())
            .finish_non_exhaustive()
    }
}

/// How to write.
pub struct WriteOptions<'o> {
    /// Read everything back.
    pub verify: bool,
    /// The ranges of the image that matter, where that is known; the others
    /// may hold anything.
    pub needed: Option<Runs>,
    /// Looks at what was put into the image.
    pub check: Option<&'o Check<'o>>,
    /// Set by a signal: then everything stops.
    pub stop: &'o AtomicBool,
}

impl fmt::Debug for WriteOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteOptions")
            .field("verify", &self.verify)
            .field("needed", &self.needed.as_ref().map(Runs::total))
            .finish_non_exhaustive()
    }
}

/// Who the others waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bottleneck {
    /// Reading, or unpacking, the image.
    Image,
    /// The device, or the slowest of several.
    Device,
}

impl Bottleneck {
    /// Returns it in one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Device => "device",
        }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Size of the image in bytes.
    pub size: u64,
    /// Bytes that were written to the device.
    pub written: u64,
    /// Bytes that have to be zero, whoever made them so.
    pub zeroed: u64,
    /// How long it took until all was on the medium, without the read-back.
    pub writing: Duration,
    /// How long reading back took.
    pub reading_back: Option<Duration>,
    /// Who the others waited for, if anybody.
    pub bottleneck: Option<Bottleneck>,
}

/// Writes one image to some devices, all at once; the image is read once.
///
/// A device that fails does not hold up the others. Returned is, in the order
/// of the destinations, what became of each.
pub fn write_devices(
    source: Source<'_>,
    destinations: &[Destination<'_>],
    options: &WriteOptions<'_>,
) -> Vec<Result<Written, DeviceError>> {
    let started = Instant::now();
    let cards: Vec<_> = destinations
        .iter()
        .map(|d| {
            let (target, progress) = (&d.target, d.progress);
            Card::new(target, progress, options.stop, options.verify)
        })
        .collect();
    // Nothing is written to a device that is refused here.
    let mut erased = Vec::new();
    for card in &cards {
        let checked = check_size(&**card.target, source.size());
        erased.push(checked.is_ok());
        if let Err(error) = checked {
            card.fail(error);
        }
    }
    let size = source.size();
    each(&cards, |card| {
        card.erase()?;
        size.map_or(Ok(()), |size| card.clear(size))
    });
    let flowed = &flow(source, &cards, options);
    let complete = |card: &Card<'_>, erased: bool| {
        let done = match (card.failure(), flowed) {
            (Some(kind), _) => Err(kind),
            (None, Ok(flowed)) => complete(card, flowed, options, started),
            // All cards share this one.
            (None, Err(DeviceErrorKind::Source(error))) => {
                Err(DeviceErrorKind::Source(Arc::clone(error)))
            }
            (None, Err(_)) => Err(DeviceErrorKind::Interrupted),
        };
        done.map_err(|kind| abandon(card, kind, erased))
    };
    let complete = &complete;
    std::thread::scope(|scope| {
        let threads: Vec<_> = cards
            .iter()
            .zip(erased)
            .map(|(card, erased)| scope.spawn(move || complete(card, erased)))
            .collect();
        threads.into_iter().map(joined).collect()
    })
}

fn check_size(
    target: &dyn Target,
    image: Option<u64>,
) -> Result<(), DeviceErrorKind> {
    let (device, sector) = (target.size(), target.sector());
    if !sector.is_power_of_two() || sector > BLOCK {
        return Err(DeviceErrorKind::Sector(sector));
    }
    // Below that there is nothing that could be held back.
    let image = image.unwrap_or(HEAD).max(HEAD);
    if image > device {
        return Err(DeviceErrorKind::TooSmall { image, device });
    }
    Ok(())
}

/// Does a step for every card that is well, all at the same time.
fn each(
    cards: &[Card<'_>],
    step: impl Fn(&Card<'_>) -> Result<(), DeviceErrorKind> + Sync,
) {
    std::thread::scope(|scope| {
        for card in cards.iter().filter(|card| card.is_well()) {
            let step = &step;
            scope.spawn(move || {
                if let Err(error) = step(card) {
                    card.fail(error);
                }
            });
        }
    });
}

/// Everything but the head, to all cards.
fn flow(
    source: Source<'_>,
    cards: &[Card<'_>],
    options: &WriteOptions<'_>,
) -> Result<Flowed, DeviceErrorKind> {
    let well: Vec<_> = cards.iter().filter(|card| card.is_well()).collect();
    let sector = well.iter().map(|card| card.target.sector()).max();
    let Some(sector) = sector else { return Err(DeviceErrorKind::Interrupted) };
    let needed = options.needed.as_ref().map(|runs| runs.aligned(BLOCK));
    let total = match &source {
        Source::Disk(disk) => {
            let read = plan(*disk, needed.as_ref());
            let (data, zero) =
                read.map_err(|e| DeviceErrorKind::Source(Arc::new(e)))?;
            Some(
                data.total()
                    .checked_add(zero.total())
                    .expect("they do not overlap"),
            )
        }
        Source::Stream { size, .. } => size.map(|size| {
            // A short image has nothing behind its head.
            let behind = Runs::new([(HEAD, size.saturating_sub(HEAD))]);
            needed
                .as_ref()
                .map_or(behind.total(), |needed| behind.within(needed).total())
        }),
    };
    for card in &well {
        card.progress.start("write", total);
    }
    let tell = |bottleneck: Bottleneck| {
        for card in &well {
            card.progress.limited_by(bottleneck.name());
        }
    };
    std::thread::scope(|scope| {
        let mut queues = Vec::new();
        for card in &well {
            let (queue, jobs) = channel();
            queues.push(queue);
            let jobs = Arc::new(Mutex::new(jobs));
            for _ in 0..WORKERS {
                let jobs = Arc::clone(&jobs);
                scope.spawn(move || card.work(&jobs));
            }
        }
        let flow = Flow {
            pool: Pool::new(BUFFERS),
            queues,
            stop: options.stop,
            tell: &tell,
            reading: Duration::ZERO,
            waiting: Duration::ZERO,
            told: Instant::now(),
        };
        flow.run(source, needed.as_ref(), sector)
    })
}

/// What is left to do when all but the head was written.
fn complete(
    card: &Card<'_>,
    flowed: &Flowed,
    options: &WriteOptions<'_>,
    started: Instant,
) -> Result<Written, DeviceErrorKind> {
    let device = card.target.size();
    if flowed.size > device {
        let image = flowed.size;
        return Err(DeviceErrorKind::TooSmall { image, device });
    }
    card.flush()?;
    card.progress.finish();
    let writing = started.elapsed();
    let mut reading_back = None;
    if options.verify {
        let started = Instant::now();
        card.verify()?;
        if let Some(check) = options.check {
            card.progress.start("check", None);
            let target = Arc::clone(card.target);
            let head = flowed.head.clone();
            let view = TargetView::new(target, flowed.size, head);
            check(Arc::new(view)).map_err(DeviceErrorKind::Check)?;
            card.progress.finish();
        }
        reading_back = Some(started.elapsed());
    }
    if options.stop.load(Ordering::Relaxed) {
        return Err(DeviceErrorKind::Interrupted);
    }
    card.finish(&flowed.head)?;
    // The card is right, whatever this machine's kernel thinks of it.
    let _ = card.target.reread_table();
    Ok(Written {
        size: flowed.size,
        written: card.written(),
        zeroed: card.zeroed(),
        writing,
        reading_back,
        bottleneck: flowed.bottleneck,
    })
}

/// Leaves nothing that boots on a card that was not completed.
fn abandon(
    card: &Card<'_>,
    kind: DeviceErrorKind,
    touched: bool,
) -> DeviceError {
    card.progress.fail();
    let left = if !touched {
        Left::Untouched
    } else if card.abandon() {
        let _ = card.target.reread_table();
        Left::Erased
    } else {
        Left::Unknown
    };
    DeviceError { kind, left }
}

// A head is written by one write.
const _: () = assert!(HEAD <= 4 << 20 && CHUNK == 4 << 20);
