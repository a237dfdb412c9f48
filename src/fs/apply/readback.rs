//! Reads again what a plan wrote, through readers that share nothing with
//! the editors that wrote it.

use std::fmt;

use super::{Expectations, Expected, content::Comparison};
use crate::fs::{FileKind, FsError, Reader};
use crate::plan::{Access, Part};

/// A path that does not read back as it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} partition, {path}: {what}")]
pub struct Mismatch {
    /// The partition.
    pub part: Part,
    /// The path.
    pub path: String,
    /// The difference.
    pub what: String,
}

/// Compares what `boot` and `root` hold with what is expected; returns every
/// difference. A path that cannot be read is one.
pub fn read_back(
    expected: &Expectations,
    boot: &dyn Reader,
    root: &dyn Reader,
) -> Vec<Mismatch> {
    let mut mismatches = Vec::new();
    for ((part, path), expected) in expected {
        let fs = match part {
            Part::Boot => boot,
            Part::Root => root,
        };
        let what = match difference(fs, *part, path, expected) {
            Ok(None) => continue,
            Ok(Some(what)) => what,
            Err(error) => format!("cannot be read again: {error}"),
        };
        mismatches.push(Mismatch { part: *part, path: path.clone(), what });
    }
    mismatches
}

fn difference(
    fs: &dyn Reader,
    part: Part,
    path: &str,
    expected: &Expected,
) -> Result<Option<String>, FsError> {
    let Some(stat) = fs.stat(path)? else {
        let gone = *expected != Expected::Absent;
        return Ok(gone.then(|| "it is not there".to_owned()));
    };
    let (kind, access) = match expected {
        Expected::Absent => return Ok(Some("it is still there".to_owned())),
        Expected::File { access, .. } => (FileKind::File, *access),
        Expected::Directory { access } => (FileKind::Directory, Some(*access)),
        Expected::Symlink { .. } => (FileKind::Symlink, None),
        Expected::Access { access } => (stat.kind, Some(*access)),
    };
    if stat.kind != kind {
        return Ok(Some(unlike(&kind, &stat.kind)));
    }
    // FAT keeps neither mode nor owner.
    if let Some(access) = access.filter(|_| part == Part::Root) {
        let found = Access {
            mode: stat.meta.mode,
            uid: stat.meta.uid,
            gid: stat.meta.gid,
        };
        if found != access {
            return Ok(Some(unlike(&access, &found)));
        }
    }
    Ok(match expected {
        Expected::File { content, .. } => {
            let mut comparison = Comparison::with(content);
            fs.read_pieces(path, &mut |piece| comparison.next(piece))?;
            comparison.difference()
        }
        Expected::Symlink { target } => {
            let found = fs.read_link(path)?;
            (found != *target).then(|| unlike(target, &found))
        }
        _ => None,
    })
}

fn unlike(expected: &dyn fmt::Debug, found: &dyn fmt::Debug) -> String {
    format!("{expected:?} was written, {found:?} is read")
}
