//! JSON lines on standard error, one event each, for programs. The README
//! has the fields.

use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;

use super::Report;
use crate::progress::Progress;

/// Raised when a field changes its meaning or goes; not for new ones.
const VERSION: u32 = 1;
/// Between two `progress` events of a stage.
const PAUSE: Duration = Duration::from_millis(200);

/// The lines of one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    last_id: Arc<AtomicU64>,
}

#[derive(Serialize)]
struct Said<'a> {
    version: u32,
    event: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    causes: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hints: Option<&'a [String]>,
}

#[derive(Serialize)]
struct Staged<'a> {
    version: u32,
    event: &'a str,
    id: u64,
    name: &'a str,
    stage: &'a str,
    done: u64,
    total: Option<u64>,
    unit: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limited_by: Option<&'a str>,
}

impl Lines {
    /// Writes what is said beside all progress: `message` or `warning`.
    pub(super) fn say(&self, event: &str, text: &str) {
        let (causes, hints) = (None, None);
        write(&Said { version: VERSION, event, text, causes, hints });
    }

    /// Writes why the command failed.
    pub(super) fn error(&self, report: &Report) {
        write(&Said {
            version: VERSION,
            event: "error",
            text: &report.what,
            causes: Some(&report.causes),
            hints: Some(&report.hints),
        });
    }

    /// Returns the progress of `subject`.
    pub(super) fn item(&self, subject: &str) -> Item {
        let name = subject.to_owned();
        Item { lines: self.clone(), name, stage: Mutex::new(None) }
    }
}

fn write(line: &impl Serialize) {
    // Neither has a reason to fail but that nobody listens any more.
    if let Ok(mut text) = serde_json::to_vec(line) {
        text.push(b'\n');
        // At once, so that lines of several threads do not mix.
        let _ = io::stderr().lock().write_all(&text);
    }
}

/// Progress as lines.
#[derive(Debug)]
pub(super) struct Item {
    lines: Lines,
    name: String,
    // `None` between stages.
    stage: Mutex<Option<Stage>>,
}

#[derive(Debug)]
struct Stage {
    id: u64,
    stage: String,
    done: u64,
    total: Option<u64>,
    limited_by: Option<&'static str>,
    told: Instant,
}

impl Item {
    fn with(&self, f: impl FnOnce(&mut Option<Stage>)) {
        // A panic elsewhere leaves at worst an old number.
        let stage = self.stage.lock();
        f(&mut stage.unwrap_or_else(|poison| poison.into_inner()));
    }

    fn tell(&self, event: &str, stage: &mut Stage) {
        stage.told = Instant::now();
        write(&Staged {
            version: VERSION,
            event,
            id: stage.id,
            name: &self.name,
            stage: &stage.stage,
            done: stage.done,
            total: stage.total,
            unit: "bytes",
            limited_by: stage.limited_by,
        });
    }

    fn end(&self, event: &str) {
        self.with(|stage| {
            if let Some(mut stage) = stage.take() {
                self.tell(event, &mut stage);
            }
        });
    }
}

impl Progress for Item {
    fn start(&self, stage: &'static str, total: Option<u64>) {
        self.fail();
        let last = self.lines.last_id.fetch_add(1, Ordering::Relaxed);
        let mut new = Stage {
            id: last.wrapping_add(1),
            // For people they are words, for programs one.
            stage: stage.replace(' ', "-"),
            done: 0,
            total,
            limited_by: None,
            told: Instant::now(),
        };
        self.tell("start", &mut new);
        self.with(|stage| *stage = Some(new));
    }

    fn expect(&self, total: u64) {
        self.with(|stage| {
            // The next event has it.
            if let Some(stage) = stage {
                stage.total = Some(total);
            }
        });
    }

    fn advance(&self, bytes: u64) {
        self.with(|stage| {
            if let Some(stage) = stage {
                stage.done = stage.done.saturating_add(bytes);
                if stage.told.elapsed() >= PAUSE {
                    self.tell("progress", stage);
                }
            }
        });
    }

    fn limited_by(&self, what: &'static str) {
        self.with(|stage| {
            // The next event has it.
            if let Some(stage) = stage {
                stage.limited_by = Some(what);
            }
        });
    }

    fn finish(&self) {
        self.end("finish");
    }

    fn fail(&self) {
        self.end("fail");
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.fail();
    }
}
