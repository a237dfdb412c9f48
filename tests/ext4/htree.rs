//! Large directories.

use std::fs;
use std::time::Instant;

use piflash::fs::{Editor, FsErrorKind, Reader};
use tempfile::TempDir;

use super::scenario::build_tree;
use crate::support::ext4::{
    Disk, FEATURE_SETS, FeatureSet, NOW, debugfs, e2fsck_clean, e2fsck_index,
    meta, mke2fs, noise,
};
use crate::support::ext4_judges::{Kind, judge, own_view};

fn set(name: &str) -> FeatureSet {
    *FEATURE_SETS.iter().find(|set| set.name == name).unwrap()
}

/// An image with a large indexed directory.
fn indexed(set: FeatureSet, mib: u64, entries: usize, version: &str) -> Disk {
    let dir = TempDir::new().unwrap();
    let (tree, image) = (dir.path().join("tree"), dir.path().join("image"));
    build_tree(&tree, entries, 0);
    mke2fs(&image, mib, set, &["-Jsize=4", "-N40000"], Some(&tree));
    let hash = format!("set_super_value def_hash_version {version}");
    debugfs(&image, true, &[hash]);
    e2fsck_index(&image);
    e2fsck_clean(&image);
    let dump = debugfs(&image, false, &["htree_dump /index".to_owned()]);
    assert!(dump.contains("Root node dump"), "no index: {dump}");
    Disk::new(fs::read(&image).unwrap())
}

#[test]
fn three_hundred_entries_into_five_thousand() {
    for (name, version) in [
        ("bookworm", "half_md4"),
        ("1k", "tea"),
        ("2k", "legacy"),
        ("uninit_bg", "half_md4"),
    ] {
        let disk = indexed(set(name), 48, 5000, version);
        let mut fs = disk.open();
        for number in 0..300 {
            let path = format!("/index/added-ß-{number}");
            let content = noise(number, 1);
            fs.write(&path, &content, meta(0o644, 0, 0, NOW)).unwrap();
        }
        for number in (0..5000).step_by(10) {
            let name = super::scenario::index_name(number);
            fs.remove(&format!("/index/{name}")).unwrap();
        }
        assert_eq!(fs.read_dir("/index").unwrap().len(), 4800);
        fs.commit().unwrap();
        let dir = TempDir::new().unwrap();
        let view = judge(&disk.bytes(), dir.path());
        for number in 0..300 {
            let path = format!("/index/added-ß-{number}");
            assert_eq!(view.tree[&path].kind, Kind::File(noise(number, 1)));
        }
        let dump = debugfs(
            &dir.path().join("judged.img"),
            false,
            &["htree_dump /index".to_owned()],
        );
        let number = match version {
            "legacy" => "Hash Version: 0",
            "half_md4" => "Hash Version: 1",
            _ => "Hash Version: 2",
        };
        assert!(dump.contains(number), "{dump}");
    }
}

/// A directory that begins empty: it gets an index, leaves split, the index
/// gets a second level and its nodes split. In good time.
#[test]
fn twenty_thousand_entries_from_nothing() {
    for (name, signed) in [("1k", true), ("128-byte-inodes", false)] {
        let dir = TempDir::new().unwrap();
        let image = dir.path().join("image");
        let more = ["-Jsize=4", "-N40000"];
        mke2fs(&image, 48, set(name), &more, None);
        let flags = if signed { 1 } else { 2 };
        let command = format!("set_super_value flags {flags}");
        debugfs(&image, true, &[command]);
        let disk = Disk::new(fs::read(&image).unwrap());
        let mut fs = disk.open();
        let meta = meta(0o644, 0, 0, NOW);
        fs.mkdir("/many", meta).unwrap();
        let start = Instant::now();
        for number in 0..20_000u32 {
            let path = format!("/many/ö{:x}", number.wrapping_mul(0x9E3779B1));
            fs.write(&path, &vec![], meta).unwrap();
        }
        let took = start.elapsed();
        assert!(took.as_secs() < 60, "{took:?}");
        fs.commit().unwrap();
        assert_eq!(fs.read_dir("/many").unwrap().len(), 20_000);
        fs::write(&image, disk.bytes()).unwrap();
        e2fsck_clean(&image);
        let dump = debugfs(&image, false, &["htree_dump /many".to_owned()]);
        assert!(dump.contains("Indirect levels: 1"), "one level");
        // debugfs finds by hash, too.
        let out = debugfs(
            &image,
            false,
            &[format!("stat /many/ö{:x}", 777u32.wrapping_mul(0x9E3779B1))],
        );
        assert!(out.contains("Type: regular"), "{out}");
        // Half of them go, then all.
        for number in 0..10_000u32 {
            let path = format!("/many/ö{:x}", number.wrapping_mul(0x9E3779B1));
            fs.remove(&path).unwrap();
        }
        fs.commit().unwrap();
        fs::write(&image, disk.bytes()).unwrap();
        e2fsck_clean(&image);
        fs.remove("/many").unwrap();
        fs.commit().unwrap();
        let tree = judge(&disk.bytes(), dir.path()).tree;
        assert_eq!(tree.len(), 2);
        assert_eq!(own_view(&disk.open()).len(), 2);
    }
}

/// Names that fill a leaf with three entries, so that splits are uneven and
/// the index of 1 KiB blocks fills up.
#[test]
fn a_full_index_is_an_error() {
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("image");
    mke2fs(&image, 64, set("1k"), &["-Jsize=4", "-N60000"], None);
    let disk = Disk::new(fs::read(&image).unwrap());
    let mut fs = disk.open();
    let meta = meta(0o644, 0, 0, NOW);
    fs.mkdir("/full", meta).unwrap();
    fs.commit().unwrap();
    let error = (0..60_000)
        .map(|number: u32| {
            let path = format!("/full/{number:n>250}");
            let result = fs.write(&path, &vec![], meta);
            if number % 5000 == 4999 && result.is_ok() {
                fs.commit().unwrap();
            }
            result
        })
        .find_map(Result::err)
        .expect("the index never filled");
    assert!(
        matches!(
            error.kind,
            FsErrorKind::NoSpace {
                what: "entries in the index of the directory",
                ..
            }
        ),
        "{error}"
    );
    fs::write(&image, disk.bytes()).unwrap();
    e2fsck_clean(&image);
}

/// The count of a directory's names ends at 65,000; then it is 1.
#[test]
fn more_subdirectories_than_can_be_counted() {
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("image");
    mke2fs(&image, 128, set("1k"), &["-Jsize=4", "-N70000"], None);
    let disk = Disk::new(fs::read(&image).unwrap());
    let mut fs = disk.open();
    let meta = meta(0o755, 0, 0, NOW);
    fs.mkdir("/d", meta).unwrap();
    for number in 0..65_010 {
        fs.mkdir(&format!("/d/{number}"), meta).unwrap();
    }
    fs.commit().unwrap();
    fs::write(&image, disk.bytes()).unwrap();
    e2fsck_clean(&image);
    let out = debugfs(&image, false, &["stat /d".to_owned()]);
    assert!(out.contains("Links: 1 "), "{out}");
}

/// The legacy hash, once more, of plain ASCII.
fn legacy_hash(name: &[u8]) -> u32 {
    let (mut last, mut before) = (0x12A3_FE2Du32, 0x37AB_E8F9u32);
    for byte in name {
        let mixed = last ^ u32::from(*byte).wrapping_mul(7_152_373);
        let mut next = before.wrapping_add(mixed);
        if next >= 0x8000_0000 {
            next -= 0x7FFF_FFFF;
        }
        (before, last) = (last, next);
    }
    last << 1
}

/// All names come in pairs with one hash, so that half of all leaves end
/// in the middle of a pair.
#[test]
fn equal_hashes_in_two_leaves() {
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("image");
    mke2fs(&image, 16, set("1k"), &["-Jsize=4", "-N4096"], None);
    let legacy = "set_super_value def_hash_version legacy".to_owned();
    debugfs(&image, true, &[legacy]);
    let name = |number: u32| {
        let number = number.wrapping_mul(0x9E37_79B9);
        format!("{number:0>100}")
    };
    let mut hashes: Vec<_> = (0..1_200_000)
        .map(|number| (legacy_hash(name(number).as_bytes()), number))
        .collect();
    hashes.sort_unstable();
    let mut names: Vec<_> = hashes
        .windows(2)
        .filter(|pair| pair[0].0 == pair[1].0)
        .flat_map(|pair| [name(pair[0].1), name(pair[1].1)])
        .take(600)
        .collect();
    names.sort();
    names.dedup();
    assert!(names.len() > 100, "only {} equal hashes", names.len());
    let disk = Disk::new(fs::read(&image).unwrap());
    let mut fs = disk.open();
    let meta = meta(0o644, 0, 0, NOW);
    fs.mkdir("/pairs", meta).unwrap();
    for name in &names {
        let path = format!("/pairs/{name}");
        assert_eq!(fs.stat(&path).unwrap(), None);
        fs.write(&path, &vec![], meta).unwrap();
    }
    for name in &names {
        assert!(fs.stat(&format!("/pairs/{name}")).unwrap().is_some());
    }
    fs.commit().unwrap();
    let view = judge(&disk.bytes(), dir.path());
    assert_eq!(view.tree.len(), names.len() + 3);
    for name in names.iter().step_by(2) {
        fs.remove(&format!("/pairs/{name}")).unwrap();
    }
    fs.commit().unwrap();
    let view = judge(&disk.bytes(), dir.path());
    assert_eq!(view.tree.len(), names.len() / 2 + 3);
}
