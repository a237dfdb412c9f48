use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::changes::{Pair, Tally};
use crate::{fs::tree::Change, plan::Manifest};

/// No more are told, though all are counted.
const MOST: usize = 1000;

/// What is not as it should be.
#[derive(Default)]
pub(super) struct Findings {
    text: String,
    json: Vec<Value>,
    /// The partitions in which files differ.
    partitions: BTreeSet<String>,
    pub(super) tally: Tally,
    /// What is no fault.
    pub(super) notes: Vec<String>,
    /// When the card was booted, if it was: seconds since the epoch.
    pub(super) booted: Option<i64>,
}

impl Findings {
    pub(super) fn is_empty(&self) -> bool {
        self.tally.total() == 0
    }

    /// Whether a file of this partition differs.
    pub(super) fn has_files_of(&self, partition: &str) -> bool {
        self.partitions.contains(partition)
    }

    /// A file that differs.
    pub(super) fn file(
        &mut self,
        pair: &Pair<'_>,
        change: &Change,
        brief: bool,
    ) {
        self.tally.count(change);
        self.partitions.insert(pair.name.clone());
        if self.json.len() < MOST {
            self.text.push_str(&pair.text(change, brief));
            self.json.push(pair.json(change, brief));
        }
    }

    /// Anything else.
    pub(super) fn other(&mut self, what: String) {
        self.tally.other = self.tally.other.saturating_add(1);
        if self.json.len() < MOST {
            self.text.push_str(&format!("! {what}\n"));
            self.json.push(json!({"change": "other", "text": what}));
        }
    }

    /// Returns a line for each.
    pub(super) fn text(&self) -> String {
        let more = self.tally.total().saturating_sub(self.json.len());
        if more == 0 {
            return self.text.clone();
        }
        format!("{}... and {more} more\n", self.text)
    }

    /// Returns them for programs.
    pub(super) fn json(&self, manifest: &Manifest) -> Value {
        json!({
            "version": 1,
            "node": manifest.node,
            "same": self.is_empty(),
            "booted": self.booted,
            "differences": self.json,
            "count": self.tally.total(),
            "notes": self.notes,
        })
    }
}
