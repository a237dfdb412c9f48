use super::{
    atomic::{names, write},
    conformance::{cases, judge, raw},
};
use piflash::{
    disk::{ReadAt, Zeros},
    sink::{SinkErrorKind, raw::Method},
};
use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

fn run(program: &str, package: &str, args: &[&str]) {
    let out = Command::new(program).args(args).output().unwrap_or_else(|e| {
        panic!("{program}: {e}: install the package {package}")
    });
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {args:?}: {said}");
}

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// Makes a file system in a file, mounts it and calls `check` with the path.
pub fn on(
    mkfs: &str,
    package: &str,
    args: &[&str],
    options: &str,
    check: impl FnOnce(&Path),
) {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fs");
    File::create(&image).unwrap().set_len(512 << 20).unwrap();
    let image = image.to_str().unwrap();
    run(mkfs, package, &[args, &[image]].concat());
    let mount = dir.path().join("mnt");
    std::fs::create_dir(&mount).unwrap();
    run("mount", "mount", &["-o", options, image, mount.to_str().unwrap()]);
    let mounted = Mounted(&mount);
    check(&mount);
    drop(mounted);
}

fn every_case(mount: &Path, expected: Method) {
    for case in cases().into_iter().filter(|case| case.size > 0) {
        let work = mount.join(case.name.replace(' ', "-"));
        std::fs::create_dir(&work).unwrap();
        let base = work.join("base.img");
        let overlay = case.build(&base);
        let file = File::open(&base).unwrap();
        let dest = work.join("out/node3.img");
        for _ in 0..2 {
            let written = raw(&overlay, Some(&file), &dest, true);
            assert_eq!(written.method, expected, "{}", case.name);
            let changed: u64 =
                overlay.changed().unwrap().iter().map(|(_, n)| n).sum();
            if expected == Method::Reflink {
                assert_eq!(written.bytes, changed);
            }
            judge(&case, &work);
        }
        let written = raw(&overlay, Some(&file), &dest, false);
        assert_eq!(written.method, Method::Copied);
        judge(&case, &work);
    }
}

#[test]
#[ignore = "needs root and a loop device"]
fn blocks_are_shared_on_btrfs() {
    on("mkfs.btrfs", "btrfs-progs", &["-q"], "loop", |mount| {
        every_case(mount, Method::Reflink);
    });
}

#[test]
#[ignore = "needs root and a loop device"]
fn blocks_are_shared_on_xfs() {
    let args = ["-q", "-m", "reflink=1"];
    on("mkfs.xfs", "xfsprogs", &args, "loop", |mount| {
        every_case(mount, Method::Reflink);
    });
}

/// Half-way: what `statvfs` promised is gone when it is needed.
#[test]
#[ignore = "needs root and a loop device"]
fn a_disk_that_fills_up_is_an_error_and_leaves_the_old_file() {
    struct Greedy(PathBuf);
    impl ReadAt for Greedy {
        fn size(&self) -> u64 {
            64 << 20
        }
        fn read_at(&self, _: u64, buf: &mut [u8]) -> io::Result<()> {
            let path = self.0.join("somebody-else");
            if !path.exists() {
                // Takes all there is.
                let mut file = File::create(path)?;
                while file.write_all(&[1; 1 << 20]).is_ok() {}
            }
            buf.fill(1);
            Ok(())
        }
    }
    on("mkfs.xfs", "xfsprogs", &["-q"], "loop", |mount| {
        let dest = mount.join("out/node3.img");
        write(Arc::new(Zeros(4096)), &dest).unwrap();
        let error =
            write(Arc::new(Greedy(mount.to_owned())), &dest).unwrap_err();
        assert!(matches!(error.kind, SinkErrorKind::NoSpace { .. }), "{error}");
        assert_eq!(std::fs::read(&dest).unwrap(), [0; 4096]);
        assert_eq!(names(&mount.join("out")), ["node3.img"]);
    });
}
