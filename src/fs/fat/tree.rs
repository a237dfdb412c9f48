//! [`Tree`] for [`Fat`]: by clusters, not by paths.

use std::io::{self, Read};

use super::{Fat, INSIDE, dir::Entry};
use crate::disk::ReadAt;
use crate::fs::tree::{Child, Node, Tree};
use crate::fs::{FileKind, FsError, FsErrorKind, Structure};

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// An empty file has no cluster, and the root of FAT16 none either: only
/// directories are told apart by it.
fn node(path: Vec<u8>, entry: &Entry) -> Node {
    let stat = entry.stat();
    Node {
        path,
        id: Some(entry.cluster.into()),
        kind: stat.kind,
        letter: if entry.is_dir { 'd' } else { '-' },
        meta: stat.meta,
        size: if entry.is_dir { 0 } else { stat.size },
        device: None,
    }
}

fn cluster(node: &Node) -> Result<u32, FsErrorKind> {
    let cluster = node.id.and_then(|id| u32::try_from(id).ok());
    cluster.ok_or(FsErrorKind::NotFound)
}

impl<D: ReadAt> Fat<D> {
    fn children(&self, parent: &Node) -> Result<Vec<Child>, FsErrorKind> {
        let root = parent.path == b"/";
        let entry = Entry::directory(cluster(parent)?);
        if entry.cluster == 0 && !root {
            let what = "a directory without a cluster";
            return Err(Structure::Entry.rule(what));
        }
        let entries = self.directory(&entry)?.entries(&self.volume);
        let child = |entry: &Entry| {
            let name = entry.name.clone().into_bytes();
            let path = parent.below(&name);
            let node = if name.is_empty() || name.contains(&b'/') {
                let what = "no name, or one with `/` in it";
                Err(Structure::Entry.rule(what).at(&shown(&path)))
            } else {
                Ok(node(path, entry))
            };
            (name, node)
        };
        let mut children: Vec<Child> = entries.iter().map(child).collect();
        children.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(children)
    }

    fn content(&self, file: &Node) -> Result<Content<'_, D>, FsErrorKind> {
        if file.kind != FileKind::File {
            return Err(FsErrorKind::WrongKind("is a directory"));
        }
        let chain = self.volume.chain(&*self.pages, cluster(file)?)?;
        let clusters = u64::try_from(chain.len()).expect(INSIDE);
        if clusters < self.volume.clusters_of(file.size) {
            let what = "fewer clusters than its size needs";
            return Err(Structure::Entry.rule(what));
        }
        Ok(Content { fat: self, chain, size: file.size, at: 0 })
    }
}

impl<D: ReadAt> Tree for Fat<D> {
    fn root(&self) -> Result<Node, FsError> {
        let root = Entry::directory(self.volume.root_cluster);
        Ok(node(b"/".to_vec(), &root))
    }

    fn list(&self, directory: &Node) -> Result<Vec<Child>, FsError> {
        self.children(directory)
            .map_err(|kind| kind.at(&shown(&directory.path)))
    }

    fn open(&self, file: &Node) -> Result<Box<dyn Read + '_>, FsError> {
        let content = self.content(file);
        Ok(Box::new(content.map_err(|kind| kind.at(&shown(&file.path)))?))
    }

    fn target(&self, link: &Node) -> Result<Vec<u8>, FsError> {
        let kind = FsErrorKind::WrongKind("is not a symbolic link");
        Err(kind.at(&shown(&link.path)))
    }

    fn is_same(&self, name: &[u8], other: &[u8]) -> bool {
        let [name, other] = [name, other].map(String::from_utf8_lossy);
        let upper = |text: &str| text.to_uppercase();
        upper(&name) == upper(&other)
    }
}

struct Content<'f, D> {
    fat: &'f Fat<D>,
    chain: Vec<u32>,
    size: u64,
    at: u64,
}

impl<D: ReadAt> Read for Content<'_, D> {
    /// Reads what is left of one cluster, at most.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let volume = &self.fat.volume;
        let number = self.at.checked_div(volume.cluster);
        let into = self.at.checked_rem(volume.cluster);
        let (number, into) =
            number.zip(into).expect("clusters have a size: see Volume");
        let left = self.size.checked_sub(self.at).expect(INSIDE);
        let left = left.min(volume.cluster.checked_sub(into).expect(INSIDE));
        let len = usize::try_from(left).expect(INSIDE).min(buf.len());
        let number = usize::try_from(number).expect(INSIDE);
        let Some(cluster) = self.chain.get(number) else { return Ok(0) };
        let offset =
            volume.cluster_offset(*cluster).checked_add(into).expect(INSIDE);
        let part = buf.get_mut(..len).expect("no longer than the buffer");
        self.fat.pages.read_at(offset, part)?;
        let read = u64::try_from(len).expect(INSIDE);
        self.at = self.at.checked_add(read).expect(INSIDE);
        Ok(len)
    }
}
