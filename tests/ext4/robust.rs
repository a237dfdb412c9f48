//! Broken images: an error or wrong answers, never a panic or no end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use piflash::fs::ext4::Ext4;
use piflash::fs::{Editor, FileKind, Reader};

use super::scenario::{Scenario, base};
use crate::support::ext4::{Disk, FEATURE_SETS, NOW, OPTIONS, meta, noise};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % bound
    }
}

/// Returns the time that this thread has computed, not that it waited for a
/// processor: other work on the machine does not change it.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat");
    let stat = stat.expect("Linux says how long a thread ran");
    let ran = stat.split(' ').next().and_then(|ran| ran.parse().ok());
    Duration::from_nanos(ran.expect("nanoseconds on a processor"))
}

/// Edits whatever can be edited; errors are fine.
fn exercise(disk: &Disk) {
    let meta = meta(0o644, 0, 0, NOW);
    let Ok(mut fs) = Ext4::open(disk, OPTIONS) else { return };
    let mut pending = vec!["/".to_owned()];
    let mut visited = 0;
    while let Some(path) = pending.pop() {
        visited += 1;
        if visited > 300 {
            break;
        }
        for entry in fs.read_dir(&path).unwrap_or_default().into_iter().take(40)
        {
            let path = format!("{}/{}", path.trim_end_matches('/'), entry.name);
            let _ = fs.stat(&path);
            match entry.kind {
                FileKind::Directory => pending.push(path),
                FileKind::Symlink => drop(fs.read_link(&path)),
                _ => drop(fs.read(&path)),
            }
        }
    }
    // After an error the editor is opened anew, as a caller would.
    let edits: [&dyn Fn(&mut Ext4<'_>) -> bool; 8] = [
        &|fs| fs.write("/etc/new", &noise(9000, 1), meta).is_ok(),
        &|fs| fs.write("/etc/hosts", &noise(90_000, 1), meta).is_ok(),
        &|fs| fs.write("/index/new", &vec![], meta).is_ok(),
        &|fs| fs.mkdir("/var/lib/new", meta).is_ok(),
        &|fs| fs.symlink("/etc/slow", &"x".repeat(300), meta).is_ok(),
        &|fs| fs.remove("/var/big").is_ok(),
        &|fs| fs.remove("/index").is_ok(),
        &|fs| fs.remove("/usr").is_ok(),
    ];
    for edit in edits {
        if !edit(&mut fs) {
            let Ok(again) = Ext4::open(disk, OPTIONS) else { return };
            fs = again;
        }
    }
    let _ = fs.commit();
}

/// Where metadata is: the blocks that one small edit of everything reads.
fn metadata_blocks(bytes: &[u8], size: usize) -> Vec<usize> {
    // Everything that is not a run of noise or filling: by its shape, any
    // block with at least a sixteenth of zero bytes.
    (0..bytes.len() / size)
        .filter(|block| {
            let block = &bytes[block * size..(block + 1) * size];
            let zeros = block.iter().filter(|byte| **byte == 0).count();
            zeros > size / 16 && zeros < size
        })
        .collect()
}

#[test]
fn a_thousand_broken_images() {
    // Without checksums, what is broken is believed.
    let sets: Vec<_> = FEATURE_SETS
        .into_iter()
        .filter(|set| ["buster", "old-habits", "uninit_bg"].contains(&set.name))
        .collect();
    let mut random = Random(0x5EED);
    for set in sets {
        let no_sums = crate::support::ext4::FeatureSet {
            name: set.name,
            options: set.options,
        };
        let base = base(no_sums, Scenario::Roomy);
        let bytes = &base.get().unwrap().bytes;
        let size = 1024 << bytes[1024 + 0x18];
        let blocks = metadata_blocks(bytes, size);
        for round in 0..334 {
            let mut broken = bytes.clone();
            let flips = 1 + random.below(12);
            for _ in 0..flips {
                let block = blocks[random.below(blocks.len())];
                // Fields are at the beginnings of blocks more often.
                let within = match random.below(3) {
                    0 => random.below(64),
                    1 => random.below(size.min(2048)),
                    _ => random.below(size),
                };
                let at = block * size + within;
                broken[at] = match random.below(4) {
                    0 => 0,
                    1 => 0xFF,
                    2 => broken[at] ^ 1 << random.below(8),
                    _ => random.below(256) as u8,
                };
            }
            reseal(&mut broken, size);
            let disk = Disk::new(broken);
            let start = processor_time();
            let result = catch_unwind(AssertUnwindSafe(|| exercise(&disk)));
            let took = processor_time() - start;
            assert!(result.is_ok(), "{} round {round} panicked", set.name);
            assert!(
                took < Duration::from_secs(20),
                "{} round {round}: {took:?}",
                set.name
            );
        }
    }
}

/// With metadata_csum or gdt_csum, descriptors get a fitting checksum, and
/// the state is made clean again, so that the damage is not just refused.
fn reseal(bytes: &mut [u8], size: usize) {
    bytes[1024 + 0x3A] = 1;
    let ro_compat = bytes[1024 + 0x64];
    if ro_compat & 0x10 == 0 {
        return;
    }
    let first = if size == 1024 { 2 } else { 1 } * size;
    let uuid: [u8; 16] = bytes[1024 + 0x68..1024 + 0x78].try_into().unwrap();
    for group in 0..8u32 {
        let at = first + group as usize * 32;
        let mut covered = uuid.to_vec();
        covered.extend(group.to_le_bytes());
        covered.extend(&bytes[at..at + 0x1E]);
        let sum = covered.iter().fold(0xFFFFu16, |crc, byte| {
            (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
                crc >> 1 ^ if crc & 1 == 1 { 0xA001 } else { 0 }
            })
        });
        bytes[at + 0x1E..at + 0x20].copy_from_slice(&sum.to_le_bytes());
    }
}

#[test]
fn broken_images_with_checksums() {
    let mut random = Random(77);
    for set in FEATURE_SETS {
        let base = base(set, Scenario::Roomy);
        let bytes = &base.get().unwrap().bytes;
        let size = 1024 << bytes[1024 + 0x18];
        let blocks = metadata_blocks(bytes, size);
        for round in 0..20 {
            let mut broken = bytes.clone();
            for _ in 0..8 {
                let block = blocks[random.below(blocks.len())];
                broken[block * size + random.below(size)] ^=
                    1 << random.below(8);
            }
            let disk = Disk::new(broken);
            let result = catch_unwind(AssertUnwindSafe(|| exercise(&disk)));
            assert!(result.is_ok(), "{} round {round} panicked", set.name);
        }
    }
}
