//! Symbolic links whose inodes say more than a link may have: `ext4-view`
//! takes memory for all of it, also for links in the middle of a path.

use super::{Ext4View, checked};
use crate::fs::{FsError, FsErrorKind, Structure};

/// As PATH_MAX of Linux.
const MAX_TARGET: u64 = 4096;
/// Links in one path, as in path_resolution(7).
const MAX_LINKS: u32 = 40;

/// Refuses the size of a link that cannot be.
pub(super) fn check_link(size: u64) -> Result<(), FsErrorKind> {
    match size {
        0..MAX_TARGET => Ok(()),
        size => Err(Structure::Entry.field(
            "the size of a symbolic link",
            size,
            format_args!("less than {MAX_TARGET}"),
        )),
    }
}

impl Ext4View {
    /// Follows the links in the middle of `path`, and refuses those that
    /// cannot be. What else is wrong is said by what comes next.
    pub(super) fn check_links(&self, path: &str) -> Result<(), FsError> {
        let mut pending = names(path.as_bytes());
        // Without links.
        let mut here: Vec<Vec<u8>> = Vec::new();
        let mut links = 0_u32;
        while let Some(name) = pending.pop() {
            if name == b".." {
                here.pop();
                continue;
            }
            here.push(name);
            let at = [&b"/"[..], &here.join(&b'/')].concat();
            let Ok(known) = checked(&at) else { return Ok(()) };
            let Ok(metadata) = self.fs.symlink_metadata(known) else {
                return Ok(());
            };
            if !metadata.is_symlink() || pending.is_empty() {
                continue;
            }
            check_link(metadata.len()).map_err(|kind| kind.at(path))?;
            links = links.saturating_add(1);
            let Ok(target) = self.fs.read_link(known) else { return Ok(()) };
            if links > MAX_LINKS {
                return Ok(());
            }
            here.pop();
            let target = target.as_ref();
            if target.first() == Some(&b'/') {
                here.clear();
            }
            pending.extend(names(target));
        }
        Ok(())
    }
}

/// The names of a path, the first one last.
fn names(path: &[u8]) -> Vec<Vec<u8>> {
    let names = path.split(|byte| *byte == b'/');
    let names = names.filter(|name| !name.is_empty() && *name != b".");
    names.rev().map(<[u8]>::to_vec).collect()
}
