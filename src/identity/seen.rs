//! Whether a cluster has ever been seen at work: a mark beside its identity,
//! without which a card that is flashed again would begin a second one.

use time::OffsetDateTime;

use super::{Store, StoreError};

/// In the directory of the cluster's identity: who moves that away for
/// another cluster moves the mark too.
const FILE: &str = "seen-at-work";

impl Store {
    /// Returns the day on which the cluster whose identity is in `dir` (`k3s`,
    /// `k8s`) was first seen at work; nothing where it never was.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn seen(&self, dir: &str) -> Result<Option<String>, StoreError> {
        let content = self.load(&format!("{dir}/{FILE}"))?;
        Ok(content.map(|content| {
            let text = String::from_utf8_lossy(&content);
            text.lines().next().unwrap_or_default().trim().to_owned()
        }))
    }

    /// Notes that the cluster was seen at work; `now` is in seconds since
    /// 1970. A cluster without an identity here is none of ours.
    ///
    /// # Errors
    /// As [`Store::load_or_make`].
    pub fn note_seen(&self, dir: &str, now: i64) -> Result<(), StoreError> {
        if !self.has(dir)? || self.seen(dir)?.is_some() {
            return Ok(());
        }
        // Of a clock that is out of its mind, no day is known.
        let day = OffsetDateTime::from_unix_timestamp(now).map(|now| {
            let (year, month, day) = now.to_calendar_date();
            format!("{year:04}-{:02}-{day:02}\n", u8::from(month))
        });
        let make = || Ok(day.unwrap_or_default().into_bytes());
        self.load_or_make(&format!("{dir}/{FILE}"), make).map(drop)
    }

    /// Forgets that the cluster was ever seen: it is gone. Returns whether it
    /// was known.
    ///
    /// # Errors
    /// If the mark cannot be removed.
    pub fn forget_seen(&self, dir: &str) -> Result<bool, StoreError> {
        self.remove(&format!("{dir}/{FILE}"))
    }
}
