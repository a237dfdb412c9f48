//! Whether what piflash put on a card is still there.

use std::collections::BTreeMap;

use super::super::view::digest;

use crate::{
    fs::{
        FileKind, FsError,
        tree::{Tree, resolve},
    },
    plan::{Manifest, ManifestEdit, Part},
};

/// How a path of the manifest is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// As far as the manifest tells, as it was written.
    Same,
    /// Otherwise.
    Changed(String),
}

/// Returns every edit with how its path is found; none for an edit that a
/// later one of the same path has overtaken.
pub(super) fn states<'m>(
    manifest: &'m Manifest,
    tree: &dyn Fn(Part) -> Option<&'m dyn Tree>,
) -> Vec<(&'m ManifestEdit, Option<State>)> {
    let mut last = BTreeMap::new();
    for (number, edit) in manifest.edits.iter().enumerate() {
        last.insert((edit.part, &edit.path), number);
    }
    let edits = manifest.edits.iter().enumerate();
    edits
        .map(|(number, edit)| {
            let is_last = last.get(&(edit.part, &edit.path)) == Some(&number);
            let state = is_last.then(|| match tree(edit.part) {
                Some(tree) => state(edit, tree).unwrap_or_else(|error| {
                    State::Changed(format!("cannot be read: {error}"))
                }),
                None => State::Changed("its partition is not there".into()),
            });
            (edit, state)
        })
        .collect()
}

fn state(edit: &ManifestEdit, tree: &dyn Tree) -> Result<State, FsError> {
    let changed = |what: &str| Ok(State::Changed(what.to_owned()));
    let found = resolve(tree, edit.path.as_bytes())?;
    let Some(node) = found else {
        return if edit.action == "remove" {
            Ok(State::Same)
        } else {
            changed("it is not there")
        };
    };
    let kind = match &*edit.action {
        "remove" => return changed("it is there again"),
        "mkdir" => FileKind::Directory,
        "symlink" => FileKind::Symlink,
        "access" => node.kind,
        _ => FileKind::File,
    };
    if node.kind != kind {
        return changed("it is something else");
    }
    // FAT keeps neither mode nor owner.
    if edit.part == Part::Root
        && let Some(mode) = &edit.mode
    {
        let found = (
            format!("{:04o}", node.meta.mode),
            Some(node.meta.uid),
            Some(node.meta.gid),
        );
        if found != (mode.clone(), edit.uid, edit.gid) {
            return changed(&format!(
                "mode and owner are {} {}:{}",
                found.0, node.meta.uid, node.meta.gid
            ));
        }
    }
    if let Some(target) = &edit.target
        && tree.target(&node)? != target.as_bytes()
    {
        return changed("it leads elsewhere");
    }
    if edit.action == "write"
        && let Some(sha256) = edit.sha256
        && digest(tree, &node)? != sha256
    {
        return changed("its content");
    }
    Ok(State::Same)
}
