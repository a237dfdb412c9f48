//! Fuzz targets: bytes from outside, given to all that read them.
//!
//! A target fails where piflash panics, does not end, takes too much memory,
//! or accepts what another judge does not. `run.sh` runs them all.

#![forbid(unsafe_code)]

mod archive;
mod catalog;
mod ext4;
mod ext4_seal;
mod fat;
mod files;
mod inventory;
mod judge;
mod node;
mod signature;
mod sparse;
mod table;
mod volume;
mod xz;

use cap::Cap;
use std::alloc::System;

/// No input may take more memory, in bytes: an allocation beyond it fails,
/// and that ends the program.
const MEMORY: usize = 768 << 20;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, MEMORY);

/// A target's code, and how its inputs are changed.
type Target = (&'static str, fn(&[u8]), Change);

#[derive(Clone, Copy)]
enum Change {
    /// As libFuzzer does it.
    Bytes,
    /// Within the pages of a device.
    Pages,
}

const TARGETS: [Target; 13] = [
    ("table", table::run, Change::Pages),
    ("fat", fat::run, Change::Pages),
    ("ext4", ext4::run, Change::Pages),
    ("xz", xz::run, Change::Bytes),
    ("zst", archive::zst, Change::Bytes),
    ("zip", archive::zip, Change::Bytes),
    ("inventory", inventory::run, Change::Bytes),
    ("imager_list", catalog::imager_list, Change::Bytes),
    ("sha256sums", catalog::sha256sums, Change::Bytes),
    ("signature", signature::signature, Change::Bytes),
    ("keyring", signature::keyring, Change::Bytes),
    ("node", node::answer, Change::Bytes),
    ("kubeconfig", node::kubeconfig, Change::Bytes),
];

fn target(name: &str) -> &'static Target {
    let found = TARGETS.iter().find(|(known, ..)| *known == name);
    found.unwrap_or_else(|| panic!("there is no target {name}"))
}

/// Runs a target once.
pub fn run(name: &str, data: &[u8]) {
    let (_, run, _) = target(name);
    run(data);
}

/// Changes the first `size` bytes of `data`, and returns how many there are
/// then: not more than `max`.
pub fn mutate(
    name: &str,
    data: &mut [u8],
    size: usize,
    max: usize,
    seed: u32,
) -> usize {
    match target(name) {
        (.., Change::Bytes) => libfuzzer_sys::fuzzer_mutate(data, size, max),
        (.., Change::Pages) => sparse::mutate(data, size, max, seed),
    }
}

/// Makes a program of a target.
#[macro_export]
macro_rules! target {
    ($name:expr) => {
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::run($name, data));
        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8],
                                      size: usize,
                                      max_size: usize,
                                      seed: u32| {
            $crate::mutate($name, data, size, max_size, seed)
        });
    };
}
