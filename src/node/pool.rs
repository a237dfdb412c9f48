//! Many questions at the same time, none of which holds up the others.

use std::{
    collections::VecDeque,
    ops::ControlFlow,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::channel,
    },
    thread,
    time::{Duration, Instant},
};

/// So many questions are open at once.
const WORKERS: usize = 16;
/// How soon the end is noticed.
const TICK: Duration = Duration::from_millis(20);

/// Asks subjects 0 to `count` at the same time; with `again`, each anew so
/// long after its last answer. `ask` is given a flag that becomes true when
/// nobody wants to know any more. `heard` gets the answers as they come, on
/// the caller's thread, until it breaks.
pub fn ask_all<T: Send>(
    count: usize,
    again: Option<Duration>,
    ask: impl Fn(usize, &AtomicBool) -> T + Sync,
    mut heard: impl FnMut(usize, T) -> ControlFlow<()>,
) {
    // Each with the time of its last answer.
    let open: Mutex<VecDeque<(usize, Option<Instant>)>> =
        Mutex::new((0..count).map(|subject| (subject, None)).collect());
    let stop = AtomicBool::new(false);
    let (sender, receiver) = channel();
    let worker = |sender: std::sync::mpsc::Sender<(usize, T)>| {
        // Of the lock, only the first line: in a `while let` it would be held
        // all the time.
        let next = || lock(&open).pop_front();
        while let Some((subject, last)) = next() {
            if !due(last, again, &stop) {
                return;
            }
            let answer = ask(subject, &stop);
            if sender.send((subject, answer)).is_err() {
                return;
            }
            if again.is_some() {
                lock(&open).push_back((subject, Some(Instant::now())));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..count.min(WORKERS) {
            let sender = sender.clone();
            let worker = &worker;
            scope.spawn(move || worker(sender));
        }
        drop(sender);
        for (subject, answer) in &receiver {
            if heard(subject, answer).is_break() {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        drop(receiver);
    });
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic elsewhere leaves a whole queue.
    mutex.lock().unwrap_or_else(|poison| poison.into_inner())
}

/// Waits until a subject is to be asked again; false when it need not be.
fn due(
    last: Option<Instant>,
    again: Option<Duration>,
    stop: &AtomicBool,
) -> bool {
    loop {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        let left = last.zip(again).and_then(|(last, again)| {
            again.checked_sub(last.elapsed()).filter(|left| !left.is_zero())
        });
        match left {
            Some(left) => thread::sleep(left.min(TICK)),
            None => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, sync::atomic::AtomicUsize};

    #[test]
    fn all_are_asked_at_once_but_not_too_many() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mut answers = BTreeMap::new();
        ask_all(
            40,
            None,
            |subject, _| {
                let open = now.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(open, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(30));
                now.fetch_sub(1, Ordering::SeqCst);
                subject * 2
            },
            |subject, answer| {
                assert!(answers.insert(subject, answer).is_none());
                ControlFlow::Continue(())
            },
        );
        assert_eq!(answers.len(), 40);
        assert!(answers.iter().all(|(subject, answer)| subject * 2 == *answer));
        let most = most.into_inner();
        assert!((2..=WORKERS).contains(&most), "{most}");
    }

    #[test]
    fn one_that_hangs_does_not_hold_up_the_others() {
        let mut heard_of_second = 0;
        ask_all(
            2,
            Some(Duration::from_millis(1)),
            |subject, stop| {
                while subject == 0 && !stop.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(1));
                }
            },
            |subject, ()| {
                assert_eq!(subject, 1);
                heard_of_second += 1;
                if heard_of_second == 5 {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            },
        );
        assert_eq!(heard_of_second, 5);
    }

    #[test]
    fn nobody_to_ask_is_no_reason_to_wait() {
        ask_all(0, None, |_, _| (), |_, ()| ControlFlow::Continue(()));
    }
}
