use std::collections::HashSet;

use super::{Node, Tree};
use crate::fs::{FileKind, FsError, Structure};

/// As PATH_MAX of Linux.
const MAX_PATH: usize = 4096;
/// Where a directory that comes again is not known by its number, its path
/// is: circles end here. No system has such deep trees.
const MAX_DEPTH: usize = 64;
/// Directories of a tree without numbers.
const MAX_DIRECTORIES: usize = 200_000;

/// What a walk comes upon.
pub type Found = Result<Node, FsError>;

/// Everything below a node, the node first; directories before what is in
/// them, names in order.
pub struct Walk<'t> {
    tree: &'t dyn Tree,
    guard: Guard,
    /// What is still to come, the next one last.
    pending: Vec<Found>,
}

impl<'t> Walk<'t> {
    /// Begins at `top`.
    pub fn new(tree: &'t dyn Tree, top: Node) -> Self {
        Self { tree, guard: Guard::default(), pending: vec![Ok(top)] }
    }
}

impl Iterator for Walk<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        let node = match self.pending.pop()? {
            Ok(node) => node,
            Err(error) => return Some(Err(error)),
        };
        if node.kind == FileKind::Directory {
            let mut list = || {
                self.guard.enter(&node)?;
                self.tree.list(&node)
            };
            match list() {
                Ok(children) => {
                    let nodes = children.into_iter().map(|(_, node)| node);
                    self.pending.extend(nodes.rev());
                }
                // The directory itself is there.
                Err(error) => self.pending.push(Err(error)),
            }
        }
        Some(Ok(node))
    }
}

/// Sees to it that a walk ends.
#[derive(Default)]
pub(super) struct Guard {
    seen: HashSet<u64>,
    unnumbered: usize,
}

impl Guard {
    /// Fails for a directory that was entered before.
    pub(super) fn enter(&mut self, node: &Node) -> Result<(), FsError> {
        let path = &node.path;
        let bad = |what: &str| {
            let kind = Structure::FileSystem.rule(what);
            Err(kind.at(&String::from_utf8_lossy(path)))
        };
        if path.len() > MAX_PATH {
            return bad("directories nested too deep");
        }
        match node.id {
            Some(id) => {
                if !self.seen.insert(id) {
                    return bad("a directory that is in two places");
                }
            }
            None => {
                self.unnumbered = self
                    .unnumbered
                    .checked_add(1)
                    .expect("at most MAX_DIRECTORIES and one");
                let depth = path.iter().filter(|byte| **byte == b'/').count();
                if depth > MAX_DEPTH || self.unnumbered > MAX_DIRECTORIES {
                    return bad("directories without end");
                }
            }
        }
        Ok(())
    }
}
