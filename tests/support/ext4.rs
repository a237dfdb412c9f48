//! ext4 images made by mke2fs, and the judges of what became of them:
//! e2fsck, debugfs, ext4-view.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use piflash::disk::{ReadAt, WriteAt};
use piflash::fs::ext4::{EditOptions, Ext4};
use piflash::fs::{FileKind, Meta, Reader};
use tempfile::TempDir;

/// The clock of all edits here.
pub const NOW: i64 = 1_790_000_000;
pub const OPTIONS: EditOptions = EditOptions { now: NOW, seed: 7 };

/// A set of mke2fs options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FeatureSet {
    pub name: &'static str,
    pub options: &'static [&'static str],
}

/// The matrix: what stock images have, and what is easily got wrong. Small
/// groups (-g), so that small images have several.
pub const FEATURE_SETS: [FeatureSet; 11] = [
    FeatureSet {
        name: "buster",
        options: &["-b4096", "-O^huge_file,^64bit,^metadata_csum,^orphan_file"],
    },
    FeatureSet {
        name: "bookworm",
        options: &["-b4096", "-g2048", "-O^64bit,^huge_file,^orphan_file"],
    },
    FeatureSet {
        name: "trixie",
        options: &["-b4096", "-g2048", "-O^64bit,^huge_file,orphan_file"],
    },
    FeatureSet {
        name: "ubuntu-24.04",
        options: &["-b4096", "-g1024", "-O64bit,metadata_csum,^orphan_file"],
    },
    FeatureSet {
        name: "ubuntu-25.10",
        options: &[
            "-b4096",
            "-g2048",
            "-O64bit,metadata_csum,metadata_csum_seed,orphan_file",
        ],
    },
    FeatureSet { name: "1k", options: &["-b1024", "-O64bit,metadata_csum"] },
    FeatureSet {
        name: "uninit_bg",
        options: &["-b4096", "-g2048", "-O^metadata_csum,uninit_bg,^64bit"],
    },
    FeatureSet {
        name: "2k",
        options: &["-b2048", "-g4096", "-O64bit,metadata_csum"],
    },
    FeatureSet {
        name: "128-byte-inodes",
        options: &["-b1024", "-I128", "-O^64bit,metadata_csum"],
    },
    FeatureSet {
        name: "uninit_bg-64bit",
        options: &["-b1024", "-O^metadata_csum,uninit_bg,64bit,^flex_bg"],
    },
    FeatureSet {
        name: "old-habits",
        options: &[
            "-b2048",
            "-g4096",
            "-O^dir_index,^filetype,^sparse_super,^resize_inode,^flex_bg",
        ],
    },
];

/// An image in memory.
pub struct Disk(Mutex<Vec<u8>>);

impl Disk {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Mutex::new(bytes))
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }

    pub fn open(&self) -> Ext4<'_> {
        Ext4::open(self, OPTIONS).unwrap()
    }
}

impl ReadAt for Disk {
    fn size(&self) -> u64 {
        self.0.lock().unwrap().len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let bytes = self.0.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let part = bytes
            .get(start..start.saturating_add(buf.len()))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(part);
        Ok(())
    }
}

impl WriteAt for Disk {
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        let mut bytes = self.0.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        bytes
            .get_mut(start..start.saturating_add(buf.len()))
            .ok_or(io::ErrorKind::UnexpectedEof)?
            .copy_from_slice(buf);
        Ok(())
    }
}

/// Content of a file to be written.
pub struct Bytes(pub Vec<u8>);

impl ReadAt for Bytes {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        buf.copy_from_slice(&self.0[start..start + buf.len()]);
        Ok(())
    }
}

pub fn meta(mode: u16, uid: u32, gid: u32, mtime: i64) -> Meta {
    Meta { mode, uid, gid, mtime }
}

/// Some bytes that do not repeat from block to block.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
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

/// Finds a tool, also where only root looks.
fn find_tool(tool: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{path}:/usr/sbin:/sbin");
    std::env::split_paths(&path)
        .map(|dir| dir.join(tool))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!("{tool} is missing (Debian package e2fsprogs)")
        })
}

/// Runs a tool of e2fsprogs.
pub fn run(tool: &str, args: &[&str]) -> Output {
    Command::new(find_tool(tool))
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .env("E2FSPROGS_FAKE_TIME", "1750000000")
        .env("MKE2FS_CONFIG", "/dev/null")
        .output()
        .unwrap()
}

pub fn run_ok(tool: &str, args: &[&str]) -> String {
    let output = run(tool, args);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{tool} {args:?}: {}\n{text}\n{errors}",
        output.status
    );
    text
}

/// Makes an image of `mib` MiB from the files below `tree`. What mke2fs does
/// not write is not zero, as on a used card.
pub fn mke2fs(
    image: &Path,
    mib: u64,
    set: FeatureSet,
    more: &[&str],
    tree: Option<&Path>,
) {
    fs::write(image, vec![0xA5; usize::try_from(mib).unwrap() << 20]).unwrap();
    let mut args = vec!["-q", "-F", "-t", "ext4"];
    // The defaults of Debian's mke2fs.conf.
    let base = "-Ohas_journal,extent,huge_file,flex_bg,metadata_csum,64bit,\
                dir_nlink,extra_isize,sparse_super,large_file,filetype,\
                resize_inode,dir_index,ext_attr";
    let options: Vec<_> =
        set.options.iter().filter(|o| !o.starts_with("-O")).collect();
    let features: Vec<_> = set
        .options
        .iter()
        .filter_map(|option| option.strip_prefix("-O"))
        .collect();
    let features = format!("{base},{}", features.join(","));
    args.extend(options);
    if !set.options.iter().any(|option| option.starts_with("-I")) {
        args.push("-I256");
    }
    args.extend([
        features.as_str(),
        "-U6b1d3a3e-9a0c-4c8e-8f6b-2b9d6d0f3c11",
        "-Ehash_seed=5f0c3c52-7ad1-4e2b-9b3e-0d7c1a2b3c4d,nodiscard,\
         lazy_itable_init=1",
        "-m0",
    ]);
    args.extend(more);
    let tree = tree.map(|tree| tree.to_str().unwrap());
    if let Some(tree) = tree {
        args.extend(["-d", tree]);
    }
    args.push(image.to_str().unwrap());
    run_ok("mke2fs", &args);
}

/// Runs debugfs commands on an image.
pub fn debugfs(image: &Path, write: bool, commands: &[String]) -> String {
    let script = image.with_extension("debugfs");
    fs::write(&script, commands.join("\n") + "\n").unwrap();
    let mut args = if write { vec!["-w"] } else { vec![] };
    args.extend(["-f", script.to_str().unwrap(), image.to_str().unwrap()]);
    run_ok("debugfs", &args)
}

/// Judges an image: everything must be in order.
pub fn e2fsck_clean(image: &Path) {
    run_ok("e2fsck", &["-fn", image.to_str().unwrap()]);
}

/// Indexes directories, as far as e2fsck finds it worth while.
pub fn e2fsck_index(image: &Path) {
    let output = run("e2fsck", &["-fyD", image.to_str().unwrap()]);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
}

/// What is at a path, as a judge tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    pub meta: Meta,
    /// Names and values as debugfs prints them.
    pub xattrs: Vec<String>,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Kind {
    File(Vec<u8>),
    Directory,
    Symlink(String),
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(bytes) => write!(f, "File({} bytes)", bytes.len()),
            Self::Directory => f.write_str("Directory"),
            Self::Symlink(target) => write!(f, "Symlink({target})"),
        }
    }
}

pub type Tree = BTreeMap<String, Entry>;

/// What debugfs says: entries, inode numbers, and all it prints of each.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub tree: Tree,
    pub inodes: BTreeMap<String, u32>,
    pub stats: BTreeMap<String, String>,
}

/// Lists every path, level by level. Special characters are not expected.
fn list(image: &Path) -> Vec<String> {
    let mut paths = vec!["/".to_owned()];
    let mut level = paths.clone();
    while !level.is_empty() {
        let commands: Vec<_> =
            level.iter().map(|dir| format!("ls -p \"{dir}\"")).collect();
        let out = debugfs(image, false, &commands);
        let mut below = Vec::new();
        let parts = out.split("debugfs: ls -p ").skip(1);
        for (dir, part) in level.iter().zip(parts) {
            // /inode/mode/owner/group/name/size/
            for line in part.lines().filter(|line| line.starts_with('/')) {
                let fields: Vec<_> = line.split('/').collect();
                let (mode, name) = (fields[2], fields[5]);
                let unused = fields[1] == "0";
                if unused || name == "." || name == ".." {
                    continue;
                }
                let path = format!("{}/{name}", dir.trim_end_matches('/'));
                if mode.starts_with("04") {
                    below.push(path.clone());
                }
                paths.push(path);
            }
        }
        level = below;
    }
    paths.sort();
    paths
}

/// Reads everything with debugfs.
pub fn debugfs_view(image: &Path) -> View {
    let dump = TempDir::new_in(image.parent().unwrap()).unwrap();
    let paths = list(image);
    let commands: Vec<_> =
        paths.iter().map(|path| format!("stat \"{path}\"")).collect();
    let out = debugfs(image, false, &commands);
    let mut stats = out.split("debugfs: stat ").skip(1);
    let mut view = View::default();
    let mut dumps = Vec::new();
    for path in &paths {
        let text = stats.next().expect("one answer for each path");
        let (line, text) = text.split_once('\n').unwrap();
        assert_eq!(line, format!("\"{path}\""));
        view.inodes.insert(path.clone(), number(text, "Inode:"));
        view.stats.insert(path.clone(), text.trim_end().to_owned());
        let (kind, size) = (word(text, "Type:"), number(text, "Size:"));
        let fast = text.contains("Fast link dest: ");
        if kind != "directory" && size > 0 && !fast {
            let to = dump.path().join(view.inodes[path].to_string());
            dumps.push(format!("dump \"{path}\" {}", to.display()));
        }
    }
    debugfs(image, false, &dumps);
    for (path, text) in &view.stats {
        let local = dump.path().join(view.inodes[path].to_string());
        view.tree.insert(path.clone(), parse_stat(text, &local));
    }
    view
}

/// Returns the number after a label.
fn number(text: &str, label: &str) -> u32 {
    // Owners beyond 2^31 come out negative.
    let number: i64 = word(text, label).parse().unwrap();
    number as u32
}

fn word<'t>(text: &'t str, label: &str) -> &'t str {
    let (_, rest) = text
        .split_once(label)
        .unwrap_or_else(|| panic!("no {label} in\n{text}"));
    rest.split_whitespace().next().unwrap_or("")
}

fn parse_stat(text: &str, local: &Path) -> Entry {
    let time = text
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("mtime: 0x"))
        .expect("a modification time");
    let time = time.split_whitespace().next().unwrap();
    let (low, extra) = time.split_once(':').unwrap_or((time, "0"));
    let low = u32::from_str_radix(low, 16).unwrap();
    let extra = u32::from_str_radix(extra, 16).unwrap();
    let mtime = i64::from(low as i32) + (i64::from(extra & 3) << 32);
    let mode = u16::from_str_radix(word(text, "Mode:"), 8).unwrap();
    let meta = Meta {
        mode: mode & 0o7777,
        uid: number(text, "User:"),
        gid: number(text, "Group:"),
        mtime,
    };
    let kind = match word(text, "Type:") {
        "directory" => Kind::Directory,
        "symlink" => {
            let fast = text.split_once("Fast link dest: \"");
            Kind::Symlink(match fast {
                Some((_, rest)) => rest.split('"').next().unwrap().to_owned(),
                None => fs::read_to_string(local).unwrap(),
            })
        }
        "regular" if number(text, "Size:") == 0 => Kind::File(Vec::new()),
        "regular" => Kind::File(fs::read(local).unwrap()),
        other => panic!("{other} in\n{text}"),
    };
    let xattrs = match text.split_once("Extended attributes:\n") {
        Some((_, rest)) => rest
            .lines()
            .take_while(|line| line.starts_with("  "))
            .map(|line| line.trim().to_owned())
            .collect(),
        None => Vec::new(),
    };
    Entry { kind, meta, xattrs }
}

/// Compares two trees and shows the first few differences.
pub fn assert_same(judge: &str, found: &Tree, expected: &Tree) {
    let mut differences = Vec::new();
    for (path, entry) in expected {
        match found.get(path) {
            Some(other) if other == entry => {}
            other => differences
                .push(format!("{path}: {other:?}, expected {entry:?}")),
        }
    }
    for path in found.keys().filter(|path| !expected.contains_key(*path)) {
        differences.push(format!("{path}: not expected"));
    }
    assert!(
        differences.is_empty(),
        "{judge} differs:\n{}",
        differences[..differences.len().min(8)].join("\n")
    );
}

/// Reads everything with ext4-view, but what it is known to misread: files
/// with unwritten extents come out with what is in the blocks (debugfs and
/// the kernel read zeros). It has no attributes.
pub fn ext4_view(bytes: Vec<u8>) -> Tree {
    let fs = ext4_view::Ext4::load(Box::new(bytes)).unwrap();
    let mut tree = Tree::new();
    let mut pending = vec!["/".to_owned()];
    while let Some(path) = pending.pop() {
        let found = fs.symlink_metadata(path.as_str()).unwrap();
        let kind = if found.is_dir() {
            for entry in fs.read_dir(path.as_str()).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name();
                let name = name.as_str().unwrap();
                if name != "." && name != ".." {
                    let base = path.trim_end_matches('/');
                    pending.push(format!("{base}/{name}"));
                }
            }
            Kind::Directory
        } else if found.is_symlink() {
            let target = fs.read_link(path.as_str()).unwrap();
            Kind::Symlink(target.to_str().unwrap().to_owned())
        } else {
            Kind::File(fs.read(path.as_str()).unwrap())
        };
        let meta = Meta {
            mode: found.mode() & 0o7777,
            uid: found.uid(),
            gid: found.gid(),
            mtime: found.modified().seconds(),
        };
        tree.insert(path, Entry { kind, meta, xattrs: Vec::new() });
    }
    tree
}

/// Reads everything with our own reader.
pub fn own_view(fs: &dyn Reader) -> Tree {
    let mut tree = Tree::new();
    let mut pending = vec!["/".to_owned()];
    while let Some(path) = pending.pop() {
        let stat = fs.stat(&path).unwrap().unwrap();
        let kind = match stat.kind {
            FileKind::Directory => {
                for entry in fs.read_dir(&path).unwrap() {
                    let base = path.trim_end_matches('/');
                    pending.push(format!("{base}/{}", entry.name));
                }
                Kind::Directory
            }
            FileKind::Symlink => Kind::Symlink(fs.read_link(&path).unwrap()),
            FileKind::File => {
                let content = fs.read(&path).unwrap();
                assert_eq!(stat.size, content.len() as u64, "{path}");
                Kind::File(content)
            }
            FileKind::Special => panic!("{path}: no special files here"),
        };
        tree.insert(path, Entry { kind, meta: stat.meta, xattrs: Vec::new() });
    }
    tree
}

/// Returns the tree without attributes, for judges that do not tell them.
pub fn without_xattrs(tree: &Tree) -> Tree {
    let mut tree = tree.clone();
    for entry in tree.values_mut() {
        entry.xattrs.clear();
    }
    tree
}

/// Writes an image to a file and lets all judges read it.
pub fn judge(bytes: &[u8], dir: &Path) -> View {
    let image = dir.join("judged.img");
    fs::write(&image, bytes).unwrap();
    e2fsck_clean(&image);
    debugfs_view(&image)
}
