//! Downloads, several at a time.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    thread,
};

use super::error::{CommandError, Kind, Result};
use crate::{
    base::{
        cache::{Cache, CacheError, Cached, Wanted},
        fetch::FetchOptions,
        signature::Keyring,
    },
    ui::{Report, Ui},
};

/// More would only share the same line, and each unpacks with all processors.
const AT_ONCE: usize = 3;

/// An image that is to be in the cache.
pub(super) struct Order {
    /// What it is called on the way.
    pub(super) name: String,
    pub(super) wanted: Wanted,
    /// Where else it is, if it is gone from there.
    pub(super) elsewhere: Option<Wanted>,
    /// What to do if it is gone from everywhere.
    pub(super) if_gone: Option<String>,
    pub(super) options: FetchOptions,
    /// For whom: nodes, by their names.
    pub(super) nodes: String,
}

type Fetched = std::result::Result<Cached, CacheError>;

/// Returns every image, in the order of `orders`; downloads what is missing.
///
/// After a failure no further download begins. Those under way go on to
/// their end, and what has arrived of the failed one stays: the next run
/// goes on from there.
pub(super) fn fetch_all(
    cache: &Cache,
    keyring: &Keyring,
    orders: &[Order],
    ui: &Ui,
) -> Result<Vec<Cached>> {
    let (next, running) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failed = AtomicBool::new(false);
    let work = || {
        let mut done = Vec::new();
        while !failed.load(SeqCst) {
            let at = next.fetch_add(1, SeqCst);
            let Some(order) = orders.get(at) else { break };
            running.fetch_add(1, SeqCst);
            let fetched = fetch(cache, keyring, order, ui);
            let others = running.fetch_sub(1, SeqCst) > 1;
            if let Err(error) = &fetched {
                failed.store(true, SeqCst);
                if others {
                    ui.say(&format!(
                        "{error}; the other downloads go on to their end"
                    ));
                }
            }
            done.push((at, fetched));
        }
        done
    };
    let mut all = thread::scope(|scope| {
        let count = orders.len().min(AT_ONCE);
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for worker in workers {
            match worker.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_by_key(|(at, _)| *at);
    let (mut cached, mut failures) = (Vec::new(), Vec::new());
    for ((_, fetched), order) in all.into_iter().zip(orders) {
        match fetched {
            Ok(image) => cached.push(image),
            Err(error) => failures.push((order, error)),
        }
    }
    match failures.is_empty() {
        true => Ok(cached),
        false => Err(failure(&failures)),
    }
}

fn fetch(cache: &Cache, keyring: &Keyring, order: &Order, ui: &Ui) -> Fetched {
    let bar = ui.bar(&order.name);
    let get = |wanted| cache.get(wanted, keyring, &order.options, &*bar);
    match (get(&order.wanted), &order.elsewhere) {
        (Err(error), Some(elsewhere)) if error.is_gone() => {
            ui.say(&format!(
                "{} is gone from {}: trying {}",
                order.name, error.url, elsewhere.url
            ));
            get(elsewhere)
        }
        (got, _) => got,
    }
}

/// Names every image that could not be had, and for whom.
fn failure(failures: &[(&Order, CacheError)]) -> CommandError {
    let nodes: Vec<_> =
        failures.iter().map(|(order, _)| order.nodes.as_str()).collect();
    let mut report =
        Report::new(format!("no usable image for {}", nodes.join(", ")));
    let mut hints = BTreeSet::new();
    for (order, error) in failures {
        if failures.len() > 1 {
            report = report.cause(format!("for {}:", order.nodes));
        }
        report = report.because(error);
        let hint = match &order.if_gone {
            Some(hint) if error.is_gone() => hint,
            _ => error.hint(),
        };
        if hints.insert(hint) {
            report = report.hint(hint);
        }
    }
    let mismatch = failures.iter().any(|(_, error)| error.is_mismatch());
    let kind = if mismatch { Kind::Verification } else { Kind::Failed };
    CommandError::new(kind, report)
}
