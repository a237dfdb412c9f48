//! [`Editor`] for [`Ext4`].

use super::extent::Mapping;
use super::features::{DIR_NLINK, FILETYPE};
use super::inode::{Inode, Time};
use super::le::index;
use super::leaf::{self, Link};
use super::path::{Place, components};
use super::space::no_space;
use super::superblock::OFFSET;
use super::{Ext4, Result};
use crate::disk::ReadAt;
use crate::fs::{Editor, FileKind, FsError, FsErrorKind, Meta};

const FILE: u16 = 0x8000;
const DIRECTORY: u16 = 0x4000;
const SYMLINK: u16 = 0xA000;
/// The most names one inode may have (EXT4_LINK_MAX).
const MAX_LINKS: u16 = 65000;

impl Ext4<'_> {
    /// Runs a change that cannot be undone in memory: if it fails, nothing
    /// more can be done, and nothing was written.
    fn change(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        self.check_usable()?;
        self.survey()?;
        self.broken = true;
        change(self)?;
        self.broken = false;
        Ok(())
    }

    fn check_usable(&self) -> Result<()> {
        if self.broken {
            return Err(FsErrorKind::WrongKind(
                "an earlier edit failed half-way, nothing can be committed",
            ));
        }
        Ok(())
    }

    /// Says early if `content` will not fit in place of `old`.
    fn check_space(&mut self, size: u64, old: &Mapping) -> Result<()> {
        let block = u64::from(self.sb.block_size);
        let tree = super::le::wide(old.tree.len());
        // Compared with the groups, so that the sum is of real blocks.
        self.survey()?;
        let available = self
            .sb
            .free_blocks()
            .checked_add(old.data_blocks())
            .and_then(|sum| sum.checked_add(tree))
            .expect("blocks of the file system, free or in use");
        let needed = size.div_ceil(block);
        if needed > available {
            return Err(no_space(needed, available, block));
        }
        Ok(())
    }

    fn write_file(
        &mut self,
        path: &str,
        content: &dyn ReadAt,
        meta: Meta,
    ) -> Result<()> {
        let place = self.place(path)?;
        let Some(mut inode) = place.found else {
            self.check_space(content.size(), &Mapping::default())?;
            return self.change(|fs| {
                let mut inode = fs.create(&place, FILE, meta)?;
                fs.write_content(&mut inode, Mapping::default(), content)?;
                fs.enter(place, &mut inode)
            });
        };
        if inode.kind() != FileKind::File {
            return Err(FsErrorKind::WrongKind(
                "not a regular file, so not to be replaced by one",
            ));
        }
        self.check_ordinary(&inode)?;
        let old = self.mapping(&inode)?;
        self.check_space(content.size(), &old)?;
        self.change(|fs| {
            // The same inode: other names and attributes stay.
            fs.drop_capabilities(&mut inode)?;
            fs.write_content(&mut inode, old, content)?;
            fs.set_access(&mut inode, meta)?;
            inode.set_time(Time::Change, fs.options.now);
            fs.store_inode(&mut inode)
        })
    }

    fn create(
        &mut self,
        place: &Place<'_>,
        kind: u16,
        meta: Meta,
    ) -> Result<Inode> {
        let is_dir = kind == DIRECTORY;
        let near = place.parent.inode.ino;
        let mut inode = self.allocate_inode(near, is_dir)?;
        inode.set_mode(kind);
        inode.set_links(if is_dir { 2 } else { 1 });
        inode.set_meta(meta);
        Ok(inode)
    }

    /// Gives a finished new inode its name.
    fn enter(&mut self, place: Place<'_>, inode: &mut Inode) -> Result<()> {
        let Place { mut parent, name, .. } = place;
        self.store_inode(inode)?;
        self.add_link(&mut parent, name, inode)?;
        if inode.is_dir() {
            let many = self.sb.features.has_ro_compat(DIR_NLINK)
                && self.is_indexed(&parent);
            let links = match parent.inode.i_links_count() {
                // Not counted any more.
                1 => 1,
                links if links < MAX_LINKS => {
                    links.checked_add(1).expect("below MAX_LINKS")
                }
                _ if many => 1,
                _ => {
                    return Err(FsErrorKind::NoSpace {
                        what: "subdirectories",
                        needed: 1,
                        available: 0,
                    });
                }
            };
            parent.inode.set_links(links);
        }
        self.store_inode(&mut parent.inode)
    }

    fn make_dir(&mut self, path: &str, meta: Meta) -> Result<()> {
        if components(path)?.is_empty() {
            return self.change_meta(path, meta);
        }
        let place = self.place(path)?;
        match &place.found {
            Some(inode) if inode.is_dir() => {
                return self.change_meta(path, meta);
            }
            Some(_) => {
                return Err(FsErrorKind::WrongKind("not a directory"));
            }
            None => {}
        }
        self.change(|fs| {
            let mut inode = fs.create(&place, DIRECTORY, meta)?;
            let typed = fs.sb.features.has_incompat(FILETYPE);
            let file_type = if typed { leaf::file_type(DIRECTORY) } else { 0 };
            let link = |inode, name: &[u8]| Link {
                inode,
                file_type,
                name: name.to_vec(),
            };
            let links =
                [link(inode.ino, b"."), link(place.parent.inode.ino, b"..")];
            let size = index(fs.sb.block_size);
            let mut bytes = leaf::build(size, fs.leaf_end(), &links);
            if fs.sb.metadata_csum() {
                let seed = inode.checksum_seed(fs.sb.csum_seed);
                leaf::seal(&mut bytes, seed);
            }
            let block = fs.allocate_block()?;
            fs.blocks.write(block, bytes);
            let run = super::extent::Run {
                logical: 0,
                physical: block,
                len: 1,
                unwritten: false,
            };
            fs.write_extents(&mut inode, &[run], Vec::new())?;
            inode.set_size(fs.sb.block_size.into());
            fs.enter(place, &mut inode)
        })
    }

    fn make_link(
        &mut self,
        path: &str,
        target: &str,
        meta: Meta,
    ) -> Result<()> {
        // A zero byte would end it early; a block must hold it and one.
        if target.is_empty()
            || target.contains('\0')
            || target.len() >= index(self.sb.block_size)
        {
            return Err(FsErrorKind::BadPath(format!(
                "a link target of {} bytes",
                target.len()
            )));
        }
        let place = self.place(path)?;
        if place.found.as_ref().is_some_and(Inode::is_dir) {
            return Err(FsErrorKind::WrongKind(
                "a directory, so not to be replaced by a link",
            ));
        }
        if let Some(found) = &place.found {
            self.check_ordinary(found)?;
        }
        self.change(|fs| {
            let place = if place.found.is_some() {
                fs.unlink(place)?;
                fs.place(path)?
            } else {
                place
            };
            let meta = Meta { mode: 0o777, ..meta };
            let mut inode = fs.create(&place, SYMLINK, meta)?;
            fs.write_target(&mut inode, target.as_bytes())?;
            fs.enter(place, &mut inode)
        })
    }

    fn change_meta(&mut self, path: &str, meta: Meta) -> Result<()> {
        let mut inode = self.find(path)?.ok_or(FsErrorKind::NotFound)?;
        let mode = match inode.kind() {
            FileKind::Symlink => 0o777,
            _ => meta.mode,
        };
        self.change(|fs| {
            fs.set_access(&mut inode, Meta { mode, ..meta })?;
            inode.set_time(Time::Change, fs.options.now);
            fs.store_inode(&mut inode)
        })
    }

    fn remove_path(&mut self, path: &str) -> Result<()> {
        let place = match self.place(path) {
            Ok(place) => place,
            Err(FsErrorKind::NotFound | FsErrorKind::WrongKind(_)) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if Self::is_lost_found(&place) {
            return Err(FsErrorKind::BadPath(
                "`lost+found` belongs to e2fsck".to_owned(),
            ));
        }
        match &place.found {
            None => Ok(()),
            Some(inode) => {
                self.check_ordinary(inode)?;
                self.change(|fs| fs.unlink(place))
            }
        }
    }

    fn write_back(&mut self) -> Result<()> {
        self.change(|fs| {
            fs.seal_groups()?;
            fs.blocks.flush()?;
            fs.sb.seal();
            let device = fs.blocks.device();
            let mut before = vec![0; super::superblock::SIZE];
            device.read_at(OFFSET, &mut before).map_err(FsErrorKind::Io)?;
            if before != fs.sb.raw() {
                device
                    .write_at(OFFSET, fs.sb.raw())
                    .map_err(FsErrorKind::Io)?;
            }
            fs.wipe_freed()?;
            if let Some(space) = &mut fs.space {
                space.committed();
            }
            Ok(())
        })
    }
}

impl Editor for Ext4<'_> {
    /// A file that has several names keeps them: its inode gets the new
    /// content, as if the file were opened and overwritten: capabilities of a
    /// program do not outlive that, an ACL takes the mode. What is not a
    /// regular file is not replaced (`WrongKind`): remove it first. Default
    /// ACLs of a directory are not inherited: mode and owner are the
    /// caller's.
    fn write(
        &mut self,
        path: &str,
        content: &dyn ReadAt,
        meta: Meta,
    ) -> std::result::Result<(), FsError> {
        self.write_file(path, content, meta).map_err(|kind| kind.at(path))
    }

    fn mkdir(
        &mut self,
        path: &str,
        meta: Meta,
    ) -> std::result::Result<(), FsError> {
        self.make_dir(path, meta).map_err(|kind| kind.at(path))
    }

    fn symlink(
        &mut self,
        path: &str,
        target: &str,
        meta: Meta,
    ) -> std::result::Result<(), FsError> {
        self.make_link(path, target, meta).map_err(|kind| kind.at(path))
    }

    fn set_meta(
        &mut self,
        path: &str,
        meta: Meta,
    ) -> std::result::Result<(), FsError> {
        self.change_meta(path, meta).map_err(|kind| kind.at(path))
    }

    fn remove(&mut self, path: &str) -> std::result::Result<(), FsError> {
        self.remove_path(path).map_err(|kind| kind.at(path))
    }

    fn commit(&mut self) -> std::result::Result<(), FsError> {
        self.write_back().map_err(FsError::from)
    }
}
