//! A file as large as k3s, from the builder's disk into an image.

use std::{
    env,
    fs::{self, File},
    path::Path,
    process::Command,
    sync::Arc,
};

use crate::support::{ext4::noise, oracle, sha256};
use piflash::{
    disk::{ImageFile, Overlay, OverlayOptions},
    fs::{
        Fat,
        apply::{Card, Expected, apply, read_back},
        ext4::{EditOptions, Ext4},
        ext4_view::Ext4View,
    },
    plan::{Access, Action, Content, Edit, FileContent, Part},
    progress::Silent,
    sink::raw::{self, RawOptions},
};

const SIZE: usize = 100 << 20;
/// In the program's environment: the directory to work in.
const CHILD: &str = "PIFLASH_TEST_LARGE";
/// More than a build of small files takes, far less than the file.
const MEMORY: u64 = 48 << 20;

/// In a process of its own, for its memory is measured.
#[test]
fn a_large_file_lands_whole_and_is_never_held_whole() {
    if let Some(dir) = env::var_os(CHILD) {
        return inject(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let content = noise(SIZE, 1);
    fs::write(path("k3s"), &content).unwrap();
    fs::write(path("digest"), sha256(&content)).unwrap();
    for (name, mib) in [("root", 256), ("boot", 16)] {
        let image = File::create(path(name)).unwrap();
        image.set_len(mib << 20).unwrap();
    }
    let shown = |name: &str| path(name).display().to_string();
    oracle::run("mke2fs", &["-q", "-t", "ext4", &shown("root")]).unwrap();
    oracle::run("mkfs.vfat", &[&shown("boot")]).unwrap();

    let test = "build::large::a_large_file_lands_whole_and_is_never_held_whole";
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, dir.path())
        .env("TMPDIR", dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let peak: u64 = fs::read_to_string(path("peak")).unwrap().parse().unwrap();
    assert!(peak < MEMORY, "{peak} bytes of memory");

    let built = path("built");
    oracle::e2fsck(&built, 0).unwrap();
    let dump = format!("dump /usr/local/bin/k3s {}\n", shown("dumped"));
    oracle::debugfs(&built, 0, &dump).unwrap();
    oracle::run("cmp", &[&shown("k3s"), &shown("dumped")]).unwrap();
    let stat = "stat /usr/local/bin/k3s\n";
    let stat = oracle::debugfs(&built, 0, stat).unwrap();
    assert!(stat.contains("Mode:  0755"), "{stat}");
}

/// What a build does, with an overlay that holds little.
fn inject(dir: &Path) {
    let options =
        || OverlayOptions { memory_limit: 8 << 20, spill_dir: dir.to_owned() };
    let open = |name: &str| {
        let file = Arc::new(ImageFile::open(&dir.join(name)).unwrap());
        Arc::new(Overlay::with_options(file, options()))
    };
    let (root, boot) = (open("root"), open("boot"));
    let digest = fs::read_to_string(dir.join("digest")).unwrap();
    let file = Arc::new(File::open(dir.join("k3s")).unwrap());
    let content = FileContent::new(file, SIZE as u64, digest.clone());
    let edit = Edit {
        part: Part::Root,
        path: "/usr/local/bin/k3s".to_owned(),
        action: Action::Write {
            content: Content::File(content),
            access: Access { mode: 0o755, uid: 0, gid: 0 },
        },
        why: String::new(),
        secret: false,
    };
    let expected = {
        let mut fat = Fat::open(Arc::clone(&boot), 0).unwrap();
        let options = EditOptions { now: 1, seed: 0 };
        let mut ext4 = Ext4::open(&*root, options).unwrap();
        let mut card = Card { boot: &mut fat, root: &mut ext4 };
        apply(&[edit], &mut card, 1).unwrap()
    };
    assert_eq!(expected.len(), 1);

    let fat = Fat::open(boot, 0).unwrap();
    let view = || Ext4View::open(Arc::<Overlay>::clone(&root)).unwrap();
    assert_eq!(read_back(&expected, &fat, &view()), []);
    let dest = dir.join("built");
    raw::write_image(&root, None, &dest, &RawOptions::default(), &Silent)
        .unwrap();

    // Another content, and another end.
    for (len, digest) in [(SIZE, "0".repeat(64)), (SIZE - 1, digest)] {
        let file = Arc::new(File::open(dir.join("k3s")).unwrap());
        let content = FileContent::new(file, len as u64, digest);
        let mut other = expected.clone();
        for value in other.values_mut() {
            if let Expected::File { content: old, .. } = value {
                *old = Content::File(content.clone());
            }
        }
        let found = read_back(&other, &fat, &view());
        assert_eq!(found.len(), 1, "{len}: {found:?}");
        assert!(found[0].to_string().contains("content differs"), "{found:?}");
    }

    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kib: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    fs::write(dir.join("peak"), (kib << 10).to_string()).unwrap();
}
