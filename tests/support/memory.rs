//! A file system in memory.

use piflash::fs::{
    DirEntry, FileKind, FsError, FsErrorKind, Meta, Reader, Stat,
};
use std::collections::BTreeMap;

/// What a path holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    File(Vec<u8>),
    Directory,
    Symlink(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub body: Body,
    pub meta: Meta,
    /// Claimed by `stat` instead of the content's size.
    pub size: Option<u64>,
}

/// Absolute paths and what they hold; links in the middle of a path are
/// followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemTree {
    pub nodes: BTreeMap<String, Node>,
    /// The time that everything takes.
    pub time: i64,
}

impl MemTree {
    pub fn new(time: i64) -> Self {
        let mut tree = Self { nodes: BTreeMap::new(), time };
        tree.insert("/", Body::Directory, 0o755);
        tree
    }

    fn insert(&mut self, path: &str, body: Body, mode: u16) {
        let meta = Meta { mode, uid: 0, gid: 0, mtime: self.time };
        self.nodes.insert(path.to_owned(), Node { body, meta, size: None });
    }

    /// Puts something at `path`, with the directories that lead to it.
    pub fn put(&mut self, path: &str, body: Body, mode: u16) {
        let mut at = 1;
        while let Some(slash) = path[at..].find('/') {
            let parent = path[..at + slash].to_owned();
            at += slash + 1;
            if !self.nodes.contains_key(&parent) {
                self.insert(&parent, Body::Directory, 0o755);
            }
        }
        self.insert(path, body, mode);
    }

    pub fn file(&mut self, path: &str, content: impl AsRef<[u8]>) {
        self.put(path, Body::File(content.as_ref().to_vec()), 0o644);
    }

    pub fn link(&mut self, path: &str, target: &str) {
        self.put(path, Body::Symlink(target.to_owned()), 0o777);
    }

    /// Removes `path` and everything below.
    pub fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        let before = self.nodes.len();
        self.nodes.retain(|at, _| at != path && !at.starts_with(&below));
        assert!(self.nodes.len() < before, "nothing at {path}");
    }

    pub fn text(&self, path: &str) -> String {
        String::from_utf8(self.read(path).unwrap()).unwrap()
    }

    /// Follows the links before the last component.
    fn real(&self, path: &str) -> String {
        let mut real = path.to_owned();
        for _ in 0..40 {
            let Some((link, target, rest)) = self.first_link(&real) else {
                break;
            };
            let base = match target.starts_with('/') {
                true => String::new(),
                false => link.rsplit_once('/').unwrap().0.to_owned(),
            };
            real = normal(&format!("{base}/{target}/{rest}"));
        }
        real
    }

    fn first_link<'p>(
        &'p self,
        path: &'p str,
    ) -> Option<(&'p str, &'p str, &'p str)> {
        path.match_indices('/').skip(1).find_map(|(slash, _)| {
            let parent = &path[..slash];
            match &self.nodes.get(parent)?.body {
                Body::Symlink(target) => {
                    Some((parent, target.as_str(), &path[slash + 1..]))
                }
                _ => None,
            }
        })
    }

    fn node(&self, path: &str) -> Result<&Node, FsError> {
        let real = self.real(path);
        self.nodes.get(&real).ok_or_else(|| FsErrorKind::NotFound.at(path))
    }
}

fn normal(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

impl Reader for MemTree {
    fn stat(&self, path: &str) -> Result<Option<Stat>, FsError> {
        let Ok(node) = self.node(path) else { return Ok(None) };
        let (kind, size) = match &node.body {
            Body::File(content) => (FileKind::File, content.len()),
            Body::Directory => (FileKind::Directory, 4096),
            Body::Symlink(target) => (FileKind::Symlink, target.len()),
        };
        let size = node.size.unwrap_or(size as u64);
        Ok(Some(Stat { kind, meta: node.meta, size }))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FsError> {
        let node = self.node(path)?;
        assert_eq!(node.size, None, "{path} is larger than memory");
        match &node.body {
            Body::File(content) => Ok(content.clone()),
            _ => Err(FsErrorKind::WrongKind("not a file").at(path)),
        }
    }

    fn read_dir(&self, path: &str) -> Result<Vec<DirEntry>, FsError> {
        let node = self.node(path)?;
        if node.body != Body::Directory {
            return Err(FsErrorKind::WrongKind("not a directory").at(path));
        }
        let real = self.real(path);
        let prefix = format!("{}/", real.trim_end_matches('/'));
        let inside = self.nodes.iter().filter_map(|(at, node)| {
            let name = at.strip_prefix(&prefix)?;
            (!name.is_empty() && !name.contains('/')).then(|| DirEntry {
                name: name.to_owned(),
                kind: match node.body {
                    Body::File(_) => FileKind::File,
                    Body::Directory => FileKind::Directory,
                    Body::Symlink(_) => FileKind::Symlink,
                },
            })
        });
        Ok(inside.collect())
    }

    fn read_link(&self, path: &str) -> Result<String, FsError> {
        match &self.node(path)?.body {
            Body::Symlink(target) => Ok(target.clone()),
            _ => Err(FsErrorKind::WrongKind("not a link").at(path)),
        }
    }
}
