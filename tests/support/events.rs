//! Standard error under `--progress json`, read as a program would.

use super::env::Outcome;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A line.
pub type Event = Value;

/// Parses every line, checks it against the README's table, and that the
/// events of each stage are in order.
pub fn parse(stderr: &str) -> Vec<Event> {
    let mut open = BTreeMap::<u64, Event>::new();
    let mut ended = BTreeSet::new();
    let mut events = Vec::new();
    for line in stderr.lines() {
        let event: Event = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(event["version"], 1, "{line}");
        let kind = event["event"].as_str().unwrap();
        let staged = ["event", "id", "name", "stage", "done", "total", "unit"]
            .as_slice();
        let fields = match kind {
            "start" | "progress" | "finish" | "fail" => staged,
            "message" | "warning" => &["event", "text"],
            "error" => &["event", "text", "causes", "hints"],
            _ => panic!("{line}"),
        };
        let object = event.as_object().unwrap();
        let mut found: BTreeSet<_> =
            object.keys().map(String::as_str).collect();
        // Only where one waits for another.
        if fields == staged && found.remove("limited_by") {
            let whom = event["limited_by"].as_str().unwrap();
            assert!(["device", "image"].contains(&whom), "{line}");
        }
        let version = ["version"].iter();
        let expected: BTreeSet<_> =
            fields.iter().chain(version).copied().collect();
        assert_eq!(found, expected, "{line}");
        if fields == staged {
            check_stage(&event, kind, &mut open, &mut ended);
        } else {
            assert!(event["text"].is_string(), "{line}");
        }
        events.push(event);
    }
    assert!(open.is_empty(), "without an end: {open:?}");
    events
}

fn check_stage(
    event: &Event,
    kind: &str,
    open: &mut BTreeMap<u64, Event>,
    ended: &mut BTreeSet<u64>,
) {
    let id = event["id"].as_u64().unwrap();
    let done = event["done"].as_u64().unwrap();
    assert_eq!(event["unit"], "bytes");
    assert!(event["total"].is_u64() || event["total"].is_null());
    let stage = event["stage"].as_str().unwrap();
    let is_word = |c: char| c.is_ascii_lowercase() || c == '-';
    assert!(stage.chars().all(is_word), "{event}");
    assert!(!ended.contains(&id), "{event}");
    if kind == "start" {
        assert_eq!(done, 0);
        assert!(open.insert(id, event.clone()).is_none(), "{event}");
        return;
    }
    let before = &open[&id];
    for same in ["name", "stage"] {
        assert_eq!(before[same], event[same]);
    }
    assert!(before["done"].as_u64().unwrap() <= done, "{before} {event}");
    if kind == "progress" {
        open.insert(id, event.clone());
    } else {
        open.remove(&id);
        ended.insert(id);
    }
}

impl Outcome {
    /// What was said, where all of it must be JSON.
    pub fn events(&self) -> Vec<Event> {
        parse(&self.stderr)
    }
}

/// The events of this kind.
pub fn of<'a>(events: &'a [Event], kind: &str) -> Vec<&'a Event> {
    events.iter().filter(|event| event["event"] == kind).collect()
}
