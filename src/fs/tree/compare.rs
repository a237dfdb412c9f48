use std::{cmp::Ordering, io, iter::Peekable, vec::IntoIter};

use super::{Child, Content, Node, Tree, Walk, walk::Guard};
use crate::fs::{FileKind, FsError};

/// Files are compared in pieces of this many bytes.
const PIECE: usize = 1 << 20;

/// What is not the same in both places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Another kind: a link that was a file.
    pub kind: bool,
    /// Permission bits.
    pub mode: bool,
    /// User or group.
    pub owner: bool,
    /// Content of a file, target of a link, number of a device.
    pub content: bool,
}

impl Difference {
    fn any(self) -> bool {
        self.kind || self.mode || self.owner || self.content
    }
}

/// One path at which two trees differ.
#[derive(Debug)]
pub enum Change {
    /// Only in the second tree.
    Added(Node),
    /// Only in the first.
    Removed(Node),
    /// In both, and not the same.
    Changed {
        /// In the first.
        old: Node,
        /// In the second.
        new: Node,
        /// In what they differ.
        what: Difference,
    },
    /// It cannot be read in one of them.
    Unreadable {
        /// Whether that is the second.
        second: bool,
        /// What cannot, and why.
        error: FsError,
    },
}

/// A pair of directories with their entries that are still to be compared.
struct Level {
    old: Peekable<IntoIter<Child>>,
    new: Peekable<IntoIter<Child>>,
}

/// Compares two trees and gives each difference to `receive`, until that
/// fails. Times are not compared.
pub fn compare<E>(
    old: &dyn Tree,
    new: &dyn Tree,
    receive: &mut dyn FnMut(Change) -> Result<(), E>,
) -> Result<(), E> {
    let (old_root, new_root) = match (old.root(), new.root()) {
        (Ok(old), Ok(new)) => (old, new),
        (old, new) => {
            for (second, root) in [(false, old), (true, new)] {
                if let Err(error) = root {
                    receive(Change::Unreadable { second, error })?;
                }
            }
            return Ok(());
        }
    };
    let mut comparison = Comparison {
        old,
        new,
        receive,
        guards: Default::default(),
        levels: Vec::new(),
    };
    comparison.both(old_root, new_root)?;
    while let Some(level) = comparison.levels.last_mut() {
        let next = match (level.old.peek(), level.new.peek()) {
            (None, None) => {
                comparison.levels.pop();
                continue;
            }
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let old = next.is_le().then(|| level.old.next()).flatten();
        let new = next.is_ge().then(|| level.new.next()).flatten();
        comparison.children(old, new)?;
    }
    Ok(())
}

struct Comparison<'t, 'r, E> {
    old: &'t dyn Tree,
    new: &'t dyn Tree,
    receive: &'r mut dyn FnMut(Change) -> Result<(), E>,
    guards: (Guard, Guard),
    levels: Vec<Level>,
}

impl<E> Comparison<'_, '_, E> {
    fn children(
        &mut self,
        old: Option<Child>,
        new: Option<Child>,
    ) -> Result<(), E> {
        let mut unreadable = false;
        let mut sound = |side: Option<Child>, second| match side {
            Some((_, Ok(node))) => Ok(Some(node)),
            Some((_, Err(error))) => {
                unreadable = true;
                (self.receive)(Change::Unreadable { second, error })?;
                Ok(None)
            }
            None => Ok(None),
        };
        let (old, new) = (sound(old, false)?, sound(new, true)?);
        match (old, new) {
            // Nobody knows how the other one compares.
            _ if unreadable => Ok(()),
            (Some(old), Some(new)) => self.both(old, new),
            (Some(old), None) => self.one(old, false),
            (None, Some(new)) => self.one(new, true),
            (None, None) => Ok(()),
        }
    }

    /// A node that is in one tree alone, and all below it.
    fn one(&mut self, top: Node, second: bool) -> Result<(), E> {
        let tree = if second { self.new } else { self.old };
        for found in Walk::new(tree, top) {
            (self.receive)(match found {
                Ok(node) if second => Change::Added(node),
                Ok(node) => Change::Removed(node),
                Err(error) => Change::Unreadable { second, error },
            })?;
        }
        Ok(())
    }

    fn both(&mut self, old: Node, new: Node) -> Result<(), E> {
        let mut what = Difference {
            kind: old.letter != new.letter,
            mode: old.meta.mode != new.meta.mode,
            owner: (old.meta.uid, old.meta.gid) != (new.meta.uid, new.meta.gid),
            content: false,
        };
        if !what.kind {
            match self.content_differs(&old, &new) {
                Ok(differs) => what.content = differs,
                Err((second, error)) => {
                    (self.receive)(Change::Unreadable { second, error })?;
                }
            }
        }
        let is_dir = |node: &Node| node.kind == FileKind::Directory;
        let dirs = (is_dir(&old), is_dir(&new));
        let entered = (old.clone(), new.clone());
        if what.any() {
            (self.receive)(Change::Changed { old, new, what })?;
        }
        let (old, new) = entered;
        match dirs {
            (true, true) => self.enter(&old, &new),
            (true, false) => self.below(&old, false),
            (false, true) => self.below(&new, true),
            (false, false) => Ok(()),
        }
    }

    /// What is in a directory that the other tree has something else for.
    fn below(&mut self, dir: &Node, second: bool) -> Result<(), E> {
        let tree = if second { self.new } else { self.old };
        for found in Walk::new(tree, dir.clone()).skip(1) {
            (self.receive)(match found {
                Ok(node) if second => Change::Added(node),
                Ok(node) => Change::Removed(node),
                Err(error) => Change::Unreadable { second, error },
            })?;
        }
        Ok(())
    }

    fn enter(&mut self, old: &Node, new: &Node) -> Result<(), E> {
        let list = |tree: &dyn Tree, guard: &mut Guard, node: &Node| {
            guard.enter(node)?;
            tree.list(node)
        };
        let lists = (
            list(self.old, &mut self.guards.0, old),
            list(self.new, &mut self.guards.1, new),
        );
        match lists {
            (Ok(old), Ok(new)) => {
                self.levels.push(Level {
                    old: old.into_iter().peekable(),
                    new: new.into_iter().peekable(),
                });
            }
            (old, new) => {
                for (second, list) in [(false, old), (true, new)] {
                    if let Err(error) = list {
                        (self.receive)(Change::Unreadable { second, error })?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Both are of one kind.
    fn content_differs(
        &self,
        old: &Node,
        new: &Node,
    ) -> Result<bool, (bool, FsError)> {
        match old.kind {
            FileKind::Directory => Ok(false),
            FileKind::Special => Ok(old.device != new.device),
            FileKind::Symlink => {
                let first = self.old.target(old).map_err(|e| (false, e))?;
                let second = self.new.target(new).map_err(|e| (true, e))?;
                Ok(first != second)
            }
            FileKind::File if old.size != new.size => Ok(true),
            FileKind::File => {
                let mut first =
                    self.old.content(old).map_err(|e| (false, e))?;
                let mut second =
                    self.new.content(new).map_err(|e| (true, e))?;
                let same = same_content(&mut *first, &mut *second);
                same.map(|same| !same).map_err(|(second, error)| {
                    let node = if second { new } else { old };
                    (second, of_io(error, node))
                })
            }
        }
    }
}

fn of_io(error: io::Error, node: &Node) -> FsError {
    match error.downcast::<FsError>() {
        Ok(error) => error,
        Err(error) => {
            let path = String::from_utf8_lossy(&node.path).into_owned();
            FsError { path: Some(path), ..FsError::from(error) }
        }
    }
}

/// Returns whether two files hold the same bytes; an error comes with
/// whether it is the second's. What is a hole in both is not read.
fn same_content(
    first: &mut dyn Content,
    second: &mut dyn Content,
) -> Result<bool, (bool, io::Error)> {
    let (mut ours, mut theirs) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let hole = first.hole().min(second.hole());
        if hole > 0 {
            first.skip(hole);
            second.skip(hole);
        }
        let read = fill(first, &mut ours).map_err(|e| (false, e))?;
        let other = fill(second, &mut theirs).map_err(|e| (true, e))?;
        if ours.get(..read) != theirs.get(..other) {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full, or to the end.
fn fill(reader: &mut dyn Content, buffer: &mut [u8]) -> io::Result<usize> {
    let mut used = 0usize;
    while let Some(room) = buffer.get_mut(used..).filter(|r| !r.is_empty()) {
        match reader.read(room) {
            Ok(0) => break,
            Ok(read) => {
                used =
                    used.checked_add(read).expect("no more than there was room")
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(used)
}
