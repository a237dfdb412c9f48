//! What others read in an ext4 image: debugfs, ext4-view; and our reader.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use piflash::fs::{FileKind, Meta, Reader};
use tempfile::TempDir;

use super::ext4::{debugfs, e2fsck_clean};

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
