//! A file system of an image, and what is shown of it.

use std::io;

use serde_json::{Value, json};

use super::{look::fs_error, mask::Mask};
use crate::{
    base::digest::Sha256,
    fs::{
        FileKind, FsError,
        tree::{Node, Tree},
    },
    plan::Part,
    ui,
};

/// A file system, and what is shown of it.
pub(super) struct View<'v> {
    pub(super) tree: &'v dyn Tree,
    pub(super) mask: &'v Mask<'v>,
    pub(super) part: Option<Part>,
}

/// Returns the SHA-256 of a file.
pub(super) fn digest(tree: &dyn Tree, node: &Node) -> Result<Sha256, FsError> {
    let file = tree.open(node)?;
    Sha256::of_reader(file, |_| {})
        .map_err(|error: io::Error| fs_error(error, &ui::escape(&node.path)))
}

/// Names what cannot be read, on one line.
pub(super) fn broken(error: &FsError) -> String {
    ui::escape(error.to_string().as_bytes())
}

/// Returns bytes as text; those that are not UTF-8 are replaced, and
/// `raw` beside it has them.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn raw(bytes: &[u8]) -> Option<String> {
    if std::str::from_utf8(bytes).is_ok() {
        return None;
    }
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Returns an entry for programs; a file with its SHA-256, unless it is
/// secret.
pub(super) fn entry(view: &View<'_>, node: &Node) -> Value {
    let kind = match node.letter {
        '-' => "file",
        'd' => "directory",
        'l' => "symlink",
        'c' => "character-device",
        'b' => "block-device",
        'p' => "fifo",
        's' => "socket",
        _ => "unknown",
    };
    let mut value = json!({
        "path": text(&node.path),
        "kind": kind,
        "mode": format!("{:04o}", node.meta.mode),
        "uid": node.meta.uid,
        "gid": node.meta.gid,
        "size": node.size,
        "mtime": node.meta.mtime,
    });
    if let Some(raw) = raw(&node.path) {
        value["path_hex"] = json!(raw);
    }
    if let Some((major, minor)) = node.device {
        value["device"] = json!([major, minor]);
    }
    match node.kind {
        FileKind::Symlink => match view.tree.target(node) {
            Ok(target) => value["target"] = json!(text(&target)),
            Err(error) => value["error"] = json!(broken(&error)),
        },
        FileKind::File => {
            if view.mask.of(view.part, &node.path).hides_digest() {
                value["secret"] = json!(true);
            } else {
                match digest(view.tree, node) {
                    Ok(sha256) => value["sha256"] = json!(sha256),
                    Err(error) => value["error"] = json!(broken(&error)),
                }
            }
        }
        _ => {}
    }
    value
}
