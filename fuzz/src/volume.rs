//! What both file systems have in common: reading all of one, and edits.

use std::sync::Arc;

use piflash::{
    disk::{Overlay, ReadAt, Window},
    fs::{
        Editor, FileKind, FsError, Meta, Range,
        tree::{Tree, Volume, Walk},
    },
};

use crate::sparse::Sparse;

/// Files and directories that a walk looks at.
const MOST_NODES: usize = 2000;
/// Bytes that it reads of them.
const MOST_BYTES: u64 = 32 << 20;
/// Pieces of files, which may be all holes.
const MOST_PIECES: usize = 4096;

/// The device as a partition that is only read.
pub(crate) fn of(disk: &Arc<Sparse>) -> Volume {
    let size = disk.size();
    let base: Arc<dyn ReadAt> = disk.clone();
    Window::new(Arc::new(Overlay::new(base)), 0, size).expect("all of it")
}

/// What a walk has found, as text.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) files: Vec<String>,
    pub(crate) directories: Vec<String>,
    pub(crate) others: Vec<String>,
    /// Whether all was read, and without an error.
    pub(crate) whole: bool,
}

/// Reads all that is in a file system.
pub(crate) fn walk(tree: &dyn Tree) -> Seen {
    let mut seen = Seen::default();
    let Ok(root) = tree.root() else { return seen };
    seen.whole = true;
    let (mut bytes, mut pieces) = (0, 0);
    let mut buffer = vec![0; 64 << 10];
    for found in Walk::new(tree, root).take(MOST_NODES) {
        let Ok(node) = found else {
            seen.whole = false;
            continue;
        };
        let path = String::from_utf8_lossy(&node.path).into_owned();
        match node.kind {
            FileKind::Directory => seen.directories.push(path),
            FileKind::Symlink => {
                seen.whole &= tree.target(&node).is_ok();
                seen.others.push(path);
            }
            FileKind::Special => seen.others.push(path),
            FileKind::File => {
                let Ok(mut content) = tree.content(&node) else {
                    seen.whole = false;
                    continue;
                };
                let mut len = 0;
                loop {
                    pieces += 1;
                    if bytes > MOST_BYTES || pieces > MOST_PIECES {
                        seen.whole = false;
                        return seen;
                    }
                    let hole = content.hole();
                    if hole > 0 {
                        content.skip(hole);
                        len += hole;
                        continue;
                    }
                    match content.read(&mut buffer) {
                        Ok(0) => {
                            assert_eq!(len, node.size, "{path}");
                            break;
                        }
                        Ok(read) => {
                            len += read as u64;
                            bytes += read as u64;
                        }
                        Err(_) => {
                            seen.whole = false;
                            break;
                        }
                    }
                }
                seen.files.push(path);
            }
        }
    }
    seen
}

/// Ranges are ascending, apart from each other, and inside of the device.
pub(crate) fn check_ranges(disk: &Sparse, ranges: &[Range]) {
    let mut end = 0;
    for (at, len) in ranges {
        assert!(*at >= end && *len > 0, "{ranges:?}");
        end = at + len;
    }
    assert!(end <= disk.size(), "{ranges:?}");
}

/// Makes the edits that the bits of `word` choose. The first that fails is
/// the last: the device is to be thrown away then.
pub(crate) fn edit(
    fs: &mut dyn Editor,
    seen: &Seen,
    word: u32,
) -> Result<(), FsError> {
    let meta = |mode| Meta { mode, uid: 1000, gid: 0, mtime: 1_790_000_000 };
    let pick = |list: &[String], more: u32| {
        let at = (word >> 24).wrapping_add(more) as usize;
        list.get(at.checked_rem(list.len())?).cloned()
    };
    let top = pick(&seen.directories, 0).unwrap_or_else(|| "/".to_owned());
    let below = |name: &str| format!("{}/{name}", top.trim_end_matches('/'));
    let chosen = |bit: u32| word & 1 << (8 + bit) != 0;
    let write = |fs: &mut dyn Editor, path: &str, len: usize| {
        let content = vec![0x5A; len];
        fs.write(path, &content, meta(0o640))?;
        assert!(fs.read(path)? == content, "{path} reads back otherwise");
        Ok::<(), FsError>(())
    };
    if chosen(0) {
        write(fs, &below("new file"), 100)?;
    }
    if chosen(1)
        && let Some(path) = pick(&seen.files, 0)
    {
        write(fs, &path, 5000)?;
    }
    if chosen(2)
        && let Some(path) = pick(&seen.files, 1)
    {
        write(fs, &path, 0)?;
    }
    if chosen(3) {
        write(fs, &below("larger.bin"), 70_000)?;
    }
    if chosen(4) {
        fs.mkdir(&below("directory"), meta(0o755))?;
        write(fs, &below("directory/file"), 1)?;
    }
    if chosen(5) {
        for number in 0..16 {
            let name = format!("a name that is somewhat long {number}");
            write(fs, &below(&name), number % 3)?;
        }
    }
    if chosen(6)
        && let Some(path) = pick(&seen.files, 2)
    {
        fs.remove(&path)?;
        assert_eq!(fs.stat(&path)?, None, "{path} is still there");
    }
    if chosen(7)
        && let Some(path) = pick(&seen.directories, 1)
        && path != "/"
    {
        fs.remove(&path)?;
        assert_eq!(fs.stat(&path)?, None, "{path} is still there");
    }
    if chosen(8)
        && let Some(path) = pick(&seen.others, 0)
    {
        fs.remove(&path)?;
    }
    if chosen(9)
        && let Some(path) = pick(&seen.files, 3)
        && fs.stat(&path)?.is_some()
    {
        fs.set_meta(&path, meta(0o4711))?;
    }
    Ok(())
}

/// Links, which FAT has not.
pub(crate) fn link(
    fs: &mut dyn Editor,
    seen: &Seen,
    word: u32,
) -> Result<(), FsError> {
    let meta = Meta { mode: 0o777, uid: 0, gid: 0, mtime: 1_790_000_000 };
    for (bit, len) in [(10, 5), (11, 60), (12, 900)] {
        if word & 1 << (8 + bit) != 0 {
            let target = "t".repeat(len);
            let path = format!("/link-{len}");
            fs.symlink(&path, &target, meta)?;
            assert_eq!(fs.read_link(&path)?, target);
            if let Some(path) = seen.files.get(bit) {
                fs.symlink(path, &target, meta)?;
            }
        }
    }
    Ok(())
}
