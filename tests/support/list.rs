//! `root.list` and `boot.list`: what plain files cannot say. The format
//! stands at the head of images/demo/root.list.

use super::{
    files_under,
    memory::{Body, MemTree},
};
use std::path::Path;

/// Builds the tree of the plain files in `dir` and the entries of `list`.
pub fn load(dir: &Path, list: &Path, time: i64) -> MemTree {
    let mut tree = MemTree::new(time);
    for file in files_under(dir) {
        let path = file.strip_prefix(dir).unwrap().to_str().unwrap();
        tree.file(&format!("/{path}"), std::fs::read(&file).unwrap());
    }
    let text = match std::fs::read_to_string(list) {
        Ok(text) => text,
        Err(_) if !list.exists() => String::new(),
        Err(error) => panic!("{}: {error}", list.display()),
    };
    // A `meta` may stand before or after what it is about.
    let (metas, others): (Vec<_>, Vec<_>) = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .partition(|line| line.starts_with("meta "));
    for line in others.into_iter().chain(metas) {
        apply(&mut tree, line)
            .unwrap_or_else(|| panic!("{}: {line}", list.display()));
    }
    tree
}

fn apply(tree: &mut MemTree, line: &str) -> Option<()> {
    let (kind, rest) = line.split_once(' ')?;
    let (path, rest) = rest.split_once(' ')?;
    let path = format!("/{path}");
    let words: Vec<&str> = rest.split(' ').collect();
    match kind {
        "dir" | "meta" => {
            if kind == "dir" {
                tree.put(&path, Body::Directory, 0o755);
            }
            let meta = &mut tree.nodes.get_mut(&path)?.meta;
            meta.mode = u16::from_str_radix(words[0], 8).ok()?;
            if let [_, uid, gid] = words[..] {
                meta.uid = uid.parse().ok()?;
                meta.gid = gid.parse().ok()?;
            }
        }
        "text" => {
            let (mode, content) = rest.split_once(' ')?;
            let mode = u16::from_str_radix(mode, 8).ok()?;
            let content = content.replace("\\n", "\n") + "\n";
            tree.put(&path, Body::File(content.into_bytes()), mode);
        }
        "link" => tree.link(&path, rest),
        "elf" => tree.put(&path, Body::File(elf(rest)?.to_vec()), 0o755),
        _ => return None,
    }
    Some(())
}

/// A program's header with nothing behind it.
pub fn elf(architecture: &str) -> Option<[u8; 64]> {
    let (class, machine) = match architecture {
        "arm64" => (2, 183),
        "amd64" => (2, 62),
        "armhf" => (1, 40),
        _ => return None,
    };
    let mut header = [0; 64];
    header[..7].copy_from_slice(b"\x7fELF\0\x01\x01");
    header[4] = class;
    header[16] = 3;
    header[18] = machine;
    header[20] = 1;
    Some(header)
}
