//! Nodes that piflash built out of lab images, booted in QEMU.
//!
//! A lab image (`lab/`) has the layout of a stock image and real programs:
//! systemd, sshd, NetworkManager, dhcpcd, netplan, cloud-init. Between it and
//! the guest stands only what the firmware of a Raspberry Pi does: kernel,
//! initrd and command line come out of the FAT partition at every start.
//!
//! All are ignored by default, because they take minutes and need root or
//! user namespaces: `cargo test --test vm -- --ignored`.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::as_conversions,
    clippy::arithmetic_side_effects
)]

mod archive;
mod cluster;
mod disk;
mod expect;
mod guest;
mod lab;
mod long;
mod machine;
mod mconsole;
mod network;
mod node;
mod ordinary;
mod qemu;
mod qmp;
#[path = "../real/mod.rs"]
mod real;
mod repository;
mod secrets;
mod site;
mod ssh;
#[path = "../support/mod.rs"]
mod support;
mod switch;
mod troubled;
mod uml;
