//! The kernel as a judge.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use piflash::fs::Editor;
use tempfile::TempDir;

use super::scenario::{Scenario, base};
use crate::support::ext4::{
    Disk, FEATURE_SETS, NOW, e2fsck_clean, meta, noise,
};
use crate::support::ext4_judges::{
    Entry, Kind, Tree, assert_same, judge, without_xattrs,
};

/// A mounted image, unmounted when dropped.
pub struct Mount(pub PathBuf);

impl Mount {
    pub fn new(image: &Path, at: PathBuf, options: &str) -> Self {
        fs::create_dir_all(&at).unwrap();
        let status = Command::new("mount")
            .args(["-t", "ext4", "-o", options])
            .args([image, &at])
            .status()
            .expect("mount (Debian package mount)");
        assert!(status.success(), "mount -o {options}: {status}");
        Self(at)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Others on the machine may look into new mounts for a moment.
        let unmounted = (0..50).any(|_| {
            let status = Command::new("umount").arg(&self.0).status();
            let done = status.is_ok_and(|status| status.success());
            if !done {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            done
        });
        assert!(unmounted, "umount {}", self.0.display());
    }
}

fn read_tree(root: &Path, path: &Path, tree: &mut Tree) {
    let found = fs::symlink_metadata(path).unwrap();
    let kind = if found.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            read_tree(root, &entry.unwrap().path(), tree);
        }
        Kind::Directory
    } else if found.is_symlink() {
        let target = fs::read_link(path).unwrap();
        Kind::Symlink(target.to_str().unwrap().to_owned())
    } else {
        Kind::File(fs::read(path).unwrap())
    };
    let mode = (found.mode() & 0o7777) as u16;
    let meta = meta(mode, found.uid(), found.gid(), found.mtime());
    let name = path.strip_prefix(root).unwrap().to_str().unwrap();
    let entry = Entry { kind, meta, xattrs: Vec::new() };
    tree.insert(format!("/{name}"), entry);
}

#[test]
#[ignore = "needs root and a loop device"]
fn the_kernel_reads_and_writes_what_was_edited() {
    for set in FEATURE_SETS {
        let disk =
            Disk::new(base(set, Scenario::Roomy).get().unwrap().bytes.clone());
        let mut editor = disk.open();
        for number in 0..300u32 {
            let path = format!("/index/kernel-ä-{number}");
            let content = noise(number as usize * 31, 5);
            let mtime = i64::from(number) * 9_000_000 - 500_000_000;
            let meta = meta(0o640, number * 1000, 70_000, mtime);
            editor.write(&path, &content, meta).unwrap();
        }
        let meta = meta(0o755, 0, 0, NOW);
        let large = noise(2_000_000, 8);
        editor.write("/usr/local/bin/large", &large, meta).unwrap();
        editor.write("/etc/hosts", &noise(9000, 8), meta).unwrap();
        editor.mkdir("/fresh", meta).unwrap();
        for number in 0..400 {
            let path = format!("/fresh/a-rather-long-name-{number}");
            editor.symlink(&path, &"t".repeat(number + 1), meta).unwrap();
        }
        editor.remove("/var/lib").unwrap();
        editor.commit().unwrap();

        let dir = TempDir::new().unwrap();
        let expected = without_xattrs(&judge(&disk.bytes(), dir.path()).tree);
        let image = dir.path().join("judged.img");
        let at = dir.path().join("mnt");
        {
            let mount = Mount::new(&image, at.clone(), "loop,ro");
            let mut tree = Tree::new();
            read_tree(&mount.0, &mount.0, &mut tree);
            assert_same(set.name, &tree, &expected);
        }
        {
            let mount = Mount::new(&image, at, "loop,rw");
            for number in 0..300 {
                let name = format!("index/kernel-ä-{number}");
                if number % 2 == 0 {
                    fs::remove_file(mount.0.join(name)).unwrap();
                }
                let name = format!("index/written-by-the-kernel-{number}");
                fs::write(mount.0.join(name), noise(number, 2)).unwrap();
                let name = format!("fresh/written-by-the-kernel-{number}");
                fs::write(mount.0.join(name), b"").unwrap();
            }
            fs::remove_file(mount.0.join("usr/local/bin/large")).unwrap();
            fs::remove_dir_all(mount.0.join("etc")).unwrap();
        }
        e2fsck_clean(&image);
    }
}
