//! Loop devices.

use crate::support::oracle::{run, run_with};
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

pub const MIB: u64 = 1 << 20;

/// A file as a disk; let go when dropped.
pub struct Loop {
    pub path: PathBuf,
    pub file: PathBuf,
}

impl Loop {
    /// A disk of this size that is full of what was on it before.
    pub fn used(dir: &Path, name: &str, size: u64) -> Self {
        let file = dir.join(name);
        let mut out = File::create(&file).unwrap();
        let old = vec![0xa5; 1 << 20];
        let mut left = size;
        while left > 0 {
            let part = left.min(MIB);
            out.write_all(&old[..part as usize]).unwrap();
            left -= part;
        }
        Self::of(&file, &[])
    }

    /// An existing file as a disk.
    pub fn of(file: &Path, options: &[&str]) -> Self {
        let file_name = file.to_str().unwrap();
        let args = [options, &["--show", "-f", file_name]].concat();
        // Another may take the free one first.
        let path = (0..20)
            .find_map(|_| {
                let found = run("losetup", &args).ok();
                if found.is_none() {
                    std::thread::sleep(std::time::Duration::from_millis(200));
                }
                found
            })
            .unwrap_or_else(|| run("losetup", &args).unwrap());
        let path = String::from_utf8(path).unwrap();
        Self { path: path.trim().into(), file: file.to_owned() }
    }

    pub fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// `loop3`
    pub fn name(&self) -> &str {
        self.path.file_name().unwrap().to_str().unwrap()
    }

    /// Whether all of it is what was there before.
    pub fn is_untouched(&self) -> bool {
        fs::read(&self.file).unwrap().iter().all(|byte| *byte == 0xa5)
    }

    /// Whether there is nothing to boot from.
    pub fn is_erased(&self) -> bool {
        let content = fs::read(&self.path).unwrap();
        let head = &content[..content.len().min(1 << 20)];
        let table = run("sfdisk", &["-d", self.path()]);
        head.iter().all(|byte| *byte == 0) && table.is_err()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = run("losetup", &["-d", self.path()]);
    }
}

/// A small file system of its own, which is full before a card is.
pub struct Tmpfs(pub PathBuf);

impl Tmpfs {
    pub fn new(dir: &Path, size: u64) -> Self {
        let at = dir.join("small");
        fs::create_dir(&at).unwrap();
        let options = format!("size={size}");
        let to = at.to_str().unwrap();
        run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", to]).unwrap();
        Self(at)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = run("umount", &["-l", self.0.to_str().unwrap()]);
    }
}

/// A disk image of noise with a partition table: large enough to be caught
/// while it is written.
pub fn noise(path: &Path, size: u64) {
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut out = File::create(path).unwrap();
    let mut block = vec![0; 1 << 20];
    for _ in 0..size / MIB {
        for eight in block.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            eight.copy_from_slice(&state.to_le_bytes());
        }
        out.write_all(&block).unwrap();
    }
    drop(out);
    let table = b"label: dos\nlabel-id: 0x12345678\nstart=2048, type=83\n";
    let path = path.to_str().unwrap();
    run_with("sfdisk", &["-q", "--wipe", "never", path], table).unwrap();
}
