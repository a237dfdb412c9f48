use super::{Node, Tree};
use crate::fs::{FileKind, FsError};

/// How many links one path may lead through, as in path_resolution(7).
const MAX_LINKS: u32 = 40;

/// Returns what is at a path. Links on the way there are followed, as the
/// running system would follow them inside this file system; one at its end
/// is not. Nothing is found behind a circle of links.
pub fn resolve(tree: &dyn Tree, path: &[u8]) -> Result<Option<Node>, FsError> {
    let mut pending = names(path);
    let mut here = tree.root()?;
    let mut above: Vec<Node> = Vec::new();
    let mut links = 0u32;
    while let Some(name) = pending.pop() {
        if name == b".." {
            here = match above.pop() {
                Some(parent) => parent,
                None => tree.root()?,
            };
            continue;
        }
        if here.kind != FileKind::Directory {
            return Ok(None);
        }
        let children = tree.list(&here)?;
        let mut children = children.into_iter();
        let found = children.find(|(known, _)| tree.is_same(known, &name));
        let Some((_, child)) = found else { return Ok(None) };
        let child = child?;
        if child.kind == FileKind::Symlink && !pending.is_empty() {
            links = links.checked_add(1).expect("at most MAX_LINKS and one");
            if links > MAX_LINKS {
                return Ok(None);
            }
            let target = tree.target(&child)?;
            if target.first() == Some(&b'/') {
                here = tree.root()?;
                above.clear();
            }
            pending.extend(names(&target));
            continue;
        }
        above.push(std::mem::replace(&mut here, child));
    }
    Ok(Some(here))
}

/// Returns what a link leads to in the end; the link itself, if that is
/// nothing.
pub fn follow(tree: &dyn Tree, link: Node) -> Result<Node, FsError> {
    let mut node = link.clone();
    for _ in 0..MAX_LINKS {
        if node.kind != FileKind::Symlink {
            return Ok(node);
        }
        let target = tree.target(&node)?;
        let path = if target.first() == Some(&b'/') {
            target
        } else {
            let mut path = node.path.clone();
            path.truncate(
                path.len()
                    .checked_sub(node.name().len())
                    .expect("its name is the end of its path"),
            );
            path.extend(target);
            path
        };
        match resolve(tree, &path)? {
            Some(next) => node = next,
            None => break,
        }
    }
    Ok(link)
}

/// The names of a path, the first one last.
fn names(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .rev()
        .map(<[u8]>::to_vec)
        .collect()
}
