//! Removing: names, inodes, whole directories.

use std::collections::HashSet;

use super::inode::{Inode, ROOT_INO, Time};
use super::path::Place;
use super::{Ext4, Result};
use crate::fs::Structure;

impl Ext4<'_> {
    /// Refuses inodes that belong to the file system itself.
    pub(super) fn check_ordinary(&self, inode: &Inode) -> Result<()> {
        if inode.ino < self.sb.s_first_ino
            || inode.ino == self.sb.s_orphan_file_inum()
        {
            return Err(Structure::Inode(inode.ino)
                .rule("reserved, but a name leads to it"));
        }
        Ok(())
    }

    /// Removes what was found at `place`, with all it holds.
    pub(super) fn unlink(&mut self, place: Place<'_>) -> Result<()> {
        let Place { mut parent, name, found } = place;
        let Some(inode) = found else { return Ok(()) };
        self.remove_link(&mut parent, name)?;
        if self.lookup(&parent, name)?.is_some() {
            let name = String::from_utf8_lossy(name);
            return Err(Structure::Directory(parent.inode.ino)
                .rule(format!("two entries have the name {name:?}")));
        }
        if inode.is_dir() {
            self.remove_tree(inode)?;
            let links = parent.inode.i_links_count();
            // Two is `.` and the name itself; one means "too many to count".
            if links > 2 {
                parent
                    .inode
                    .set_links(links.checked_sub(1).expect("more than two"));
            }
        } else {
            self.drop_link(inode)?;
        }
        self.store_inode(&mut parent.inode)
    }

    /// Whether this is the directory that e2fsck insists on.
    pub(super) fn is_lost_found(place: &Place<'_>) -> bool {
        place.parent.inode.ino == ROOT_INO && place.name == b"lost+found"
    }

    /// Takes one name off a file or link, and frees it with the last one.
    fn drop_link(&mut self, mut inode: Inode) -> Result<()> {
        self.check_ordinary(&inode)?;
        match inode.i_links_count() {
            0 | 1 => self.free_inode(&mut inode),
            links => {
                inode.set_links(links.checked_sub(1).expect("two or more"));
                inode.set_time(Time::Change, self.options.now);
                self.store_inode(&mut inode)
            }
        }
    }

    /// Frees a directory that has lost its name, with all below it.
    fn remove_tree(&mut self, top: Inode) -> Result<()> {
        let mut seen = HashSet::new();
        let mut pending = vec![top];
        while let Some(mut inode) = pending.pop() {
            self.check_ordinary(&inode)?;
            if !seen.insert(inode.ino) {
                return Err(Structure::Directory(inode.ino).rule("two names"));
            }
            let dir = self.open_dir(inode.ino)?;
            for link in self.links(&dir)? {
                let below = self.load_inode(link.inode)?;
                if below.is_dir() {
                    pending.push(below);
                } else {
                    self.drop_link(below)?;
                }
            }
            self.free_inode(&mut inode)?;
        }
        Ok(())
    }
}
