//! Single edits, each with a trap of its own.

use std::fs;

use piflash::fs::{Editor, FsErrorKind, Reader};
use tempfile::TempDir;

use super::scenario::{Scenario, base};
use crate::support::ext4::{
    Disk, FEATURE_SETS, FeatureSet, NOW, debugfs, meta, mke2fs, noise, run_ok,
};
use crate::support::ext4_judges::{Kind, View, judge};

fn set(name: &str) -> FeatureSet {
    *FEATURE_SETS.iter().find(|set| set.name == name).unwrap()
}

fn disk(name: &str) -> Disk {
    let base = base(set(name), Scenario::Roomy);
    Disk::new(base.get().unwrap().bytes.clone())
}

fn judged(disk: &Disk) -> View {
    judge(&disk.bytes(), TempDir::new().unwrap().path())
}

#[test]
fn other_names_of_a_replaced_file_see_its_new_content() {
    let disk = disk("bookworm");
    let mut fs = disk.open();
    let content = noise(5000, 9);
    fs.write("/etc/hosts", &content.clone(), meta(0o600, 1, 2, NOW)).unwrap();
    fs.remove("/var/big").unwrap();
    fs.commit().unwrap();
    let view = judged(&disk);
    assert_eq!(view.tree["/etc/hosts.link"].kind, Kind::File(content));
    assert!(view.stats["/etc/hosts"].contains("Links: 2"));
    assert!(view.stats["/var/big.link"].contains("Links: 1"));
    // In the inode, and still there.
    assert_eq!(view.tree["/etc/hosts"].xattrs.len(), 1);
}

#[test]
fn attributes_stay_when_a_file_is_replaced() {
    for set in FEATURE_SETS {
        let disk = disk(set.name);
        let before = judged(&disk).tree;
        let mut fs = disk.open();
        for path in ["/etc/hosts", "/etc/hostname", "/usr/local/bin/tool"] {
            let content = noise(20_000, 4);
            fs.write(path, &content, meta(0o755, 0, 0, NOW)).unwrap();
        }
        fs.commit().unwrap();
        let after = judged(&disk).tree;
        for path in ["/etc/hosts", "/etc/hostname", "/usr/local/bin/tool"] {
            assert!(!before[path].xattrs.is_empty());
            assert_eq!(after[path].xattrs, before[path].xattrs, "{path}");
        }
    }
}

#[test]
fn a_shared_attribute_block_loses_one_reference() {
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("shared.img");
    fs::write(&image, disk("ubuntu-24.04").bytes()).unwrap();
    let stat = debugfs(&image, false, &["stat /etc/hostname".to_owned()]);
    let (_, block) = stat.split_once("File ACL: ").unwrap();
    let block = block.split_whitespace().next().unwrap().to_owned();
    let share = format!("set_inode_field /etc/shadow file_acl {block}");
    debugfs(&image, true, &[share]);
    // It counts both references, and the block of the second file.
    let output =
        crate::support::ext4::run("e2fsck", &["-fy", image.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let disk = Disk::new(fs::read(&image).unwrap());
    let mut fs = disk.open();
    fs.remove("/etc/hostname").unwrap();
    fs.commit().unwrap();
    let view = judged(&disk);
    assert_eq!(view.tree["/etc/shadow"].xattrs.len(), 1);
    let mut fs = disk.open();
    fs.remove("/etc/shadow").unwrap();
    fs.commit().unwrap();
    judged(&disk);
}

#[test]
fn owners_and_times_keep_their_high_halves() {
    for set in FEATURE_SETS {
        let disk = disk(set.name);
        let mut fs = disk.open();
        let times =
            [-1, -2_147_483_648, 2_147_483_648, 4_294_967_296, 10_000_000_000];
        for (number, mtime) in times.into_iter().enumerate() {
            let owner = 0x0001_0000 + number as u32;
            let meta = meta(0o7777, owner, 0xFFFF_FFFE, mtime);
            let path = format!("/etc/t{number}");
            fs.write(&path, &vec![], meta).unwrap();
        }
        fs.commit().unwrap();
        let view = judged(&disk);
        for (number, mtime) in times.into_iter().enumerate() {
            let found = view.tree[&format!("/etc/t{number}")].meta;
            // 128-byte inodes end in 2038.
            let last = i64::from(i32::MAX);
            let small = set.options.contains(&"-I128");
            let expected = if small { mtime.min(last) } else { mtime };
            assert_eq!(found.mtime, expected, "{}", set.name);
            assert_eq!(found.uid, 0x0001_0000 + number as u32);
            assert_eq!(found.gid, 0xFFFF_FFFE);
            let path = format!("/etc/t{number}");
            assert_eq!(fs.stat(&path).unwrap().unwrap().meta, found);
        }
    }
}

#[test]
fn link_targets_of_every_length() {
    for name in ["1k", "2k", "trixie"] {
        let disk = disk(name);
        let mut fs = disk.open();
        for len in [1, 58, 59, 60, 61, 500, 1023] {
            let target = "t".repeat(len);
            let path = format!("/etc/l{len}");
            fs.symlink(&path, &target, meta(0, 5, 6, NOW)).unwrap();
            assert_eq!(fs.read_link(&path).unwrap(), target);
        }
        // In place of a file, and of a link.
        fs.symlink("/etc/hostname", "x", meta(0, 0, 0, NOW)).unwrap();
        fs.symlink("/etc/slow", "y", meta(0, 0, 0, NOW)).unwrap();
        let error = fs.symlink("/etc", "y", meta(0, 0, 0, NOW)).unwrap_err();
        assert!(matches!(error.kind, FsErrorKind::WrongKind(_)));
        let long = "t".repeat(if name == "1k" { 1024 } else { 4096 });
        let error = fs.symlink("/l", &long, meta(0, 0, 0, NOW)).unwrap_err();
        assert!(matches!(error.kind, FsErrorKind::BadPath(_)));
        fs.commit().unwrap();
        let view = judged(&disk);
        for len in [1, 58, 59, 60, 61, 500, 1023] {
            let target = Kind::Symlink("t".repeat(len));
            assert_eq!(view.tree[&format!("/etc/l{len}")].kind, target);
        }
        assert_eq!(view.tree["/etc/slow"].kind, Kind::Symlink("y".into()));
    }
}

#[test]
fn links_in_the_middle_of_a_path_are_followed() {
    let disk = disk("trixie");
    let mut fs = disk.open();
    let meta = meta(0o755, 0, 0, NOW);
    fs.symlink("/usr/up", "../local/../local/bin", meta).unwrap();
    fs.symlink("/usr/abs", "/usr/up", meta).unwrap();
    fs.write("/usr/abs/new", &b"!".to_vec(), meta).unwrap();
    assert_eq!(fs.read("/usr/local/bin/new").unwrap(), b"!");
    assert_eq!(fs.read("/local/bin/new").unwrap(), b"!");
    fs.symlink("/loop-a", "loop-b", meta).unwrap();
    fs.symlink("/loop-b", "loop-a", meta).unwrap();
    let error = fs.stat("/loop-a/x").unwrap_err();
    assert!(matches!(error.kind, FsErrorKind::BadPath(_)));
    assert_eq!(fs.stat("/etc/hosts/x").unwrap(), None);
    assert_eq!(fs.stat("/nowhere/x").unwrap(), None);
    for path in ["relative", "/a//b", "/a/./b", "/a/../b", "/a/", ""] {
        let error = fs.write(path, &vec![], meta).unwrap_err();
        assert!(matches!(error.kind, FsErrorKind::BadPath(_)), "{path}");
    }
    let long = format!("/{}", "n".repeat(256));
    assert!(fs.write(&long, &vec![], meta).is_err());
    let longest = format!("/{}", "n".repeat(255));
    fs.write(&longest, &vec![], meta).unwrap();
    for path in ["/etc", "/etc/fast"] {
        let error = fs.write(path, &vec![], meta).unwrap_err();
        assert!(matches!(error.kind, FsErrorKind::WrongKind(_)), "{path}");
    }
    let error = fs.write("/no/where", &vec![], meta).unwrap_err();
    assert!(matches!(error.kind, FsErrorKind::NotFound));
    fs.remove("/no/where").unwrap();
    fs.remove("/nothing").unwrap();
    assert!(fs.remove("/").is_err());
    assert!(fs.remove("/lost+found").is_err());
    fs.mkdir("/", meta).unwrap();
    fs.commit().unwrap();
    judged(&disk);
}

#[test]
fn removed_trees_give_everything_back() {
    for set in FEATURE_SETS {
        let disk = disk(set.name);
        let mut fs = disk.open();
        let meta = meta(0o755, 0, 0, NOW);
        for path in ["/a", "/a/b", "/a/b/c", "/a/d"] {
            fs.mkdir(path, meta).unwrap();
        }
        fs.write("/a/b/c/file", &noise(50_000, 1), meta).unwrap();
        fs.symlink("/a/d/link", &"s".repeat(100), meta).unwrap();
        fs.commit().unwrap();
        fs.remove("/a").unwrap();
        fs.remove("/index").unwrap();
        fs.remove("/usr").unwrap();
        fs.remove("/etc").unwrap();
        fs.commit().unwrap();
        let view = judged(&disk);
        let left: Vec<_> = view.tree.keys().map(String::as_str).collect();
        assert_eq!(
            left,
            [
                "/",
                "/frag",
                "/local",
                "/lost+found",
                "/var",
                "/var/big",
                "/var/big.link",
                "/var/lib",
                "/var/lib/rancher",
                "/var/unwritten"
            ]
        );
    }
}

#[test]
fn the_same_edits_give_the_same_bytes() {
    let run = || {
        let disk = disk("ubuntu-25.10");
        let mut fs = disk.open();
        for number in 0..300 {
            let path = format!("/index/n{number}");
            let content = noise(number * 7, number as u64);
            fs.write(&path, &content, meta(0o644, 0, 0, NOW)).unwrap();
        }
        fs.remove("/etc").unwrap();
        fs.commit().unwrap();
        drop(fs);
        disk.bytes()
    };
    assert!(run() == run());
}

#[test]
fn nothing_changes_without_edits_and_little_with_few() {
    let disk = disk("trixie");
    let before = disk.bytes();
    let mut fs = disk.open();
    fs.commit().unwrap();
    assert!(disk.bytes() == before);
    fs.write("/etc/new", &vec![1; 100], meta(0o644, 0, 0, NOW)).unwrap();
    fs.commit().unwrap();
    let after = disk.bytes();
    let changed = before
        .chunks(4096)
        .zip(after.chunks(4096))
        .filter(|(before, after)| before != after)
        .count();
    // Superblock, descriptors, two bitmaps, the directory, data; the inodes
    // of the directory and of the file in one table block or two.
    assert!((7..=8).contains(&changed), "{changed} blocks");
}

#[test]
fn block_maps_are_read_replaced_and_removed() {
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("map.img");
    let source = dir.path().join("source");
    let content = noise(400_000, 5);
    fs::write(&source, &content).unwrap();
    // Written while the feature is off, as ext3 did.
    let old = FeatureSet {
        name: "ext3",
        options: &["-b1024", "-O^extent,^64bit,^metadata_csum"],
    };
    mke2fs(&image, 16, old, &["-Jsize=4"], None);
    let write = |to: &str| format!("write {} {to}", source.display());
    let commands =
        [write("/a"), write("/b"), write("/c"), "mkdir /d".to_owned()];
    debugfs(&image, true, &commands);
    let many = (0..60).map(|n| format!("mkdir /d/{n:0>100}"));
    debugfs(&image, true, &many.collect::<Vec<_>>());
    run_ok("tune2fs", &["-O", "extent", image.to_str().unwrap()]);
    crate::support::ext4::e2fsck_clean(&image);
    let disk = Disk::new(fs::read(&image).unwrap());
    let mut fs = disk.open();
    assert!(fs.read("/a").unwrap() == content);
    let meta = meta(0o644, 0, 0, NOW);
    fs.write("/a", &noise(100_000, 6), meta).unwrap();
    fs.remove("/b").unwrap();
    for number in 0..50 {
        fs.mkdir(&format!("/d/{number:x>120}"), meta).unwrap();
    }
    fs.commit().unwrap();
    let view = judged(&disk);
    assert_eq!(view.tree["/a"].kind, Kind::File(noise(100_000, 6)));
    assert_eq!(view.tree["/c"].kind, Kind::File(content));
    assert!(!view.tree.contains_key("/b"));
    assert_eq!(view.tree.len(), 115);
}

#[test]
fn new_inodes_have_a_creation_time_and_removed_ones_a_deletion_time() {
    let disk = disk("trixie");
    let ino = judged(&disk).inodes["/usr/local/bin/tool"];
    let mut fs = disk.open();
    let meta = meta(0o644, 0, 0, 5);
    fs.write("/etc/new", &vec![1], meta).unwrap();
    fs.remove("/usr").unwrap();
    fs.commit().unwrap();
    let dir = TempDir::new().unwrap();
    let stat = &judge(&disk.bytes(), dir.path()).stats["/etc/new"];
    assert!(stat.contains(&format!("crtime: {NOW:#x}:00000000")), "{stat}");
    assert!(stat.contains(&format!("ctime: {NOW:#x}:00000000")), "{stat}");
    let image = dir.path().join("judged.img");
    let stat = debugfs(&image, false, &[format!("stat <{ino}>")]);
    assert!(stat.contains("Links: 0 "), "{stat}");
    assert!(stat.contains(&format!("dtime: {NOW:#x}")), "{stat}");
}
