//! All integration tests, in one binary.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::as_conversions,
    clippy::arithmetic_side_effects
)]

mod base;
mod disk;
mod ext4;
mod layers;
mod support;
mod inventory;
