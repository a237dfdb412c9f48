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
mod build;
mod catalog;
mod cli;
mod disk;
mod ext4;
mod fat;
mod fetch;
mod firstboot;
mod golden;
mod identity;
mod images_update;
mod inventory;
mod k3s;
mod kubeadm;
mod layers;
mod look;
mod node;
mod privileged;
mod profiles;
mod progress;
mod real_fetch;
mod sinks;
mod support;
mod systems;
mod units;
mod wifi;
mod write;
