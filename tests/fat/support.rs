use piflash::{
    disk::{Memory, ReadAt},
    fs::{Fat, Meta},
};
use std::{
    io::Write,
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

/// 2025-06-18 03:07:08 UTC.
pub const BUILD_TIME: i64 = 1_750_216_028;
pub const META: Meta = Meta { mode: 0o644, uid: 0, gid: 0, mtime: 7 };

pub fn run(program: &str, package: &str, args: &[&str]) -> Output {
    Command::new(program)
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .env("MTOOLS_SKIP_CHECK", "1")
        .output()
        .unwrap_or_else(|e| {
            panic!("{program}: {e}: install the package {package}")
        })
}

pub fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// Makes a volume of `kib` KiB by mkfs.vfat.
pub fn mkfs(bits: u32, per_cluster: u32, kib: u64) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fat");
    let path = path.to_str().unwrap();
    let out = run(
        "mkfs.vfat",
        "dosfstools",
        &[
            "--invariant",
            "-F",
            &bits.to_string(),
            "-s",
            &per_cluster.to_string(),
            "-n",
            "bootfs",
            "-C",
            path,
            &kib.to_string(),
        ],
    );
    assert!(out.status.success(), "{}", text(&out));
    std::fs::read(path).unwrap()
}

pub fn open(bytes: Vec<u8>) -> (Arc<Memory>, Fat<Arc<Memory>>) {
    let memory = Arc::new(Memory::new(bytes));
    (memory.clone(), Fat::open(memory, BUILD_TIME).unwrap())
}

pub fn bytes(device: &dyn ReadAt) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(device.size()).unwrap()];
    device.read_at(0, &mut bytes).unwrap();
    bytes
}

/// A volume in a file, for foreign tools.
pub struct Judged(tempfile::NamedTempFile);

impl Judged {
    /// Writes the volume down; it must be clean for fsck.vfat.
    pub fn clean(bytes: &[u8]) -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let out = run("fsck.vfat", "dosfstools", &["-n", "-v", path(&file)]);
        let said = text(&out);
        assert!(out.status.success(), "{said}");
        for bad in ["rror", "Invalid", "wrong", "differ", "Bad"] {
            let lines: Vec<_> =
                said.lines().filter(|l| l.contains(bad)).collect();
            assert!(lines.is_empty(), "{said}");
        }
        Self(file)
    }

    /// Returns what mtype gives of a file.
    pub fn read(&self, name: &str) -> Vec<u8> {
        let name = format!("::{name}");
        let out = run("mtype", "mtools", &["-i", path(&self.0), &name]);
        assert!(out.status.success(), "{name}: {}", text(&out));
        out.stdout
    }

    /// Returns all paths below the root, as mdir lists them.
    pub fn list(&self) -> Vec<String> {
        let out =
            run("mdir", "mtools", &["-i", path(&self.0), "-/", "-b", "-a"]);
        let said = text(&out);
        assert!(out.status.success() || said.contains("not found"), "{said}");
        let mut all: Vec<String> = said
            .lines()
            .filter_map(|l| l.strip_prefix("::"))
            .map(|l| l.trim_end_matches('/').to_owned())
            .filter(|l| !l.is_empty())
            .collect();
        all.sort();
        all
    }

    pub fn mdir(&self, name: &str) -> String {
        let name = format!("::{name}");
        text(&run("mdir", "mtools", &["-i", path(&self.0), &name]))
    }
}

fn path(file: &tempfile::NamedTempFile) -> &str {
    let path: &Path = file.path();
    path.to_str().unwrap()
}

/// Copies a file into a volume by mcopy.
pub fn mcopy(volume: &[u8], name: &str, content: &[u8]) -> Vec<u8> {
    let mut image = tempfile::NamedTempFile::new().unwrap();
    image.write_all(volume).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    let target = format!("::{name}");
    let out =
        run("mcopy", "mtools", &["-i", path(&image), path(&file), &target]);
    assert!(out.status.success(), "{}", text(&out));
    std::fs::read(image.path()).unwrap()
}
