//! Both partitions of an image as text, one entry a line, read by programs
//! and crates that are not ours:
//!
//! ```text
//! boot/cmdline.txt - - 110 3b1f...
//! root/etc/shadow 0640 0:42 811 9ac4...
//! root/bin 0777 0:0 7 - -> usr/bin
//! ```

use super::{
    ext4_view::Ext4View,
    files_under,
    oracle::{self, Complaint},
    sha256,
};
use ext4_view::FileType;
use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt, path::Path};

/// The lines of the FAT and the ext4 at the given byte offsets.
pub fn lines(
    image: &Path,
    boot: u64,
    root: u64,
) -> Result<Vec<String>, Complaint> {
    let mut lines = fat(image, boot)?;
    lines.extend(ext4(image, root)?);
    Ok(lines)
}

/// The lines of the FAT at `offset`, as mtools read it.
pub fn fat(image: &Path, offset: u64) -> Result<Vec<String>, Complaint> {
    let mut lines = Vec::new();
    let copy = tempfile::tempdir().unwrap();
    let names = oracle::mdir(image, offset)?;
    if !names.is_empty() {
        oracle::mcopy_all(image, offset, copy.path())?;
    }
    for name in names {
        let line = match name.strip_suffix('/') {
            Some(directory) => format!("boot/{directory} - - - -"),
            None => {
                let content = fs::read(copy.path().join(&name)).unwrap();
                let sum = sha256(&content);
                format!("boot/{name} - - {} {sum}", content.len())
            }
        };
        lines.push(line);
    }
    lines.sort();
    Ok(lines)
}

/// The lines of the ext4 at `offset`, as ext4-view and debugfs read it: they
/// must agree on every mode, owner, size, content and target.
pub fn ext4(image: &Path, offset: u64) -> Result<Vec<String>, Complaint> {
    let viewed = by_ext4_view(image, offset);
    let debugged = by_debugfs(image, offset, &viewed)?;
    let differences = diff(&viewed, &debugged);
    if !differences.is_empty() {
        return Err(Complaint(format!(
            "ext4-view (-) and debugfs (+) disagree:\n{}",
            differences.join("\n")
        )));
    }
    Ok(viewed)
}

fn by_ext4_view(image: &Path, offset: u64) -> Vec<String> {
    let view = Ext4View::open(image, offset);
    let mut lines = Vec::new();
    let mut pending = vec!["/".to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = view.metadata(&path).unwrap();
        let owner = format!(
            "{:04o} {}:{}",
            metadata.mode() & 0o7777,
            metadata.uid(),
            metadata.gid()
        );
        let size = metadata.len();
        let rest = match metadata.file_type() {
            FileType::Directory => {
                for entry in view.0.read_dir(path.as_str()).unwrap() {
                    let name = entry.unwrap().file_name().display().to_string();
                    if name != "." && name != ".." {
                        let parent = path.trim_end_matches('/');
                        pending.push(format!("{parent}/{name}"));
                    }
                }
                "- -".to_owned()
            }
            FileType::Symlink => {
                let target = view.0.read_link(path.as_str()).unwrap();
                format!("{size} - -> {}", target.display())
            }
            FileType::Regular => {
                let content = view.0.read(path.as_str()).unwrap();
                assert_eq!(content.len() as u64, size, "{path}");
                format!("{size} {}", sha256(&content))
            }
            other => format!("- {other:?}"),
        };
        lines.push(format!("root{path} {owner} {rest}"));
    }
    lines.sort();
    lines
}

/// Lists the same directories again, and reads every file, with debugfs.
fn by_debugfs(
    image: &Path,
    offset: u64,
    viewed: &[String],
) -> Result<Vec<String>, Complaint> {
    let copy = tempfile::tempdir().unwrap();
    let directories: Vec<&str> = viewed
        .iter()
        .filter(|line| line.ends_with(" - -"))
        .map(|line| &line["root".len()..line.find(' ').unwrap()])
        .collect();
    let mut commands = String::new();
    for directory in &directories {
        commands += &format!("ls -p {directory}\n");
    }
    commands += &format!("rdump / {}\n", copy.path().display());
    let output = oracle::debugfs(image, offset, &commands)?;
    let dumped = dumped(copy.path());

    let mut lines = Vec::new();
    let mut directory = "";
    for line in output.lines() {
        if let Some(command) = line.strip_prefix("debugfs: ") {
            directory = command.trim().strip_prefix("ls -p ").unwrap_or("");
            continue;
        }
        // /inode/mode/uid/gid/name/size/
        let fields: Vec<&str> = line.split('/').collect();
        let [_, _, mode, uid, gid, name, size, _] = fields[..] else {
            continue;
        };
        // An empty name is an unused entry.
        if name.is_empty() || name == ".." || (name == "." && directory != "/")
        {
            continue;
        }
        let path = match name {
            "." => "/".to_owned(),
            name => format!("{}/{name}", directory.trim_end_matches('/')),
        };
        let mode = u32::from_str_radix(mode, 8).unwrap();
        let owner = format!("{:04o} {uid}:{gid}", mode & 0o7777);
        let rest = match mode >> 12 {
            0o04 => "- -".to_owned(),
            0o10 | 0o12 => match dumped.get(&path) {
                Some(content) => format!("{size} {content}"),
                None => "missing".to_owned(),
            },
            other => format!("- {other:o}"),
        };
        lines.push(format!("root{path} {owner} {rest}"));
    }
    lines.sort();
    Ok(lines)
}

/// What rdump wrote: the checksums of files and the targets of links.
fn dumped(copy: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for file in files_under(copy) {
        let path = file.strip_prefix(copy).unwrap().display().to_string();
        let content = match fs::read_link(&file) {
            Ok(target) => format!("- -> {}", target.display()),
            Err(_) => sha256(&fs::read(&file).unwrap()),
        };
        found.insert(format!("/{path}"), content);
    }
    found
}

/// The lines of an ext4 that the kernel has mounted at `mount`; needs root,
/// to read all of it.
pub fn mounted(mount: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut pending = vec![mount.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let rest = if metadata.is_dir() {
            for entry in fs::read_dir(&path).unwrap() {
                pending.push(entry.unwrap().path());
            }
            "- -".to_owned()
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            format!("{} - -> {}", metadata.len(), target.display())
        } else {
            let content = fs::read(&path).unwrap();
            format!("{} {}", content.len(), sha256(&content))
        };
        lines.push(format!(
            "root/{} {:04o} {}:{} {rest}",
            path.strip_prefix(mount).unwrap().display(),
            metadata.mode() & 0o7777,
            metadata.uid(),
            metadata.gid()
        ));
    }
    lines.sort();
    lines
}

/// What changed from one list of lines to another: `- line` and `+ line`,
/// by path.
pub fn diff(old: &[String], new: &[String]) -> Vec<String> {
    let mut changes: Vec<(String, String)> = Vec::new();
    let mut add = |sign: char, from: &[String], other: &[String]| {
        let other: std::collections::BTreeSet<&String> = other.iter().collect();
        for line in from.iter().filter(|line| !other.contains(line)) {
            let path = line.split(' ').next().unwrap_or(line);
            changes.push((format!("{path} {sign}"), format!("{sign} {line}")));
        }
    };
    add('-', old, new);
    add('+', new, old);
    // '-' sorts behind '+': the old line of a path first.
    changes.sort_by_key(|(key, _)| key.replace('+', "~"));
    changes.into_iter().map(|(_, line)| line).collect()
}
