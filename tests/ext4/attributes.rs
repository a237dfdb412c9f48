//! ACLs and capabilities, as chmod(2), chown(2) and write(2) treat them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use piflash::fs::ext4::Ext4;
use piflash::fs::{Corruption, Editor, Fault, FsErrorKind, Structure};
use tempfile::TempDir;

use super::scenario::{Scenario, base};
use crate::support::ext4::{
    Disk, FEATURE_SETS, FeatureSet, NOW, debugfs, e2fsck_clean, meta, noise,
};
use crate::support::ext4_judges::judge;

/// An ACL as ext4 keeps it, with `named` users who may do all.
fn acl(mode: u16, named: u32) -> Vec<u8> {
    let mut bytes = 1u32.to_le_bytes().to_vec();
    let mut entry = |tag: u16, permissions: u16, id: Option<u32>| {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.into_iter().flat_map(u32::to_le_bytes));
    };
    entry(0x01, mode >> 6 & 7, None);
    (0..named).for_each(|user| entry(0x02, 7, Some(1000 + user)));
    // With a mask, the group's own permissions stay what they are.
    entry(0x04, 5, None);
    entry(0x10, mode >> 3 & 7, None);
    entry(0x20, mode & 7, None);
    bytes
}

/// `cap_net_raw=ep`.
fn capability() -> Vec<u8> {
    let words = [0x0200_0001u32, 1 << 13, 0, 0, 0];
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// Files with ACLs of one name and of many, and with capabilities alone and
/// beside other attributes. Those called `/as-…` have what chmod 0640 makes.
fn prepared(set: FeatureSet, dir: &Path) -> Vec<u8> {
    let image = dir.join("prepared.img");
    fs::write(&image, &base(set, Scenario::Roomy).get().unwrap().bytes)
        .unwrap();
    let content = dir.join("content");
    fs::write(&content, noise(3000, 3)).unwrap();
    let mut commands = Vec::new();
    let mut file = |name: &str, key: &str, value: &[u8], mode: &str| {
        let source = dir.join(format!("{}.ea", name.replace('/', "")));
        fs::write(&source, value).unwrap();
        let source = source.display();
        commands.push(format!("write {} {name}", content.display()));
        commands.push(format!("ea_set -r -f {source} {name} {key}"));
        commands.push(format!("sif {name} mode {mode}"));
    };
    let key = "system.posix_acl_access";
    file("/few", key, &acl(0o777, 1), "0100777");
    file("/as-few", key, &acl(0o640, 1), "0100640");
    file("/many", key, &acl(0o777, 60), "0100777");
    file("/as-many", key, &acl(0o640, 60), "0100640");
    let key = "security.capability";
    for name in ["/chmodded", "/chowned", "/program", "/alone", "/beside"] {
        file(name, key, &capability(), "0100755");
    }
    let long = "b".repeat(300);
    commands.push(format!("ea_set /beside user.beside {long}"));
    commands.push("ea_set /program user.small x".to_owned());
    debugfs(&image, true, &commands);
    e2fsck_clean(&image);
    fs::read(&image).unwrap()
}

fn edit(fs: &mut Ext4<'_>) {
    for path in ["/few", "/many", "/chmodded"] {
        fs.set_meta(path, meta(0o640, 0, 0, NOW)).unwrap();
    }
    fs.set_meta("/chowned", meta(0o755, 1000, 0, NOW)).unwrap();
    for path in ["/program", "/alone", "/beside"] {
        let meta = meta(0o755, 0, 0, NOW);
        fs.write(path, &noise(9000, 4), meta).unwrap();
    }
    fs.commit().unwrap();
}

/// Returns names and values of all attributes, and the modes, as debugfs
/// reads them.
fn attributes(bytes: &[u8]) -> Attributes {
    let dir = TempDir::new().unwrap();
    let tree = judge(bytes, dir.path()).tree;
    let place = |path: &str, name: &str| {
        dir.path().join(format!("{}{name}", path.replace('/', "_")))
    };
    let mut all = Attributes::new();
    let mut commands = Vec::new();
    for (path, entry) in &tree {
        let names = entry.xattrs.iter().map(|text| {
            text.split_once(" (").expect("name and size").0.to_owned()
        });
        let names: BTreeSet<String> = names.collect();
        for name in &names {
            let to = place(path, name);
            commands.push(format!(
                "ea_get -r -f {} \"{path}\" {name}",
                to.display()
            ));
        }
        all.insert(
            path.clone(),
            (
                entry.meta.mode,
                names.into_iter().map(|name| (name, Vec::new())).collect(),
            ),
        );
    }
    debugfs(&dir.path().join("judged.img"), false, &commands);
    for (path, (_, found)) in &mut all {
        for (name, value) in found {
            *value = fs::read(place(path, name)).unwrap();
        }
    }
    all
}

/// By path: the mode; by name: the value.
type Attributes = BTreeMap<String, (u16, BTreeMap<String, Vec<u8>>)>;

const CAPABILITY: &str = "security.capability";

#[test]
fn a_mode_goes_into_the_acl_and_content_drops_capabilities() {
    for set in FEATURE_SETS {
        let dir = TempDir::new().unwrap();
        let disk = Disk::new(prepared(set, dir.path()));
        let before = attributes(&disk.bytes());
        edit(&mut disk.open());
        let after = attributes(&disk.bytes());
        for (path, as_path) in [("/few", "/as-few"), ("/many", "/as-many")] {
            assert_ne!(before[path], after[as_path], "{}", set.name);
            assert_eq!(after[path], after[as_path], "{} {path}", set.name);
        }
        let kept = &after["/chmodded"].1;
        assert_eq!(kept, &before["/chmodded"].1, "{}", set.name);
        assert_eq!(kept[CAPABILITY], capability());
        for path in ["/chowned", "/program", "/alone", "/beside"] {
            let mut expected = before[path].clone();
            assert!(expected.1.remove(CAPABILITY).is_some(), "{path}");
            assert_eq!(after[path], expected, "{} {path}", set.name);
        }
    }
}

#[test]
fn an_acl_that_others_share_is_changed_for_one_file_only() {
    let set = *FEATURE_SETS.iter().find(|s| s.name == "trixie").unwrap();
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("shared.img");
    fs::write(&image, prepared(set, dir.path())).unwrap();
    let stat = debugfs(&image, false, &["stat /many".to_owned()]);
    let (_, block) = stat.split_once("File ACL: ").unwrap();
    let block = block.split_whitespace().next().unwrap().to_owned();
    let share = format!("set_inode_field /as-many file_acl {block}");
    debugfs(&image, true, &[share]);
    let output =
        crate::support::ext4::run("e2fsck", &["-fy", image.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let disk = Disk::new(fs::read(&image).unwrap());
    let before = attributes(&disk.bytes());
    assert_eq!(before["/as-many"].1, before["/many"].1);
    let mut fs = disk.open();
    fs.set_meta("/many", meta(0o640, 0, 0, NOW)).unwrap();
    fs.commit().unwrap();
    let after = attributes(&disk.bytes());
    assert_eq!(after["/as-many"], before["/as-many"]);
    let key = "system.posix_acl_access";
    assert_eq!(after["/many"].1[key], acl(0o640, 60));
}

#[test]
fn attributes_that_cannot_be_read_are_corruption() {
    let set = *FEATURE_SETS.iter().find(|s| s.name == "buster").unwrap();
    let dir = TempDir::new().unwrap();
    let clean = prepared(set, dir.path());
    // The version of the ACL with one name, which lies in the inode.
    let few = acl(0o777, 1);
    let at = clean.windows(few.len()).position(|part| part == few).unwrap();
    for (offset, value) in [(0, 9u8), (4, 0x7F)] {
        let mut bytes = clean.clone();
        bytes[at + offset] = value;
        let disk = Disk::new(bytes.clone());
        let error = disk.open().set_meta("/few", meta(0o640, 0, 0, NOW));
        let FsErrorKind::Corrupt(Corruption { structure, fault }) =
            error.unwrap_err().kind
        else {
            panic!("not corrupt")
        };
        assert!(matches!(structure, Structure::Attributes(_)));
        assert_eq!(fault, Fault::Rule("an ACL that cannot be read".into()));
        assert!(disk.bytes() == bytes);
    }
}

#[test]
#[ignore = "needs root and a loop device"]
fn the_kernel_leaves_the_same_acls_and_capabilities() {
    use std::os::unix::fs::{PermissionsExt, chown};
    for set in FEATURE_SETS {
        let dir = TempDir::new().unwrap();
        let bytes = prepared(set, dir.path());
        let disk = Disk::new(bytes.clone());
        edit(&mut disk.open());
        let ours = attributes(&disk.bytes());
        let image = dir.path().join("kernel.img");
        fs::write(&image, bytes).unwrap();
        {
            let at = dir.path().join("mnt");
            let mount = super::kernel::Mount::new(&image, at, "loop,rw");
            let path = |name: &str| mount.0.join(name);
            for name in ["few", "many", "chmodded"] {
                let mode = fs::Permissions::from_mode(0o640);
                fs::set_permissions(path(name), mode).unwrap();
            }
            chown(path("chowned"), Some(1000), Some(0)).unwrap();
            for name in ["program", "alone", "beside"] {
                fs::write(path(name), noise(9000, 4)).unwrap();
            }
        }
        let theirs = attributes(&fs::read(&image).unwrap());
        for name in
            ["few", "many", "chmodded", "chowned", "program", "alone", "beside"]
        {
            let path = format!("/{name}");
            assert_eq!(ours[&path], theirs[&path], "{} {path}", set.name);
        }
    }
}
