//! All integration tests, in one binary.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::as_conversions,
    clippy::arithmetic_side_effects
)]

mod disk;
mod fat;
mod sinks;
