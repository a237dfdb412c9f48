//! [`Tree`] for [`Ext4View`]: by paths, as the crate has no numbers.

use std::io::{self, Read};

use ext4_view::{Ext4Error, File, FileType, Metadata, Path};

use super::{Ext4View, check_link, file_kind, kind, too_large};
use crate::fs::tree::{Child, Node, Tree};
use crate::fs::{FsError, FsErrorKind, Meta};

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

fn at(path: &[u8]) -> impl Fn(Ext4Error) -> FsError {
    move |error| kind(error).at(&shown(path))
}

pub(super) fn checked(path: &[u8]) -> Result<Path<'_>, FsError> {
    Path::try_from(path).map_err(|error| {
        FsErrorKind::BadPath(error.to_string()).at(&shown(path))
    })
}

fn node(path: Vec<u8>, metadata: &Metadata) -> Node {
    let file_type = metadata.file_type();
    let letter = match file_type {
        FileType::Regular => '-',
        FileType::Directory => 'd',
        FileType::Symlink => 'l',
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        FileType::Fifo => 'p',
        FileType::Socket => 's',
    };
    Node {
        path,
        id: None,
        kind: file_kind(file_type),
        letter,
        meta: Meta {
            mode: metadata.mode(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            mtime: metadata.modified().seconds(),
        },
        size: metadata.len(),
        device: None,
    }
}

impl Tree for Ext4View {
    fn root(&self) -> Result<Node, FsError> {
        let metadata = self.fs.symlink_metadata("/").map_err(at(b"/"))?;
        Ok(node(b"/".to_vec(), &metadata))
    }

    fn list(&self, directory: &Node) -> Result<Vec<Child>, FsError> {
        let error = at(&directory.path);
        let path = checked(&directory.path)?;
        let mut children: Vec<Child> = Vec::new();
        for entry in self.fs.read_dir(path).map_err(&error)? {
            let entry = entry.map_err(&error)?;
            let name = entry.file_name().as_ref().to_vec();
            if name == b"." || name == b".." {
                continue;
            }
            let path = directory.below(&name);
            let child = match entry.metadata() {
                Ok(metadata) => Ok(node(path, &metadata)),
                Err(error) => Err(at(&path)(error)),
            };
            children.push((name, child));
        }
        children.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(children)
    }

    fn open(&self, file: &Node) -> Result<Box<dyn Read + '_>, FsError> {
        if file.size > self.size {
            // Holes may make it so, but nobody waits for their end.
            return Err(too_large(file.size).at(&shown(&file.path)));
        }
        let opened = self.fs.open(checked(&file.path)?);
        let opened = opened.map_err(at(&file.path))?;
        Ok(Box::new(Content { file: opened, path: file.path.clone() }))
    }

    fn target(&self, link: &Node) -> Result<Vec<u8>, FsError> {
        check_link(link.size).map_err(|kind| kind.at(&shown(&link.path)))?;
        let target = self.fs.read_link(checked(&link.path)?);
        Ok(target.map_err(at(&link.path))?.as_ref().to_vec())
    }
}

struct Content {
    file: File,
    path: Vec<u8>,
}

impl Read for Content {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_bytes(buf).map_err(at(&self.path));
        read.map_err(io::Error::other)
    }
}
