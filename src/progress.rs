//! Progress as events; `ui` decides how they look.

/// Receives what a long operation has done so far.
pub trait Progress: Sync {
    /// A stage begins; `total` in bytes, where it is known.
    fn start(&self, stage: &'static str, total: Option<u64>);

    /// Bytes done since the last call.
    fn advance(&self, bytes: u64);

    /// The stage is over.
    fn finish(&self);
}

/// Drops every event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _stage: &'static str, _total: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn finish(&self) {}
}
