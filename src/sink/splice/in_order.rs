//! Blocks encoded by several threads and handed out in order.

use super::{Encoded, Format, Memo};
use crate::disk::ReadAt;
use std::{
    collections::BTreeMap,
    io,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

/// What the threads know of each other.
struct Work<'w, F: Format> {
    image: &'w dyn ReadAt,
    format: &'w F,
    memo: Option<&'w Memo<F::Record>>,
    /// Ranges `(offset, len)` of the image.
    jobs: &'w [(u64, u64)],
    /// Blocks that may be under way or done and not yet handed out: they
    /// take memory.
    ahead: usize,
    state: Mutex<State<F::Record>>,
    changed: Condvar,
}

struct State<R> {
    /// Jobs that were begun.
    begun: usize,
    /// Blocks that were handed out.
    given: usize,
    done: BTreeMap<usize, io::Result<Encoded<R>>>,
    /// Nobody wants the rest.
    over: bool,
}

/// Hands out the encoded blocks.
pub(super) struct Blocks<'w, F: Format>(&'w Work<'w, F>);

/// Encodes `jobs` by `threads` threads while `body` runs, which takes the
/// blocks. What comes out does not depend on the number of threads.
pub(super) fn in_order<F: Format, R>(
    image: &dyn ReadAt,
    format: &F,
    memo: Option<&Memo<F::Record>>,
    jobs: &[(u64, u64)],
    threads: usize,
    body: impl FnOnce(&Blocks<F>) -> R,
) -> R {
    let threads = threads.clamp(1, jobs.len().max(1));
    let work = Work {
        image,
        format,
        memo,
        jobs,
        ahead: threads.checked_mul(2).expect("threads are few"),
        state: Mutex::new(State {
            begun: 0,
            given: 0,
            done: BTreeMap::new(),
            over: false,
        }),
        changed: Condvar::new(),
    };
    thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(|| {
                let _alarm = Alarm(&work);
                work.run();
            });
        }
        // Also when the body fails or panics: else the threads would wait.
        let _over = Over(&work);
        body(&Blocks(&work))
    })
}

impl<F: Format> Work<'_, F> {
    fn run(&self) {
        while let Some((number, (offset, len))) = self.next() {
            let (format, image) = (self.format, self.image);
            let block = match self.memo {
                Some(memo) => memo.encode(format, image, offset, len),
                None => format.encode(image, offset, len),
            };
            self.state().done.insert(number, block);
            self.changed.notify_all();
        }
    }

    /// Returns the next job when there is room for its block.
    fn next(&self) -> Option<(usize, (u64, u64))> {
        let mut state = self.state();
        loop {
            let number = state.begun;
            let job = *self.jobs.get(number).filter(|_| !state.over)?;
            if number
                < state
                    .given
                    .checked_add(self.ahead)
                    .expect("no more than jobs and twice the threads")
            {
                state.begun =
                    number.checked_add(1).expect("no more than there are jobs");
                return Some((number, job));
            }
            state = self.wait(state);
        }
    }

    fn state(&self) -> MutexGuard<'_, State<F::Record>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(
        &self,
        state: MutexGuard<'s, State<F::Record>>,
    ) -> MutexGuard<'s, State<F::Record>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        self.state().over = true;
        self.changed.notify_all();
    }
}

impl<F: Format> Blocks<'_, F> {
    /// Waits for the next block.
    pub(super) fn next(&self) -> io::Result<Encoded<F::Record>> {
        let mut state = self.0.state();
        loop {
            let number = state.given;
            if let Some(block) = state.done.remove(&number) {
                state.given =
                    number.checked_add(1).expect("no more than there are jobs");
                self.0.changed.notify_all();
                return block;
            }
            if state.over || number >= self.0.jobs.len() {
                return Err(io::Error::other("there is no further block"));
            }
            state = self.0.wait(state);
        }
    }
}

/// Ends the work when dropped.
struct Over<'w, F: Format>(&'w Work<'w, F>);

impl<F: Format> Drop for Over<'_, F> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Ends the work when its thread panics, or the others would wait for ever.
struct Alarm<'w, F: Format>(&'w Work<'w, F>);

impl<F: Format> Drop for Alarm<'_, F> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}
