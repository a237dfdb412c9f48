//! Nodes that piflash built out of lab images, booted.
//!
//! A lab image (`lab/`) has the layout of a stock image and real programs:
//! systemd, sshd, NetworkManager, dhcpcd, netplan, cloud-init. Between it and
//! the guest stands what the firmware of a Raspberry Pi does: initrd and command
//! line come out of the FAT partition at every start, and so does the kernel in
//! QEMU's emulator. User-Mode Linux, which is much quicker and what the tests
//! use where they can, is a kernel itself.
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
mod emulated;
mod expect;
mod guest;
mod lab;
mod long;
mod machine;
mod mconsole;
mod network;
mod node;
mod ordinary;
mod power;
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
