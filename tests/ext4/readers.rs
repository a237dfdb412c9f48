//! Reading for `inspect`, `verify` and `build`: what ext4-view does not
//! read, too; debugfs is the judge.

use std::fs;
use std::sync::Arc;

use piflash::disk::{Memory, Overlay, ReadAt, Window};
use piflash::fs::ext4_view::Ext4View;
use piflash::fs::tree::{self, Change, Tree, Volume};
use piflash::fs::{Editor, Ext4Reader, FsErrorKind, Reader};
use tempfile::TempDir;

use super::scenario::{Scenario, base};
use crate::support::ext4::{
    Disk, FEATURE_SETS, FeatureSet, NOW, debugfs, e2fsck_index, meta, noise,
    run_ok,
};
use crate::support::ext4_judges::{
    assert_same, debugfs_view, own_view, without_xattrs,
};

fn set(name: &str) -> FeatureSet {
    *FEATURE_SETS.iter().find(|set| set.name == name).unwrap()
}

fn volume(bytes: Vec<u8>) -> Volume {
    let memory: Arc<dyn ReadAt> = Arc::new(Memory::new(bytes));
    let size = memory.size();
    Window::new(Arc::new(Overlay::new(memory)), 0, size).unwrap()
}

/// Reads all of an image that debugfs changed before.
fn assert_readable(name: &str, bytes: Vec<u8>, what: &str) {
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("read.img");
    fs::write(&image, &bytes).unwrap();
    let mut expected = without_xattrs(&debugfs_view(&image).tree);
    let reader = Ext4Reader::open(volume(bytes)).unwrap();
    let mut found = own_view(&reader);
    // ext4-view shows the bytes of unwritten extents.
    expected.remove("/var/unwritten");
    found.remove("/var/unwritten");
    assert_same(&format!("{name}, {what}"), &found, &expected);
}

#[test]
fn all_feature_sets_are_read_unmounted_or_not() {
    for set in FEATURE_SETS {
        let bytes = base(set, Scenario::Roomy).get().unwrap().bytes.clone();
        let dir = TempDir::new().unwrap();
        let image = dir.path().join("dirty.img");
        fs::write(&image, &bytes).unwrap();
        assert_readable(set.name, bytes, "unmounted");
        let args =
            ["-w", "-R", "feature needs_recovery", image.to_str().unwrap()];
        run_ok("debugfs", &args);
        let dirty = fs::read(&image).unwrap();
        assert_readable(set.name, dirty.clone(), "not unmounted");
        let volume = volume(dirty);
        let tree = tree::ext4(&volume).unwrap();
        assert!(!tree.list(&tree.root().unwrap()).unwrap().is_empty());
    }
}

#[test]
fn directories_with_the_hash_legacy_are_read() {
    for name in ["trixie", "buster"] {
        let dir = TempDir::new().unwrap();
        let image = dir.path().join("legacy.img");
        let base = base(set(name), Scenario::Roomy);
        fs::write(&image, &base.get().unwrap().bytes).unwrap();
        let path = image.to_str().unwrap();
        run_ok("debugfs", &["-w", "-R", "ssv def_hash_version legacy", path]);
        e2fsck_index(&image);
        let dump = debugfs(&image, false, &["htree_dump /index".to_owned()]);
        assert!(dump.contains("Hash Version: 0"), "{dump}");
        let bytes = fs::read(&image).unwrap();
        assert_readable(name, bytes, "hash legacy");
    }
}

#[test]
fn times_past_2038_and_before_1970_are_read() {
    let bytes = base(set("bookworm"), Scenario::Roomy);
    let disk = Disk::new(bytes.get().unwrap().bytes.clone());
    let mut fs = disk.open();
    for (number, mtime) in [-1, 2_147_483_648, 4_000_000_000, 4_294_967_296]
        .into_iter()
        .enumerate()
    {
        let path = format!("/etc/t{number}");
        fs.write(&path, &noise(100, 1), meta(0o644, 0, 0, mtime)).unwrap();
    }
    fs.commit().unwrap();
    assert_readable("bookworm", disk.bytes(), "times");
}

/// As lastlog is on a system with users of high numbers.
#[test]
fn sparse_files_larger_than_their_file_system_are_compared() {
    let image = |content: &[u8]| {
        let base = base(set("trixie"), Scenario::Roomy);
        let disk = Disk::new(base.get().unwrap().bytes.clone());
        let mut fs = disk.open();
        let meta = meta(0o644, 0, 0, NOW);
        fs.write("/var/lastlog", &content.to_vec(), meta).unwrap();
        fs.commit().unwrap();
        let dir = TempDir::new().unwrap();
        let image = dir.path().join("sparse.img");
        fs::write(&image, disk.bytes()).unwrap();
        let sparse = "sif /var/lastlog size 0x40000000000".to_owned();
        debugfs(&image, true, &[sparse]);
        volume(fs::read(&image).unwrap())
    };
    let changes = |old: &Volume, new: &Volume| {
        let (old, new) = (tree::ext4(old).unwrap(), tree::ext4(new).unwrap());
        let mut changes = Vec::new();
        tree::compare::<()>(&*old, &*new, &mut |change| {
            changes.push(change);
            Ok(())
        })
        .unwrap();
        changes
    };
    let (old, same) = (image(b"root"), image(b"root"));
    assert!(changes(&old, &same).is_empty());
    match changes(&old, &image(b"toor")).as_slice() {
        [Change::Changed { new, what, .. }] => {
            assert_eq!(new.path, b"/var/lastlog");
            assert!(what.content);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn unknown_features_are_named() {
    for (bit, name) in [
        (0x2_0000u32, "`casefold` (incompat 0x20000)"),
        (0x8000, "`inline_data` (incompat 0x8000)"),
        (0x4000_0000, "unknown (incompat 0x40000000)"),
    ] {
        let base = base(set("trixie"), Scenario::Roomy);
        let mut bytes = base.get().unwrap().bytes.clone();
        super::refusals::patch(&mut bytes, 0x60, |features| features | bit);
        let volume = volume(bytes);
        let Err(error) = Ext4Reader::open(volume.clone()) else {
            panic!("opened: {name}")
        };
        assert!(error.to_string().contains(name), "{error}");
        let Err(error) = tree::ext4(&volume) else { panic!("opened: {name}") };
        assert!(error.to_string().contains(name), "{error}");
    }
}

/// ext4-view takes memory for all that an inode says.
#[test]
fn impossible_sizes_are_errors() {
    let base = base(set("trixie"), Scenario::Roomy);
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("sizes.img");
    for size in ["0x40000000000", "0x72656e45", "5000"] {
        fs::write(&image, &base.get().unwrap().bytes).unwrap();
        let commands = ["/etc/slow", "/etc/hostname"]
            .map(|p| format!("sif {p} size {size}"));
        debugfs(&image, true, &commands);
        let volume = volume(fs::read(&image).unwrap());
        let view = Ext4View::open(Arc::new(volume.clone())).unwrap();
        let reader = Ext4Reader::open(volume).unwrap();
        let readers: [&dyn Reader; 2] = [&view, &reader];
        for reader in readers {
            for error in [
                reader.read_link("/etc/slow").map(drop).unwrap_err(),
                reader.stat("/etc/slow/x").map(drop).unwrap_err(),
                reader.read("/etc/slow/x").map(drop).unwrap_err(),
                reader.read_dir("/etc/slow/x").map(drop).unwrap_err(),
            ] {
                assert!(
                    matches!(error.kind, FsErrorKind::Corrupt(_)),
                    "{size}: {error:?}"
                );
            }
            if size != "5000" {
                let error = reader.read("/etc/hostname").unwrap_err();
                assert!(
                    matches!(error.kind, FsErrorKind::Unsupported(_)),
                    "{size}: {error:?}"
                );
            }
        }
        let tree: &dyn Tree = &view;
        let link = tree::resolve(tree, b"/etc/slow").unwrap().unwrap();
        let error = tree.target(&link).unwrap_err();
        assert!(matches!(error.kind, FsErrorKind::Corrupt(_)), "{error:?}");
    }
}
