//! From paths to inodes.

use super::directory::Directory;
use super::inode::{Inode, ROOT_INO};
use super::{Ext4, Result};
use crate::fs::{FileKind, FsErrorKind, Structure};

/// How many links one path may lead through, as in path_resolution(7).
const MAX_LINKS: u32 = 40;
const MAX_NAME: usize = 255;

/// Splits an absolute path into names.
pub(super) fn components(path: &str) -> Result<Vec<&[u8]>> {
    let bad = |why: &str| Err(FsErrorKind::BadPath(why.to_owned()));
    let Some(relative) = path.strip_prefix('/') else {
        return bad("it must begin with `/`");
    };
    if relative.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<_> = relative.split('/').map(str::as_bytes).collect();
    for name in &names {
        if name.is_empty() || *name == b"." || *name == b".." {
            return bad("it must not hold `//`, `.` or `..`");
        }
        if name.len() > MAX_NAME {
            return bad("a name is longer than 255 bytes");
        }
        if name.contains(&0) {
            return bad("a name holds a zero byte");
        }
    }
    Ok(names)
}

/// Where the last name of a path is, or would be.
pub(super) struct Place<'p> {
    pub(super) parent: Directory,
    pub(super) name: &'p [u8],
    pub(super) found: Option<Inode>,
}

impl Ext4<'_> {
    /// Follows `names` to a directory, through links where there are any.
    fn walk(&self, names: &[&[u8]]) -> Result<Directory> {
        let mut rest: Vec<Vec<u8>> =
            names.iter().rev().map(|name| name.to_vec()).collect();
        let mut dir = self.open_dir(ROOT_INO)?;
        let mut links = 0u32;
        while let Some(name) = rest.pop() {
            if name.is_empty() || name == b"." {
                continue;
            }
            let Some(ino) = self.lookup(&dir, &name)? else {
                return Err(FsErrorKind::NotFound);
            };
            let inode = self.load_inode(ino)?;
            match inode.kind() {
                FileKind::Directory => dir = self.open_dir(ino)?,
                FileKind::Symlink => {
                    links = links
                        .checked_add(1)
                        .expect("at most MAX_LINKS and one");
                    if links > MAX_LINKS {
                        return Err(FsErrorKind::BadPath(format!(
                            "it leads through more than {MAX_LINKS} links"
                        )));
                    }
                    let target = self.link_target(&inode)?;
                    if target.first() == Some(&b'/') {
                        dir = self.open_dir(ROOT_INO)?;
                    }
                    let parts = target.split(|&byte| byte == b'/').rev();
                    rest.extend(parts.map(<[u8]>::to_vec));
                }
                FileKind::File | FileKind::Special => {
                    return Err(FsErrorKind::WrongKind("not a directory"));
                }
            }
        }
        Ok(dir)
    }

    /// Finds the directory of a path's last name, and what the name is.
    /// The root has no name: `BadPath`.
    pub(super) fn place<'p>(&self, path: &'p str) -> Result<Place<'p>> {
        let names = components(path)?;
        let Some((name, parents)) = names.split_last() else {
            return Err(FsErrorKind::BadPath("it is the root".to_owned()));
        };
        let parent = self.walk(parents)?;
        let found = match self.lookup(&parent, name)? {
            Some(ino) => Some(self.load_inode(ino)?),
            None => None,
        };
        Ok(Place { parent, name, found })
    }

    /// Returns the inode at a path; the last name is not followed.
    pub(super) fn find(&self, path: &str) -> Result<Option<Inode>> {
        if components(path)?.is_empty() {
            return self.load_inode(ROOT_INO).map(Some);
        }
        match self.place(path) {
            Ok(place) => Ok(place.found),
            // Nothing can be below what is not there, or not a directory.
            Err(FsErrorKind::NotFound | FsErrorKind::WrongKind(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the target of a link.
    pub(super) fn link_target(&self, inode: &Inode) -> Result<Vec<u8>> {
        let size = inode.i_size();
        if inode.is_fast_symlink() {
            let len = super::le::index(size);
            return Ok(inode
                .i_block()
                .get(..len)
                .expect("shorter than 60 bytes: see `is_fast_symlink`")
                .to_vec());
        }
        if size >= self.sb.block_size.into() {
            return Err(Structure::Inode(inode.ino).field(
                "i_size of a link",
                size,
                format_args!("less than {}", self.sb.block_size),
            ));
        }
        self.read_content(inode)
    }
}
