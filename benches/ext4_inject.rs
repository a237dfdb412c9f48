//! The edits of a typical k3s node in a large image: our editor, the crate
//! rust-fs-ext4, and debugfs.
//!
//! `cargo bench --bench ext4_inject`; needs e2fsprogs and 4 GiB of temporary
//! space. Figures: time without opening the judges, 4 KiB blocks that differ
//! afterwards, and 24 MiB windows that hold any of them.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::as_conversions,
    clippy::arithmetic_side_effects
)]

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fs_ext4::block_io::BlockDevice;
use piflash::disk::{ReadAt, WriteAt};
use piflash::fs::ext4::{EditOptions, Ext4};
use piflash::fs::{Editor, Meta};

const NOW: i64 = 1_790_000_000;
const BLOCK: u64 = 4096;
const WINDOW: u64 = 24 << 20;
const ROUNDS: usize = 5;

/// A file and what was written over it, block by block.
struct Overlay {
    base: File,
    size: u64,
    blocks: Mutex<HashMap<u64, Box<[u8]>>>,
}

impl Overlay {
    fn new(path: &Path) -> Self {
        let base = File::open(path).unwrap();
        let size = base.metadata().unwrap().len();
        Self { base, size, blocks: Mutex::default() }
    }

    /// Returns the blocks that differ from the base.
    fn changed(&self) -> BTreeSet<u64> {
        let blocks = self.blocks.lock().unwrap();
        let mut before = [0; BLOCK as usize];
        let mut changed = BTreeSet::new();
        for (block, bytes) in blocks.iter() {
            self.base.read_exact_at(&mut before, block * BLOCK).unwrap();
            if before[..] != bytes[..] {
                changed.insert(*block);
            }
        }
        changed
    }

    fn save(&self, path: &Path) {
        let file = File::options().write(true).open(path).unwrap();
        for (block, bytes) in self.blocks.lock().unwrap().iter() {
            file.write_all_at(bytes, block * BLOCK).unwrap();
        }
    }
}

impl ReadAt for Overlay {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.base.read_exact_at(buf, offset)?;
        let blocks = self.blocks.lock().unwrap();
        let end = offset + buf.len() as u64;
        for block in offset / BLOCK..end.div_ceil(BLOCK) {
            let Some(bytes) = blocks.get(&block) else { continue };
            let from = (block * BLOCK).max(offset);
            let to = ((block + 1) * BLOCK).min(end);
            buf[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(
                    &bytes[(from - block * BLOCK) as usize
                        ..(to - block * BLOCK) as usize],
                );
        }
        Ok(())
    }
}

impl WriteAt for Overlay {
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        let mut blocks = self.blocks.lock().unwrap();
        let end = offset + buf.len() as u64;
        for block in offset / BLOCK..end.div_ceil(BLOCK) {
            let bytes = blocks.entry(block).or_insert_with(|| {
                let mut bytes = vec![0; BLOCK as usize].into_boxed_slice();
                let whole =
                    offset <= block * BLOCK && (block + 1) * BLOCK <= end;
                if !whole {
                    self.base.read_exact_at(&mut bytes, block * BLOCK).unwrap();
                }
                bytes
            });
            let from = (block * BLOCK).max(offset);
            let to = ((block + 1) * BLOCK).min(end);
            bytes[(from - block * BLOCK) as usize
                ..(to - block * BLOCK) as usize]
                .copy_from_slice(
                    &buf[(from - offset) as usize..(to - offset) as usize],
                );
        }
        Ok(())
    }
}

/// The same for rust-fs-ext4, whose flush is not to cost anything here.
struct Device(Arc<Overlay>);

impl BlockDevice for Device {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> fs_ext4::Result<()> {
        self.0.read_at(offset, buf).map_err(Into::into)
    }

    fn size_bytes(&self) -> u64 {
        self.0.size
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> fs_ext4::Result<()> {
        self.0.write_at(offset, buf).map_err(Into::into)
    }

    fn flush(&self) -> fs_ext4::Result<()> {
        Ok(())
    }

    fn is_writable(&self) -> bool {
        true
    }
}

enum Edit {
    Mkdir(String),
    Write { path: String, content: Vec<u8>, mode: u16, replace: bool },
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        bytes.extend((state >> 11).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Sixty small files where a k3s server has them, and one binary.
fn node_edits() -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut dir = |path: &str| edits.push(Edit::Mkdir(path.to_owned()));
    for path in [
        "/etc/rancher",
        "/etc/rancher/k3s",
        "/etc/rancher/node",
        "/var/lib/rancher",
        "/var/lib/rancher/k3s",
        "/var/lib/rancher/k3s/server",
        "/var/lib/rancher/k3s/server/tls",
        "/var/lib/rancher/k3s/server/tls/etcd",
        "/var/lib/rancher/k3s/server/manifests",
        "/home/pi/.ssh",
        "/usr/local/lib/piflash",
    ] {
        dir(path);
    }
    let mut seed = 0;
    let mut file = |path: String, len: usize, mode: u16, replace: bool| {
        seed += 1;
        let content = noise(len, seed);
        edits.push(Edit::Write { path, content, mode, replace });
    };
    for name in ["hostname", "hosts", "passwd", "shadow", "group", "gshadow"] {
        file(format!("/etc/{name}"), 900, 0o644, true);
    }
    for kind in ["rsa", "ecdsa", "ed25519"] {
        file(format!("/etc/ssh/ssh_host_{kind}_key"), 1700, 0o600, false);
        file(format!("/etc/ssh/ssh_host_{kind}_key.pub"), 400, 0o644, false);
    }
    let eth0 = "/etc/NetworkManager/system-connections/eth0.nmconnection";
    file(eth0.into(), 300, 0o600, false);
    for name in ["k3s", "piflash-firstboot", "piflash-clock"] {
        let path = format!("/etc/systemd/system/{name}.service");
        file(path, 800, 0o644, false);
    }
    file("/etc/systemd/system/k3s.service.env".into(), 100, 0o600, false);
    file("/etc/rancher/k3s/config.yaml".into(), 600, 0o600, false);
    file("/etc/rancher/k3s/registries.yaml".into(), 300, 0o600, false);
    file("/etc/rancher/node/password".into(), 33, 0o600, false);
    file("/var/lib/rancher/k3s/server/token".into(), 90, 0o600, false);
    for name in ["server-ca", "client-ca", "request-header-ca", "service"] {
        for (end, mode) in [("crt", 0o644), ("key", 0o600)] {
            let path = format!("/var/lib/rancher/k3s/server/tls/{name}.{end}");
            file(path, 1200, mode, false);
        }
    }
    for name in ["peer-ca", "server-ca"] {
        for (end, mode) in [("crt", 0o644), ("key", 0o600)] {
            let path =
                format!("/var/lib/rancher/k3s/server/tls/etcd/{name}.{end}");
            file(path, 1200, mode, false);
        }
    }
    for number in 0..6 {
        let path =
            format!("/var/lib/rancher/k3s/server/manifests/hook-{number}.yaml");
        file(path, 9000, 0o600, false);
    }
    for number in 0..12 {
        let path = format!("/usr/local/lib/piflash/step-{number:02}.sh");
        file(path, 2500, 0o755, false);
    }
    file("/home/pi/.ssh/authorized_keys".into(), 600, 0o600, false);
    file("/var/lib/systemd/timesync/clock".into(), 0, 0o644, false);
    for number in 0..7 {
        let path = format!("/var/lib/dpkg/info/piflash-{number}.list");
        file(path, 700, 0o644, false);
    }
    file("/usr/local/bin/k3s".into(), 70 << 20, 0o755, false);
    edits
}

/// 26,000 files, 5,000 of them in one directory, 1.5 GiB.
fn make_image(dir: &Path) -> std::path::PathBuf {
    let (tree, image) = (dir.join("tree"), dir.join("base.img"));
    for path in [
        "etc/ssh",
        "etc/systemd/system",
        "home/pi",
        "usr/local/bin",
        "usr/local/lib",
        "etc/NetworkManager/system-connections",
        "var/lib/dpkg/info",
        "var/lib/systemd/timesync",
    ] {
        fs::create_dir_all(tree.join(path)).unwrap();
    }
    for name in ["hostname", "hosts", "passwd", "shadow", "group", "gshadow"] {
        fs::write(tree.join("etc").join(name), noise(700, 1)).unwrap();
    }
    for number in 0..5000 {
        let path = format!("var/lib/dpkg/info/package-{number}.list");
        fs::write(tree.join(path), noise(number % 3000, 2)).unwrap();
    }
    for number in 0..21_000usize {
        let sub = tree.join(format!("usr/share/d{:03}", number % 700));
        fs::create_dir_all(&sub).unwrap();
        let len = number.wrapping_mul(7919) % 96_000;
        fs::write(sub.join(format!("f{number}")), noise(len, number as u64))
            .unwrap();
    }
    File::create(&image).unwrap().set_len(1536 << 20).unwrap();
    let status = Command::new("mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-b4096", "-O^64bit,^huge_file"])
        .args(["-U6b1d3a3e-9a0c-4c8e-8f6b-2b9d6d0f3c11", "-d"])
        .args([&tree, &image])
        .status()
        .expect("mke2fs (Debian package e2fsprogs)");
    assert!(status.success());
    // Exits with 1: "modified".
    let fsck = Command::new("e2fsck").arg("-fyD").arg(&image).output();
    assert!(fsck.unwrap().status.code().unwrap() <= 1);
    fs::remove_dir_all(&tree).unwrap();
    image
}

fn meta(mode: u16) -> Meta {
    Meta { mode, uid: 0, gid: 0, mtime: NOW }
}

fn ours(overlay: &Overlay, edits: &[Edit]) {
    let options = EditOptions { now: NOW, seed: 1 };
    let mut fs = Ext4::open(overlay, options).unwrap();
    for edit in edits {
        match edit {
            Edit::Mkdir(path) => fs.mkdir(path, meta(0o755)).unwrap(),
            Edit::Write { path, content, mode, .. } => {
                fs.write(path, &content, meta(*mode)).unwrap();
            }
        }
    }
    fs.commit().unwrap();
}

fn crate_rust_fs_ext4(overlay: &Arc<Overlay>, edits: &[Edit]) {
    let device = Arc::new(Device(Arc::clone(overlay)));
    let fs = fs_ext4::Filesystem::mount(device).unwrap();
    for edit in edits {
        match edit {
            Edit::Mkdir(path) => {
                fs.apply_mkdir(path, 0o755).unwrap();
            }
            Edit::Write { path, content, mode, replace } => {
                let ino = if *replace {
                    let ino = fs.lookup_path_bytes(path.as_bytes()).unwrap();
                    fs.apply_truncate_ino(ino, 0).unwrap();
                    ino
                } else {
                    fs.apply_create(path, *mode).unwrap()
                };
                for (number, part) in content.chunks(1 << 20).enumerate() {
                    fs.apply_pwrite_ino(ino, (number as u64) << 20, part)
                        .unwrap();
                }
                fs.apply_chown_ino(ino, 0, 0).unwrap();
                fs.apply_chmod_ino(ino, *mode).unwrap();
                fs.apply_utimens_ino(ino, NOW, 0, NOW, 0).unwrap();
            }
        }
    }
    fs.finish().unwrap();
}

fn debugfs(image: &Path, dir: &Path, edits: &[Edit]) -> Duration {
    let mut script = String::new();
    for (number, edit) in edits.iter().enumerate() {
        match edit {
            Edit::Mkdir(path) => script += &format!("mkdir {path}\n"),
            Edit::Write { path, content, mode, replace } => {
                let source = dir.join(format!("source-{number}"));
                fs::write(&source, content).unwrap();
                if *replace {
                    script += &format!("rm {path}\n");
                }
                let source = source.display();
                script += &format!("write {source} {path}\n");
                script += &format!("sif {path} mode 0{:o}\n", 0o100_000 | mode);
                script += &format!("sif {path} mtime @{NOW}\n");
            }
        }
    }
    let commands = dir.join("commands");
    fs::write(&commands, script).unwrap();
    let start = Instant::now();
    let output = Command::new("debugfs")
        .arg("-w")
        .arg("-f")
        .args([&commands, image])
        .output()
        .expect("debugfs (Debian package e2fsprogs)");
    let took = start.elapsed();
    assert!(output.status.success());
    took
}

/// Blocks that differ between two files.
fn compare(before: &Path, after: &Path) -> BTreeSet<u64> {
    let (before, after) =
        (File::open(before).unwrap(), File::open(after).unwrap());
    let size = before.metadata().unwrap().len();
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut changed = BTreeSet::new();
    for at in (0..size).step_by(1 << 20) {
        before.read_exact_at(&mut a, at).unwrap();
        after.read_exact_at(&mut b, at).unwrap();
        let pairs = a.chunks(4096).zip(b.chunks(4096)).enumerate();
        let differing = pairs.filter(|(_, (a, b))| a != b);
        changed.extend(differing.map(|(n, _)| at / BLOCK + n as u64));
    }
    changed
}

fn report(name: &str, took: Duration, changed: &BTreeSet<u64>, data: u64) {
    let windows: BTreeSet<_> =
        changed.iter().map(|block| block * BLOCK / WINDOW).collect();
    println!(
        "{name:<14} {:>8.1} ms {:>7} blocks ({:>6} beyond the data) \
         {:>3} windows of 24 MiB",
        took.as_secs_f64() * 1e3,
        changed.len(),
        changed.len() as i64 - data as i64,
        windows.len(),
    );
}

fn assert_clean(image: &Path) {
    let output = Command::new("e2fsck").arg("-fn").arg(image).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let image = make_image(dir.path());
    let edits = node_edits();
    let contents = edits.iter().filter_map(|edit| match edit {
        Edit::Write { content, .. } => Some(content.len() as u64),
        Edit::Mkdir(_) => None,
    });
    let data = contents.clone().map(|len| len.div_ceil(BLOCK)).sum::<u64>();
    println!(
        "{} files, {data} blocks of data; e2fsck judges the results",
        contents.count()
    );

    let mut best = Duration::MAX;
    let mut overlay = Overlay::new(&image);
    for _ in 0..ROUNDS {
        overlay = Overlay::new(&image);
        let start = Instant::now();
        ours(&overlay, &edits);
        best = best.min(start.elapsed());
    }
    let our_blocks = overlay.changed();
    let result = dir.path().join("result.img");
    fs::copy(&image, &result).unwrap();
    overlay.save(&result);
    assert_clean(&result);
    report("piflash", best, &our_blocks, data);

    let mut other = Duration::MAX;
    let mut overlay = Arc::new(Overlay::new(&image));
    for _ in 0..ROUNDS {
        overlay = Arc::new(Overlay::new(&image));
        let start = Instant::now();
        crate_rust_fs_ext4(&overlay, &edits);
        other = other.min(start.elapsed());
    }
    let other_blocks = overlay.changed();
    fs::copy(&image, &result).unwrap();
    overlay.save(&result);
    assert_clean(&result);
    report("rust-fs-ext4", other, &other_blocks, data);

    fs::copy(&image, &result).unwrap();
    let third = debugfs(&result, dir.path(), &edits);
    assert_clean(&result);
    let third_blocks = compare(&image, &result);
    report("debugfs", third, &third_blocks, data);

    for (name, took, blocks) in [
        ("rust-fs-ext4", other, other_blocks.len()),
        ("debugfs", third, third_blocks.len()),
    ] {
        println!(
            "{name} / piflash: {:.1} of the time, {:.2} of the blocks",
            took.as_secs_f64() / best.as_secs_f64(),
            blocks as f64 / our_blocks.len() as f64
        );
    }
}
