//! The kernel's own mount as a judge. These tests need root and loop
//! devices; `tests/run.sh` runs them where it finds both.

use crate::support::{
    env::Env,
    image::Case,
    oracle::{self, run},
    repository, tree,
    vendor::Vendor,
};
use piflash::base::demo;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// A mounted partition, unmounted when dropped.
struct Mount(PathBuf);

impl Mount {
    /// Mounts the ext4 at a byte offset of `image`; `way` is `ro` or `rw`.
    fn ext4(image: &Path, offset: u64, at: PathBuf, way: &str) -> Self {
        fs::create_dir(&at).unwrap();
        let options = format!("loop,{way},offset={offset}");
        let (image, to) = (image.to_str().unwrap(), at.to_str().unwrap());
        run("mount", &["-t", "ext4", "-o", &options, image, to]).unwrap();
        Self(at)
    }

    /// A file system in memory with so many KiB.
    fn tmpfs(at: &Path, kib: u32) -> Self {
        fs::create_dir_all(at).unwrap();
        let size = format!("size={kib}k");
        let to = at.to_str().unwrap();
        run("mount", &["-t", "tmpfs", "-o", &size, "none", to]).unwrap();
        Self(at.to_owned())
    }

    fn resize(&self, kib: u32) {
        let size = format!("remount,size={kib}k");
        run("mount", &["-o", &size, self.0.to_str().unwrap()]).unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = run("umount", &[self.0.to_str().unwrap()]);
        if !std::thread::panicking() {
            unmounted.unwrap();
        }
    }
}

#[test]
#[ignore = "needs root and a loop device"]
fn the_kernel_reads_the_demo_as_e2fsprogs_do() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("demo.img");
    let mut unpacked = demo::unpack(dir.path()).unwrap();
    io::copy(&mut unpacked, &mut File::create(&image).unwrap()).unwrap();
    let offset = 98304 * 512;
    let expected = tree::ext4(&image, offset).unwrap();
    let mount = Mount::ext4(&image, offset, dir.path().join("mount"), "ro");
    let found = tree::mounted(&mount.0);
    assert_eq!(tree::diff(&expected, &found), Vec::<String>::new());
    assert!(found.len() > 150);
}

/// Every path of a built node with its mode, owner and content, as the
/// kernel shows it and as e2fsprogs read it; and the kernel may write to it.
#[test]
#[ignore = "needs root and a loop device"]
fn the_kernel_mounts_built_nodes() {
    for name in ["buster", "bookworm", "trixie-cloud-init", "ubuntu-25.10"] {
        let case = Case::load(name);
        let env = Env::new();
        case.write(&env.work().join("base.img")).unwrap();
        let inventory = format!("tests/cases/{name}/inventory.yml");
        env.write(
            "inventory.yml",
            fs::read(repository().join(inventory)).unwrap(),
        );
        let outcome = env.run(&["build", "node3", "--image", "base.img"]);
        assert_eq!(outcome.code, Some(0), "{name}: {outcome}");

        let image = env.work().join("build/images/node3.img");
        let (_, root) = case.offsets();
        let expected = tree::ext4(&image, root).unwrap();
        let at = env.work().join("mount");
        let mount = Mount::ext4(&image, root, at.clone(), "ro");
        let found = tree::mounted(&mount.0);
        assert_eq!(tree::diff(&expected, &found), Vec::<String>::new());
        let unit = "root/etc/systemd/system/piflash-firstboot.service 0644 0:0";
        assert!(found.iter().any(|line| line.starts_with(unit)), "{name}");
        drop(mount);

        fs::remove_dir(&at).unwrap();
        let mount = Mount::ext4(&image, root, at, "rw");
        fs::write(mount.0.join("home/new"), vec![7; 1 << 20]).unwrap();
        fs::remove_file(mount.0.join("etc/hostname")).unwrap();
        fs::rename(mount.0.join("etc/hosts"), mount.0.join("etc/moved"))
            .unwrap();
        drop(mount);
        oracle::e2fsck(&image, root).unwrap();
    }
}

/// Wherever the disk gets full: the download and the image grow together.
#[test]
#[ignore = "needs root, to mount a tmpfs"]
fn a_cache_without_room_says_so_and_with_more_the_download_goes_on() {
    let vendor = Vendor::start(1, Duration::ZERO);
    let size = vendor.images[0].size as u64;
    for kib in [8, 64, 1024, 2100, 3000] {
        let env = vendor.customer(&[0]);
        let cache = env.home().join(".cache/piflash");
        let mount = Mount::tmpfs(&cache, kib);
        let full = env.run(&["build", "node1"]);
        assert_eq!(full.code, Some(1), "{kib}: {full}");
        for said in ["no space left for", "make room", "PIFLASH_CACHE"] {
            assert!(full.stderr.contains(said), "{kib}: `{said}`: {full}");
        }
        assert!(!env.work().join("build").exists(), "{kib}: {full}");
        let images = fs::read_dir(cache.join("images"));
        assert_eq!(images.map_or(0, Iterator::count), 0, "{kib}: {full}");
        vendor.asked();

        mount.resize(65_536);
        let outcome = env.run(&["build", "node1"]);
        assert_eq!(outcome.code, Some(0), "{kib}: {outcome}");
        let sent: usize = vendor.server.requests().iter().map(|r| r.sent).sum();
        assert!(sent as u64 <= size, "{kib}: {sent}");
        let verify = env.run(&["images", "verify"]);
        assert_eq!(verify.code, Some(0), "{kib}: {verify}");
    }
}
