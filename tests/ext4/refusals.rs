//! What is not edited: each reason has its own error, and no byte changes.

use std::fs;

use piflash::fs::ext4::Ext4;
use piflash::fs::{Corruption, Editor, Fault, FsErrorKind, Structure};
use tempfile::TempDir;

use super::scenario::{Scenario, base};
use crate::support::ext4::{
    Disk, FEATURE_SETS, FeatureSet, NOW, OPTIONS, debugfs, meta, mke2fs, run_ok,
};

fn set(name: &str) -> FeatureSet {
    *FEATURE_SETS.iter().find(|set| set.name == name).unwrap()
}

fn image(name: &str) -> Vec<u8> {
    base(set(name), Scenario::Roomy).get().unwrap().bytes.clone()
}

/// Changes the superblock and gives it a fitting checksum.
pub fn patch(bytes: &mut [u8], at: usize, change: impl FnOnce(u32) -> u32) {
    let field = &mut bytes[1024 + at..1024 + at + 4];
    let value = u32::from_le_bytes(field.try_into().unwrap());
    field.copy_from_slice(&change(value).to_le_bytes());
    let sum = !crc32c::crc32c(&bytes[1024..1024 + 0x3FC]);
    bytes[1024 + 0x3FC..2048].copy_from_slice(&sum.to_le_bytes());
}

/// Opens, expects an error, and that nothing changed.
fn refusal(bytes: Vec<u8>) -> FsErrorKind {
    let disk = Disk::new(bytes.clone());
    let error = match Ext4::open(&disk, OPTIONS) {
        Ok(_) => panic!("opened"),
        Err(error) => error,
    };
    assert!(disk.bytes() == bytes, "refused, but changed");
    error.kind
}

fn assert_corrupt(bytes: Vec<u8>, text: &str) {
    match refusal(bytes) {
        FsErrorKind::Corrupt(what) => {
            let message = what.to_string();
            assert!(message.contains(text), "{message}");
        }
        other => panic!("{other:?}, not corrupt: {text}"),
    }
}

/// Changes the image with debugfs, which gives everything its checksum.
fn tampered(set: &str, commands: &[String]) -> Vec<u8> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("tampered.img");
    fs::write(&path, image(set)).unwrap();
    debugfs(&path, true, commands);
    fs::read(&path).unwrap()
}

/// Opens, edits, expects corruption, and that nothing changed.
fn corruption(bytes: Vec<u8>) -> Corruption {
    let disk = Disk::new(bytes.clone());
    let error = match Ext4::open(&disk, OPTIONS) {
        Ok(mut fs) => {
            fs.set_meta("/etc/hosts", meta(0o600, 0, 0, NOW)).unwrap_err()
        }
        Err(error) => error,
    };
    assert!(disk.bytes() == bytes, "refused, but changed");
    match error.kind {
        FsErrorKind::Corrupt(corruption) => corruption,
        other => panic!("{other:?}, not corrupt"),
    }
}

#[test]
fn features_are_refused_by_name_and_number() {
    const INCOMPAT: usize = 0x60;
    const RO_COMPAT: usize = 0x64;
    for (at, bit, text) in [
        (INCOMPAT, 0x1, "`compression` (incompat 0x1)"),
        (INCOMPAT, 0x8, "`journal_dev` (incompat 0x8)"),
        (INCOMPAT, 0x10, "`meta_bg` (incompat 0x10)"),
        (INCOMPAT, 0x100, "`mmp` (incompat 0x100)"),
        (INCOMPAT, 0x400, "`ea_inode` (incompat 0x400)"),
        (INCOMPAT, 0x4000, "`large_dir` (incompat 0x4000)"),
        (INCOMPAT, 0x8000, "`inline_data` (incompat 0x8000)"),
        (INCOMPAT, 0x1_0000, "`encrypt` (incompat 0x10000)"),
        (INCOMPAT, 0x2_0000, "`casefold` (incompat 0x20000)"),
        (INCOMPAT, 0x4000_0000, "unknown (incompat 0x40000000)"),
        (RO_COMPAT, 0x100, "`quota` (ro_compat 0x100)"),
        (RO_COMPAT, 0x200, "`bigalloc` (ro_compat 0x200)"),
        (RO_COMPAT, 0x2000, "`project` (ro_compat 0x2000)"),
        (RO_COMPAT, 0x8000, "`verity` (ro_compat 0x8000)"),
        (RO_COMPAT, 0x8000_0000, "unknown (ro_compat 0x80000000)"),
    ] {
        let mut bytes = image("trixie");
        patch(&mut bytes, at, |features| features | bit);
        match refusal(bytes) {
            FsErrorKind::Unsupported(message) => {
                assert!(message.contains(text), "{message}");
            }
            other => panic!("{other:?}, not unsupported: {text}"),
        }
    }
    let mut bytes = image("trixie");
    patch(&mut bytes, INCOMPAT, |features| features & !0x40);
    assert!(matches!(refusal(bytes), FsErrorKind::Unsupported(_)));
}

#[test]
fn a_journal_in_use_is_refused() {
    let mut bytes = image("trixie");
    patch(&mut bytes, 0x60, |features| features | 0x4);
    assert!(matches!(refusal(bytes), FsErrorKind::DirtyJournal));

    // The flag is clear, but the journal has an open transaction.
    let mut bytes = image("trixie");
    let magic = [0xC0, 0x3B, 0x39, 0x98, 0, 0, 0, 4];
    let at = bytes.windows(8).position(|window| window == magic).unwrap();
    bytes[at + 0x1C..at + 0x20].copy_from_slice(&1u32.to_be_bytes());
    assert!(matches!(refusal(bytes), FsErrorKind::DirtyJournal));

    // As the kernel leaves it when the power goes.
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dirty.img");
    fs::write(&path, image("ubuntu-24.04")).unwrap();
    let args = ["-w", "-R", "feature needs_recovery", path.to_str().unwrap()];
    run_ok("debugfs", &args);
    let bytes = fs::read(&path).unwrap();
    assert!(matches!(refusal(bytes), FsErrorKind::DirtyJournal));
}

#[test]
fn errors_and_orphans_are_refused() {
    let state = |value: u32| {
        let mut bytes = image("trixie");
        patch(&mut bytes, 0x38, |word| word & 0xFFFF | value << 16);
        bytes
    };
    assert_corrupt(state(3), "marked as having errors");
    assert_corrupt(state(0), "not cleanly unmounted");
    let mut bytes = image("trixie");
    patch(&mut bytes, 0xE8, |_| 12);
    assert_corrupt(bytes, "inode 12 on the orphan list");
}

#[test]
fn an_orphan_file_in_use_is_refused() {
    let mut bytes = image("trixie");
    // An empty orphan file marked as in use is what a clean mount leaves.
    patch(&mut bytes, 0x64, |features| features | 0x1_0000);
    Ext4::open(&Disk::new(bytes.clone()), OPTIONS).unwrap();
    // Its blocks end in a magic number and a checksum.
    let magic = 0x0B10_CA04_u32.to_le_bytes();
    let tail = bytes
        .chunks(4096)
        .position(|block| block.len() == 4096 && block[4088..4092] == magic)
        .expect("the orphan file");
    bytes[tail * 4096 + 8..tail * 4096 + 12]
        .copy_from_slice(&77u32.to_le_bytes());
    assert_corrupt(bytes, "orphan file: inode 77 is in it");
}

#[test]
fn wrong_checksums_are_corruption() {
    let mut bytes = image("trixie");
    bytes[1024 + 0x78] ^= 1;
    let found = corruption(bytes);
    assert_eq!(found.structure, Structure::Superblock);
    assert!(matches!(found.fault, Fault::Checksum { .. }), "{found}");
    for name in ["trixie", "ubuntu-24.04", "uninit_bg"] {
        let mut bytes = image(name);
        bytes[4096 + 0x0C] ^= 1;
        let found = corruption(bytes);
        assert_eq!(found.structure, Structure::GroupDescriptor(0));
        assert!(matches!(found.fault, Fault::Checksum { .. }), "{found}");
    }
}

/// What debugfs says of the group descriptors: free inodes, directories.
fn groups(set: &str) -> Vec<(u64, u64)> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("image");
    fs::write(&path, image(set)).unwrap();
    let stats = debugfs(&path, false, &["stats".to_owned()]);
    let count = |line: &str, what: &str| {
        let (before, _) = line.split_once(what)?;
        before.rsplit(' ').next()?.parse().ok()
    };
    let lines: Vec<_> = stats.lines().collect();
    lines
        .iter()
        .filter_map(|line| {
            // One line, or with unused inodes and a checksum in it.
            let free = count(line, " free inodes")?;
            Some((free, count(line, " used director")?))
        })
        .collect()
}

#[test]
fn counts_that_contradict_bitmap_or_table_are_corruption() {
    for set in ["buster", "trixie", "ubuntu-24.04", "uninit_bg"] {
        let found = groups(set);
        assert!(!found.is_empty());
        for (number, (free, dirs)) in (0u32..).zip(found) {
            for (field, name, right, wrong) in [
                ("free_inodes_count", "bg_free_inodes_count", free, free / 2),
                ("used_dirs_count", "bg_used_dirs_count", dirs, dirs + 1),
            ] {
                let wrong = if wrong == right { right + 1 } else { wrong };
                let bytes = tampered(
                    set,
                    &[
                        format!("set_bg {number} {field} {wrong}"),
                        format!("set_bg {number} checksum calc"),
                    ],
                );
                let corruption = corruption(bytes);
                let place = Structure::GroupDescriptor(number);
                assert_eq!(corruption.structure, place, "{corruption}");
                match corruption.fault {
                    Fault::Field { name: found_in, found, expected } => {
                        assert_eq!(found_in, name, "{set}");
                        assert_eq!(found, wrong, "{set}");
                        assert_eq!(expected, right.to_string(), "{set}");
                    }
                    other => panic!("{set}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn an_end_of_the_inode_table_before_inodes_in_use_is_corruption() {
    for set in ["trixie", "ubuntu-25.10", "uninit_bg"] {
        let per_group = header(set, "Inodes per group:");
        let bytes = tampered(
            set,
            &[
                format!("set_bg 0 itable_unused {}", per_group - 5),
                "set_bg 0 checksum calc".to_owned(),
            ],
        );
        let corruption = corruption(bytes);
        assert_eq!(corruption.structure, Structure::GroupDescriptor(0));
        let Fault::Field { name, found, .. } = corruption.fault else {
            panic!("{corruption:?}")
        };
        assert_eq!((name, found), ("bg_itable_unused", per_group - 5));
    }
}

fn header(set: &str, field: &str) -> u64 {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("image");
    fs::write(&path, image(set)).unwrap();
    let text = run_ok("dumpe2fs", &["-h", path.to_str().unwrap()]);
    let value = text.lines().find_map(|line| line.strip_prefix(field));
    value.unwrap().trim().parse().unwrap()
}

#[test]
fn clusters_that_are_not_blocks_are_corruption() {
    for set in FEATURE_SETS {
        for (at, name) in
            [(0x1C, "s_log_cluster_size"), (0x24, "s_clusters_per_group")]
        {
            for value in [0xFFFF_FFFF, 4] {
                let mut bytes = image(set.name);
                patch(&mut bytes, at, |_| value);
                let corruption = corruption(bytes);
                assert_eq!(corruption.structure, Structure::Superblock);
                let Fault::Field { name: found_in, found, .. } =
                    corruption.fault
                else {
                    panic!("{corruption:?}")
                };
                assert_eq!((found_in, found), (name, value.into()));
            }
        }
    }
}

#[test]
fn two_entries_of_one_name_are_corruption_when_one_goes() {
    // Directories have no checksum there.
    let mut bytes = tampered("uninit_bg", &["symlink /etc/hostz x".into()]);
    let at = bytes.windows(5).position(|name| name == b"hostz").unwrap();
    bytes[at..at + 5].copy_from_slice(b"hosts");
    let disk = Disk::new(bytes.clone());
    let mut fs = Ext4::open(&disk, OPTIONS).unwrap();
    let error = fs.remove("/etc/hosts").unwrap_err();
    let FsErrorKind::Corrupt(corruption) = error.kind else {
        panic!("{error:?}")
    };
    assert!(matches!(corruption.structure, Structure::Directory(_)));
    assert!(disk.bytes() == bytes);
}

#[test]
fn fields_of_the_superblock_that_groups_contradict_are_corruption() {
    for set in FEATURE_SETS {
        let inodes = header(set.name, "Inode count:");
        for (at, name, wrong) in [
            // The kernel refuses these two as well.
            (0x54, "s_first_ino", 10),
            (0x54, "s_first_ino", inodes + 1),
            (0x0C, "s_free_blocks_count", 7),
            (0x0C, "s_free_blocks_count", 0xFFFF_FFFF),
        ] {
            let mut bytes = image(set.name);
            patch(&mut bytes, at, |_| u32::try_from(wrong).unwrap());
            let corruption = corruption(bytes);
            assert_eq!(corruption.structure, Structure::Superblock);
            let Fault::Field { name: found_in, found, .. } = corruption.fault
            else {
                panic!("{corruption:?}")
            };
            assert_eq!((found_in, found), (name, wrong), "{}", set.name);
        }
    }
}

#[test]
fn wrong_checksums_found_later_are_corruption() {
    // Every metadata block in turn, wherever it lies.
    let clean = image("trixie");
    let disk = Disk::new(clean.clone());
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("image");
    fs::write(&path, &clean).unwrap();
    let dump = run_ok("dumpe2fs", &[path.to_str().unwrap()]);
    let place = |label: &str| -> usize {
        let (_, rest) = dump.split_once(label).unwrap();
        let number: String =
            rest.chars().take_while(char::is_ascii_digit).collect();
        number.parse::<usize>().unwrap() * 4096
    };
    drop(disk);
    for (label, within, structure) in [
        ("Block bitmap at ", 100, Structure::BlockBitmap(0)),
        ("Inode bitmap at ", 100, Structure::InodeBitmap(0)),
        // In an inode table, the root's inode is the second.
        ("Inode table at ", 256 + 8, Structure::Inode(2)),
    ] {
        let mut bytes = clean.clone();
        bytes[place(label) + within] ^= 0x10;
        let disk = Disk::new(bytes.clone());
        let mut fs = Ext4::open(&disk, OPTIONS).unwrap();
        let error =
            fs.write("/new", &vec![1], meta(0o644, 0, 0, NOW)).unwrap_err();
        let FsErrorKind::Corrupt(corruption) = error.kind else {
            panic!("{error:?}")
        };
        assert_eq!(corruption.structure, structure);
        assert!(matches!(corruption.fault, Fault::Checksum { .. }));
        assert!(disk.bytes() == bytes);
    }
}

#[test]
fn what_is_no_ext4_is_corrupt() {
    assert_corrupt(vec![0; 1 << 20], "no ext4 superblock");
    assert_corrupt(vec![0; 100], "too small");
    let mut bytes = image("trixie");
    bytes.truncate(8 << 20);
    assert_corrupt(bytes, "on a device of 8388608 bytes");
}

#[test]
fn block_sizes_beyond_a_page_are_unsupported() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("64k.img");
    let options = FeatureSet { name: "64k", options: &["-b65536"] };
    mke2fs(&path, 96, options, &["-Jsize=64"], None);
    let bytes = fs::read(&path).unwrap();
    assert!(matches!(refusal(bytes), FsErrorKind::Unsupported(_)));
}
