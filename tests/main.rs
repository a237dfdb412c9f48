//! All integration tests, in one binary.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    // Measurements say what they found.
    clippy::print_stderr
)]

mod base;
mod disk;
mod fat;
mod layers;
mod privileged;
mod sinks;
mod support;
