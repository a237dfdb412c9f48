//! Sinks: every one over the same overlays; what a kill or an error leaves.

mod atomic;
mod bmap;
mod conformance;
mod device;
pub mod mounted;
mod xz;
mod zst;
