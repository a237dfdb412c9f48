//! The made images as disk images: foreign tools accept them, and probing
//! finds the same facts on real file systems.

use super::probe::{RELEASES, facts};
use crate::support::{
    ext4_view::Ext4View,
    files_under,
    image::{Case, TIME},
    memory::MemTree,
    oracle, sha256, tree,
};
use piflash::{
    base::{
        facts::{FsKind, PartitionFacts},
        probe::probe_image,
    },
    disk::{ImageFile, ReadAt, Window},
    fs::{Fat, Reader},
};
use std::{fs, path::Path, sync::Arc};

/// The FAT at `offset`, as mtools read it.
fn fat_tree(image: &Path, offset: u64) -> MemTree {
    let copy = tempfile::tempdir().unwrap();
    oracle::mcopy_all(image, offset, copy.path()).unwrap();
    let mut tree = MemTree::new(TIME);
    for file in files_under(copy.path()) {
        let path = file.strip_prefix(copy.path()).unwrap().display();
        tree.file(&format!("/{path}"), fs::read(&file).unwrap());
    }
    tree
}

#[test]
fn facts_are_the_same_on_real_file_systems() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    for name in RELEASES {
        let case = Case::load(name);
        case.write(&image).unwrap();
        let disk: Arc<dyn ReadAt> = Arc::new(ImageFile::open(&image).unwrap());
        for ours in [false, true] {
            let found = probe_image(&disk, &|kind, partition| {
                let PartitionFacts { start, len, .. } = *partition;
                let reader: Box<dyn Reader> = match (kind, ours) {
                    (FsKind::Ext4, _) => {
                        Box::new(Ext4View::open(&image, start))
                    }
                    (FsKind::Fat, false) => Box::new(fat_tree(&image, start)),
                    (FsKind::Fat, true) => {
                        let window = Window::new(disk.clone(), start, len);
                        Box::new(Fat::open(window.unwrap(), TIME)?)
                    }
                };
                Ok(reader)
            });
            assert_eq!(found.unwrap(), facts(name), "{name}, ours: {ours}");
        }
    }
}

#[test]
fn foreign_tools_find_them_sound() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    for name in RELEASES {
        let case = Case::load(name);
        case.write(&image).unwrap();
        let (boot, root) = case.offsets();
        oracle::e2fsck(&image, root).unwrap();
        oracle::fsck_vfat(&image, boot, root - boot).unwrap();
        let dump = oracle::sfdisk_dump(&image).unwrap();
        assert!(dump.to_lowercase().contains(&case.layout.table.id), "{dump}");
        let cmdline = case.boot.text("/config.txt");
        let typed = oracle::mtype(&image, boot, "config.txt").unwrap();
        assert_eq!(String::from_utf8(typed).unwrap(), cmdline, "{name}");
    }
}

#[test]
fn the_same_case_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let sums = ["one", "two"].map(|name| {
        let image = dir.path().join(name);
        Case::load("buster").write(&image).unwrap();
        sha256(&fs::read(&image).unwrap())
    });
    assert_eq!(sums[0], sums[1]);
}

#[test]
fn a_tree_lists_what_the_case_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let case = Case::load("bullseye");
    case.write(&image).unwrap();
    let (boot, root) = case.offsets();
    let lines = tree::lines(&image, boot, root).unwrap();
    let find = |path: &str| {
        let mut found =
            lines.iter().filter(|l| l.split(' ').next() == Some(path));
        found.next().unwrap_or_else(|| panic!("no {path}")).as_str()
    };
    let shadow = case.root.text("/etc/shadow");
    assert_eq!(
        find("root/etc/shadow"),
        format!(
            "root/etc/shadow 0640 0:42 {} {}",
            shadow.len(),
            sha256(shadow.as_bytes())
        )
    );
    assert_eq!(find("root/bin"), "root/bin 0777 0:0 7 - -> usr/bin");
    assert_eq!(find("root/home/pi"), "root/home/pi 0755 1000:1000 - -");
    assert_eq!(find("boot/overlays"), "boot/overlays - - - -");
    assert!(find("root/usr/bin/sudo").contains(" 4755 0:0 64 "));

    let mut changed = lines.clone();
    changed.retain(|line| !line.starts_with("root/bin "));
    changed.push("root/etc/new 0644 0:0 0 -".to_owned());
    assert_eq!(
        tree::diff(&lines, &changed),
        ["- root/bin 0777 0:0 7 - -> usr/bin", "+ root/etc/new 0644 0:0 0 -"]
    );
}
