//! [`Reader`] for [`Ext4`].

use super::inode::Inode;
use super::{Ext4, Result, leaf};
use crate::fs::{DirEntry, FileKind, FsError, FsErrorKind, Reader, Stat};

impl Ext4<'_> {
    fn existing(&self, path: &str) -> Result<Inode> {
        self.find(path)?.ok_or(FsErrorKind::NotFound)
    }

    fn entries(&self, path: &str) -> Result<Vec<DirEntry>> {
        let dir = self.open_dir(self.existing(path)?.ino)?;
        let mut entries = Vec::new();
        for link in self.links(&dir)? {
            let kind = match leaf::kind(link.file_type) {
                Some(kind) => kind,
                None => self.load_inode(link.inode)?.kind(),
            };
            let name = String::from_utf8_lossy(&link.name).into_owned();
            entries.push(DirEntry { name, kind });
        }
        Ok(entries)
    }

    fn target(&self, path: &str) -> Result<String> {
        let inode = self.existing(path)?;
        if inode.kind() != FileKind::Symlink {
            return Err(FsErrorKind::WrongKind("not a symbolic link"));
        }
        let target = self.link_target(&inode)?;
        Ok(String::from_utf8_lossy(&target).into_owned())
    }
}

impl Reader for Ext4<'_> {
    fn stat(&self, path: &str) -> std::result::Result<Option<Stat>, FsError> {
        let inode = self.find(path).map_err(|kind| kind.at(path))?;
        Ok(inode.map(|inode| Stat {
            kind: inode.kind(),
            meta: inode.meta(),
            size: inode.i_size(),
        }))
    }

    fn read(&self, path: &str) -> std::result::Result<Vec<u8>, FsError> {
        let read = || {
            let inode = self.existing(path)?;
            match inode.kind() {
                FileKind::File => self.read_content(&inode),
                _ => Err(FsErrorKind::WrongKind("not a regular file")),
            }
        };
        read().map_err(|kind| kind.at(path))
    }

    fn read_dir(
        &self,
        path: &str,
    ) -> std::result::Result<Vec<DirEntry>, FsError> {
        self.entries(path).map_err(|kind| kind.at(path))
    }

    fn read_link(&self, path: &str) -> std::result::Result<String, FsError> {
        self.target(path).map_err(|kind| kind.at(path))
    }
}
