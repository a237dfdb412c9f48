//! [`Tree`] for [`Ext4`]: by inode numbers, not by paths.

use std::io::{self, Read};

use super::extent::{Mapping, Run};
use super::inode::{Inode, ROOT_INO};
use super::le::{index, u32_at};
use super::{Ext4, INSIDE, Result};
use crate::disk::WriteAt;
use crate::fs::tree::{Child, Content, Node, Tree};
use crate::fs::{FileKind, FsError, FsErrorKind, Structure};

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

impl Ext4<'_> {
    fn node(&self, ino: u32, path: Vec<u8>) -> Result<Node> {
        let inode = self.load_inode(ino)?;
        let letter = match inode.i_mode() >> 12 {
            0x1 => 'p',
            0x2 => 'c',
            0x4 => 'd',
            0x6 => 'b',
            0x8 => '-',
            0xA => 'l',
            0xC => 's',
            _ => '?',
        };
        Ok(Node {
            path,
            id: Some(ino.into()),
            kind: inode.kind(),
            letter,
            meta: inode.meta(),
            size: inode.i_size(),
            device: matches!(letter, 'c' | 'b').then(|| device(&inode)),
        })
    }

    fn inode_of(&self, node: &Node) -> Result<Inode> {
        let ino = node.id.and_then(|id| u32::try_from(id).ok());
        self.load_inode(ino.ok_or(FsErrorKind::NotFound)?)
    }

    fn children(&self, node: &Node) -> Result<Vec<Child>> {
        let dir = self.open_dir(self.inode_of(node)?.ino)?;
        let mut children: Vec<Child> = Vec::new();
        for link in self.links(&dir)? {
            let path = node.below(&link.name);
            let child = if link.name.iter().any(|b| matches!(b, b'/' | 0)) {
                let what = "a name with `/` or a zero byte in it";
                Err(Structure::Directory(dir.inode.ino)
                    .rule(what)
                    .at(&shown(&path)))
            } else {
                self.node(link.inode, path.clone())
                    .map_err(|kind| kind.at(&shown(&path)))
            };
            children.push((link.name, child));
        }
        children.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(children)
    }

    fn file(&self, node: &Node) -> Result<File<'_>> {
        let inode = self.inode_of(node)?;
        if inode.kind() != FileKind::File {
            return Err(FsErrorKind::WrongKind("not a regular file"));
        }
        let block_size = u64::from(self.sb.block_size);
        Ok(File {
            device: self.blocks.device(),
            mapping: self.mapping(&inode)?,
            block_size,
            size: inode.i_size(),
            at: 0,
        })
    }
}

/// The old encoding of a device's number in the first word, the new one in
/// the second.
fn device(inode: &Inode) -> (u32, u32) {
    let (old, new) = (u32_at(inode.i_block(), 0), u32_at(inode.i_block(), 4));
    if old != 0 {
        ((old >> 8) & 0xff, old & 0xff)
    } else {
        ((new >> 8) & 0xfff, (new & 0xff) | ((new >> 12) & 0xf_ff00))
    }
}

impl Tree for Ext4<'_> {
    fn root(&self) -> std::result::Result<Node, FsError> {
        self.node(ROOT_INO, b"/".to_vec()).map_err(|kind| kind.at("/"))
    }

    fn list(
        &self,
        directory: &Node,
    ) -> std::result::Result<Vec<Child>, FsError> {
        self.children(directory)
            .map_err(|kind| kind.at(&shown(&directory.path)))
    }

    fn open(
        &self,
        file: &Node,
    ) -> std::result::Result<Box<dyn Read + '_>, FsError> {
        let at = |kind: FsErrorKind| kind.at(&shown(&file.path));
        let content = self.file(file).map_err(at)?;
        if content.size > self.sb.size() {
            // Holes may make it so, but nobody waits for their end.
            return Err(at(FsErrorKind::Unsupported(format!(
                "a file of {} bytes, more than the file system has",
                content.size
            ))));
        }
        Ok(Box::new(content))
    }

    fn content(
        &self,
        file: &Node,
    ) -> std::result::Result<Box<dyn Content + '_>, FsError> {
        let content = self.file(file);
        Ok(Box::new(content.map_err(|kind| kind.at(&shown(&file.path)))?))
    }

    fn is_stale(&self) -> bool {
        self.broken
    }

    fn target(&self, link: &Node) -> std::result::Result<Vec<u8>, FsError> {
        let inode = self.inode_of(link);
        inode
            .and_then(|inode| match inode.kind() {
                FileKind::Symlink => self.link_target(&inode),
                _ => Err(FsErrorKind::WrongKind("not a symbolic link")),
            })
            .map_err(|kind| kind.at(&shown(&link.path)))
    }
}

/// A file, read from its blocks one run after another.
struct File<'d> {
    device: &'d dyn WriteAt,
    mapping: Mapping,
    block_size: u64,
    size: u64,
    at: u64,
}

impl File<'_> {
    /// Returns where the next bytes are and how many come in a row; no place
    /// where they are a hole.
    fn next(&self) -> (Option<u64>, u64) {
        let block = self.at.checked_div(self.block_size);
        let into = self.at.checked_rem(self.block_size);
        let (block, into) = block.zip(into).expect("blocks have a size");
        let runs = &self.mapping.runs;
        let next = runs.partition_point(|run| run.logical_end() <= block);
        let bytes =
            |blocks: u64| blocks.checked_mul(self.block_size).expect(INSIDE);
        let left =
            |end: u64| bytes(end).checked_sub(self.at).expect("it is behind");
        match runs.get(next) {
            Some(run @ Run { unwritten: false, .. })
                if run.logical <= block =>
            {
                let place = block
                    .checked_sub(run.logical)
                    .and_then(|within| run.physical.checked_add(within))
                    .and_then(|physical| bytes(physical).checked_add(into));
                (Some(place.expect(INSIDE)), left(run.logical_end()))
            }
            Some(run) if run.logical <= block => {
                (None, left(run.logical_end()))
            }
            Some(run) => (None, left(run.logical)),
            None => (None, u64::MAX),
        }
    }
}

impl Content for File<'_> {
    fn hole(&self) -> u64 {
        match self.next() {
            (None, len) => {
                // Nothing is read past the end.
                len.min(
                    self.size
                        .checked_sub(self.at)
                        .expect("`at` is at most the size"),
                )
            }
            (Some(_), _) => 0,
        }
    }

    fn skip(&mut self, len: u64) {
        // Any length leads to the end at most.
        self.at = self.at.saturating_add(len).min(self.size);
    }
}

impl Read for File<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (place, run) = self.next();
        let left = self
            .size
            .checked_sub(self.at)
            .expect("`at` is at most the size")
            .min(run);
        let len = index(left).min(buf.len());
        let part = buf.get_mut(..len).expect("no longer than the buffer");
        match place {
            Some(place) => self.device.read_at(place, part)?,
            None => part.fill(0),
        }
        let next = self.at.checked_add(super::le::wide(len));
        self.at = next.expect("no more than the size");
        Ok(len)
    }
}

impl Ext4<'_> {
    /// Returns the ranges `(offset, len)` in bytes that belong to nothing.
    ///
    /// # Errors
    ///
    /// A bitmap that does not agree with its checksum or its count.
    pub fn unused(&mut self) -> std::result::Result<Vec<(u64, u64)>, FsError> {
        self.survey().map_err(FsError::from)?;
        let size = u64::from(self.sb.block_size);
        let runs = self.space.as_ref().map(super::space::Space::free_runs);
        let bytes = |(start, len): (u64, u64)| {
            let at = |blocks: u64| blocks.checked_mul(size).expect(INSIDE);
            (at(start), at(len))
        };
        Ok(runs.unwrap_or_default().into_iter().map(bytes).collect())
    }
}
