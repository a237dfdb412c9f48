//! The kernel's own mount as a judge. These tests need root and loop
//! devices; `tests/run.sh` runs them where it finds both.

use crate::support::{oracle::run, tree};
use piflash::base::demo;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// A mounted partition, unmounted when dropped.
struct Mount(PathBuf);

impl Mount {
    /// Mounts the ext4 at a byte offset of `image`, read-only.
    fn ext4(image: &Path, offset: u64, at: PathBuf) -> Self {
        fs::create_dir(&at).unwrap();
        let options = format!("loop,ro,offset={offset}");
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
    let mount = Mount::ext4(&image, offset, dir.path().join("mount"));
    let found = tree::mounted(&mount.0);
    assert_eq!(tree::diff(&expected, &found), Vec::<String>::new());
    assert!(found.len() > 150);
}
