//! Full, fragmented, and large.

use std::collections::HashSet;
use std::fs;

use piflash::fs::{Editor, FsErrorKind, Reader};
use tempfile::TempDir;

use super::scenario::{Scenario, base};
use crate::support::ext4::{
    Disk, FEATURE_SETS, FeatureSet, NOW, debugfs, meta, mke2fs, noise, run_ok,
};
use crate::support::ext4_judges::{
    Kind, assert_same, judge, own_view, without_xattrs,
};

fn disk(name: &str, scenario: Scenario) -> Disk {
    let set = FEATURE_SETS.iter().find(|set| set.name == name).unwrap();
    Disk::new(base(*set, scenario).get().unwrap().bytes.clone())
}

#[test]
fn a_full_file_system_says_how_much_is_missing() {
    for set in FEATURE_SETS {
        let disk = disk(set.name, Scenario::NearlyFull);
        let dir = TempDir::new().unwrap();
        let before = judge(&disk.bytes(), dir.path());
        let mut fs = disk.open();
        let meta = meta(0o644, 0, 0, NOW);
        // Far too much: said at once.
        let error = fs.write("/etc/huge", &vec![1; 4 << 20], meta).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("/etc/huge: no space left"), "{text}");
        assert!(text.contains("4194304 bytes needed"), "{text}");
        // Bit by bit, until the last block is gone.
        let mut error = None;
        for number in 0..10_000 {
            let path = format!("/etc/n{number}");
            if let Err(e) = fs.write(&path, &vec![7; 4096], meta) {
                error = Some(e);
                break;
            }
        }
        let error = error.expect("no end of space");
        assert!(
            matches!(error.kind, FsErrorKind::NoSpace { what: "bytes", .. }),
            "{error}"
        );
        drop(fs);
        // Nothing was committed, so all is as it was.
        let after = judge(&disk.bytes(), dir.path());
        assert_eq!(after.stats, before.stats);
        assert_same(set.name, &after.tree, &before.tree);
    }
}

#[test]
fn a_full_file_system_can_still_replace_files() {
    let disk = disk("trixie", Scenario::NearlyFull);
    let mut fs = disk.open();
    let meta = meta(0o644, 0, 0, NOW);
    // More than is free: the freed blocks are used again, at the commit.
    let before = disk.bytes();
    let old = fs.read("/var/big").unwrap();
    let content = noise(old.len(), 99);
    fs.write("/var/big", &content.clone(), meta).unwrap();
    assert!(fs.read("/var/big").unwrap() == content);
    let untouched = Disk::new(disk.bytes());
    assert!(untouched.open().read("/var/big").unwrap() == old);
    drop(before);
    fs.commit().unwrap();
    let view = judge(&disk.bytes(), TempDir::new().unwrap().path());
    assert_eq!(view.tree["/var/big.link"].kind, Kind::File(content));
}

#[test]
fn inodes_run_out_with_an_error_of_their_own() {
    for set in FEATURE_SETS {
        let disk = disk(set.name, Scenario::FewInodes);
        let dir = TempDir::new().unwrap();
        let before = judge(&disk.bytes(), dir.path());
        let mut fs = disk.open();
        let meta = meta(0o644, 0, 0, NOW);
        let error = (0..)
            .map(|n| fs.write(&format!("/i{n}"), &vec![], meta))
            .find_map(Result::err)
            .unwrap();
        let text = error.to_string();
        assert!(text.contains("1 inodes needed, 0 available"), "{text}");
        // Once broken, nothing can be committed by accident.
        assert!(fs.commit().is_err());
        drop(fs);
        let after = judge(&disk.bytes(), dir.path());
        assert_eq!(after.stats, before.stats);
    }
}

/// Frees every second piece of 16 KiB of a large file system.
fn fragmented(set: FeatureSet, mib: u64) -> Disk {
    let dir = TempDir::new().unwrap();
    let (tree, image) = (dir.path().join("tree"), dir.path().join("image"));
    fs::create_dir_all(&tree).unwrap();
    let count = mib * 1024 / 16 * 9 / 10;
    for number in 0..count {
        let sub = tree.join(format!("d{}", number / 500));
        fs::create_dir_all(&sub).unwrap();
        fs::write(sub.join(format!("{number}")), [5; 16384]).unwrap();
    }
    mke2fs(&image, mib, set, &["-Jsize=4", "-N16384"], Some(&tree));
    let commands: Vec<_> = (0..count)
        .step_by(2)
        .map(|number| format!("rm /d{}/{number}", number / 500))
        .collect();
    debugfs(&image, true, &commands);
    // What is in one piece is taken, so that pieces must be used.
    let filler = dir.path().join("filler");
    fs::write(&filler, vec![6; usize::try_from(mib / 13).unwrap() << 20])
        .unwrap();
    let write = format!("write {} /filler", filler.display());
    debugfs(&image, true, &[write]);
    Disk::new(fs::read(&image).unwrap())
}

#[test]
fn seventy_mib_into_pieces_of_sixteen_kib() {
    let four_k = FeatureSet {
        name: "4k",
        options: &["-b4096", "-O64bit,metadata_csum"],
    };
    let two_k = FeatureSet {
        name: "2k",
        options: &["-b2048", "-O64bit,metadata_csum"],
    };
    for (set, mib) in [(four_k, 176), (two_k, 176)] {
        let disk = fragmented(set, mib);
        let mut fs = disk.open();
        let content = noise(70 << 20, 3);
        fs.write("/large", &content.clone(), meta(0o755, 0, 0, NOW)).unwrap();
        fs.commit().unwrap();
        let dir = TempDir::new().unwrap();
        let image = dir.path().join("judged.img");
        fs::write(&image, disk.bytes()).unwrap();
        crate::support::ext4::e2fsck_clean(&image);
        let out = dir.path().join("large");
        let dump = format!("dump /large {}", out.display());
        debugfs(&image, false, &[dump]);
        assert!(fs::read(&out).unwrap() == content);
        let extents = debugfs(&image, false, &["extents /large".to_owned()]);
        assert!(extents.lines().count() > 2000, "not fragmented");
        // And gone again, with its tree.
        fs.remove("/large").unwrap();
        fs.commit().unwrap();
        fs::write(&image, disk.bytes()).unwrap();
        crate::support::ext4::e2fsck_clean(&image);
    }
}

#[test]
fn unwritten_extents_read_as_zero() {
    let disk = disk("ubuntu-24.04", Scenario::Roomy);
    let fs = disk.open();
    assert_eq!(fs.read("/var/unwritten").unwrap(), vec![0; 5000]);
    let dir = TempDir::new().unwrap();
    let view = judge(&disk.bytes(), dir.path());
    assert_same("ours", &own_view(&fs), &without_xattrs(&view.tree));
}

/// Every block number that debugfs prints, ranges included.
fn block_list(text: &str) -> Vec<usize> {
    text.split([' ', ',', '\n'])
        .filter_map(|word| {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            Some((first.parse().ok()?, last.parse().ok()?))
        })
        .flat_map(|(first, last): (usize, usize)| first..=last)
        .collect()
}

#[test]
fn nothing_in_use_changes_before_the_commit_and_the_journal_never() {
    for set in FEATURE_SETS {
        let disk = disk(set.name, Scenario::NearlyFull);
        let before = disk.bytes();
        let size = 1024usize << before[1024 + 0x18];
        let dir = TempDir::new().unwrap();
        let image = dir.path().join("before.img");
        fs::write(&image, &before).unwrap();
        let dump = run_ok("dumpe2fs", &[image.to_str().unwrap()]);
        let free: HashSet<usize> = dump
            .lines()
            .filter_map(|line| line.strip_prefix("  Free blocks: "))
            .flat_map(block_list)
            .collect();
        assert!(!free.is_empty());
        let mut fs = disk.open();
        let meta = meta(0o644, 0, 0, NOW);
        fs.write("/etc/hosts", &noise(9000, 1), meta).unwrap();
        fs.write("/var/big", &noise(1_500_000, 2), meta).unwrap();
        fs.mkdir("/new", meta).unwrap();
        fs.remove("/usr").unwrap();
        fs.remove("/etc/slow").unwrap();
        let now = disk.bytes();
        for block in 0..before.len() / size {
            let range = block * size..(block + 1) * size;
            assert!(
                free.contains(&block) || before[range.clone()] == now[range],
                "{}: block {block} is in use and changed",
                set.name
            );
        }
        fs.commit().unwrap();
        let after = disk.bytes();
        let journal = debugfs(&image, false, &["blocks <8>".to_owned()]);
        let journal = block_list(&journal);
        assert!(journal.len() * size >= 4 << 20);
        for block in journal {
            let range = block * size..(block + 1) * size;
            assert!(before[range.clone()] == after[range], "the journal");
        }
        judge(&after, dir.path());
    }
}

/// Bitmaps that were never written are begun, with their padding.
#[test]
fn groups_that_were_never_used() {
    for name in ["uninit_bg", "trixie", "ubuntu-24.04", "2k", "1k"] {
        let set = FEATURE_SETS.iter().find(|set| set.name == name).unwrap();
        let dir = TempDir::new().unwrap();
        let image = dir.path().join("fresh.img");
        // The last group is short.
        mke2fs(&image, 61, *set, &["-Jsize=4", "-N4096"], None);
        let dump = run_ok("dumpe2fs", &[image.to_str().unwrap()]);
        assert!(dump.contains("INODE_UNINIT"), "{dump}");
        assert!(dump.contains("BLOCK_UNINIT"), "{dump}");
        let disk = Disk::new(fs::read(&image).unwrap());
        let mut fs = disk.open();
        let meta = meta(0o644, 0, 0, NOW);
        // Into the last block, through all groups.
        let mut number = 0;
        while fs
            .write(&format!("/{number}"), &noise(4 << 20, number), meta)
            .is_ok()
        {
            number += 1;
        }
        for small in 0..2000 {
            fs.write(&format!("/s{small}"), &vec![], meta).unwrap();
        }
        fs.commit().unwrap();
        fs::write(&image, disk.bytes()).unwrap();
        crate::support::ext4::e2fsck_clean(&image);
        assert!(fs.read("/3").unwrap() == noise(4 << 20, 3));
        let dump = run_ok("dumpe2fs", &[image.to_str().unwrap()]);
        assert!(!dump.contains("BLOCK_UNINIT"), "{dump}");
        // Back to empty.
        for number in 0..number {
            fs.remove(&format!("/{number}")).unwrap();
        }
        for small in 0..2000 {
            fs.remove(&format!("/s{small}")).unwrap();
        }
        fs.commit().unwrap();
        fs::write(&image, disk.bytes()).unwrap();
        crate::support::ext4::e2fsck_clean(&image);
    }
}
