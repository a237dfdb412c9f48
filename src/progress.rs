//! Progress as events; `ui` decides how they look.

/// Receives what a long operation has done so far: one stage at a time.
pub trait Progress: Sync {
    /// A stage begins; `total` in bytes, where it is known.
    fn start(&self, stage: &'static str, total: Option<u64>);

    /// The stage's total became known, in bytes.
    fn expect(&self, _total: u64) {}

    /// Bytes done since the last call.
    fn advance(&self, bytes: u64);

    /// What the stage waits for, in one word; it may change.
    fn limited_by(&self, _what: &'static str) {}

    /// The stage is done.
    fn finish(&self);

    /// The stage ended, and is not done.
    fn fail(&self) {
        self.finish();
    }
}

/// Drops every event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _stage: &'static str, _total: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn finish(&self) {}
}
