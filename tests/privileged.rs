//! The kernel's own mount as a judge. These tests need root and loop
//! devices; `tests/run.sh` runs them where it finds both.

use crate::support::{
    env::Env,
    image::Case,
    oracle::{self, run},
    repository, tree,
};
use piflash::base::demo;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
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
