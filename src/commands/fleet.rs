//! Several nodes at a time; one that fails does not stop the others.

use std::{
    num::NonZeroUsize,
    str::FromStr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use super::{
    error::{CommandError, Kind, Result},
    formats::Built,
};
use crate::ui::{Column, Report, Ui, bytes, table};

/// More nodes at once than that gain little, and each takes memory.
const USUAL_JOBS: usize = 4;

/// A part of the nodes: `2/5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    /// From 1.
    number: usize,
    count: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(number, count)| {
            Some((number.parse().ok()?, count.parse().ok()?))
        });
        match numbers {
            Some((number, count)) if (1..=count).contains(&number) => {
                Ok(Self { number, count })
            }
            _ => Err("a shard is I/N, from 1/N to N/N".to_owned()),
        }
    }
}

impl Shard {
    /// Returns every N-th name, so that each is in one shard and shards
    /// differ by one at most.
    pub(super) fn of(self, names: Vec<String>) -> Vec<String> {
        let skip = self.number.saturating_sub(1);
        names.into_iter().skip(skip).step_by(self.count.max(1)).collect()
    }
}

/// How many nodes are built at once, and how many threads each may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    jobs: usize,
    pub(super) threads: usize,
}

impl Pace {
    /// By default one node for each processor, up to four.
    pub(super) fn new(jobs: Option<NonZeroUsize>, nodes: usize) -> Self {
        let processors =
            thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let jobs = jobs.map_or(processors.min(USUAL_JOBS), NonZeroUsize::get);
        let jobs = jobs.min(nodes).max(1);
        let threads = processors.checked_div(jobs).unwrap_or(1).max(1);
        Self { jobs, threads }
    }

    /// Does `work` for each of the nodes, several at a time; returns what it
    /// gave, in their order.
    pub(super) fn run<I: Sync, T: Send>(
        self,
        nodes: &[I],
        work: impl Fn(&I) -> T + Sync,
    ) -> Vec<T> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, SeqCst);
                        let Some(node) = nodes.get(at) else { break };
                        let result = work(node);
                        let done = done.lock();
                        done.unwrap_or_else(PoisonError::into_inner)
                            .push((at, result));
                    }
                });
            }
        });
        let mut done =
            done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, result)| result).collect()
    }
}

/// Tells how all nodes went; fails where one has failed.
pub(super) fn conclude(
    names: &[&str],
    results: Vec<Result<Built>>,
    ui: &Ui,
) -> Result<()> {
    // One alone has said all of it, or is its own error.
    if let [_] = names {
        return results.into_iter().collect::<Result<Vec<_>>>().map(drop);
    }
    ui.say(&overview(names, &results));
    let all = results.len();
    let failures: Vec<(&str, CommandError)> = names
        .iter()
        .zip(results)
        .filter_map(|(name, result)| Some((*name, result.err()?)))
        .collect();
    if failures.is_empty() {
        return Ok(());
    }
    let failed: Vec<&str> = failures.iter().map(|(name, _)| *name).collect();
    let what = format!("{} of {all} nodes failed", failed.len());
    let mut report = Report::new(what);
    for (_, error) in &failures {
        report = report.including(&error.report);
    }
    let again = format!(
        "the other images are complete; then build these again: {}",
        failed.join(" ")
    );
    let mismatch = failures.iter().any(|(_, e)| e.kind == Kind::Verification);
    let kind = if mismatch { Kind::Verification } else { Kind::Failed };
    Err(CommandError::new(kind, report.hint(again)))
}

fn overview(names: &[&str], results: &[Result<Built>]) -> String {
    let columns = [
        Column::left("NODE"),
        Column::left("RESULT"),
        Column::right("SIZE"),
        Column::right("CHANGED"),
        Column::left("FILES"),
    ];
    let rows: Vec<Vec<String>> = names
        .iter()
        .zip(results)
        .map(|(name, result)| match result {
            Ok(built) => {
                let files: Vec<_> = built
                    .outputs
                    .iter()
                    .filter_map(|output| {
                        let name = output.path.file_name()?.to_str()?;
                        Some(format!("{name} ({})", bytes(output.size)))
                    })
                    .collect();
                vec![
                    (*name).to_owned(),
                    "built".to_owned(),
                    bytes(built.size),
                    bytes(built.changed),
                    files.join(", "),
                ]
            }
            Err(_) => vec![(*name).to_owned(), "failed".to_owned()],
        })
        .collect();
    table(&columns, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_is_in_one_shard() {
        let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        for count in 1..12 {
            let mut all = Vec::new();
            for number in 1..=count {
                let shard: Shard = format!("{number}/{count}").parse().unwrap();
                let part = shard.of(names.clone());
                assert!(part.len().abs_diff(10 / count) <= 1);
                all.extend(part);
            }
            all.sort();
            assert_eq!(all, names);
        }
        for bad in ["", "1", "0/2", "3/2", "1/0", "a/b", "1/2/3", "-1/2"] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_worst_decides_on_the_exit_code() {
        use crate::ui::ProgressMode;
        let ui = Ui::new(ProgressMode::None, true);
        let failed = |kind, name: &str| {
            Err(CommandError::new(kind, Report::new(format!("{name} failed"))))
        };
        let names = ["a", "b"];
        let both =
            vec![failed(Kind::Failed, "a"), failed(Kind::Verification, "b")];
        let error = conclude(&names, both, &ui).unwrap_err();
        assert_eq!(error.kind, Kind::Verification);
        let said = error.report.to_string();
        for part in ["2 of 2 nodes", "a failed:", "b failed:", "again: a b"] {
            assert!(said.contains(part), "{said}");
        }
        let none = failed(Kind::Failed, "a");
        let error = conclude(&names[..1], vec![none], &ui).unwrap_err();
        assert_eq!(error.kind, Kind::Failed);
        assert!(!error.report.to_string().contains("of 1"));
    }

    #[test]
    fn results_are_in_order_and_jobs_bounded() {
        let pace = Pace { jobs: 3, threads: 1 };
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let numbers: Vec<usize> = (0..20).collect();
        let results = pace.run(&numbers, |at| {
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            thread::sleep(std::time::Duration::from_millis(u64::from(
                at % 3 == 0,
            )));
            now.fetch_sub(1, SeqCst);
            *at
        });
        assert_eq!(results, numbers);
        assert!(most.into_inner() <= 3);
    }
}
