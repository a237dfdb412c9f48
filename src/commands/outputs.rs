//! The files of a node come to their names: in an order in which, whenever
//! the power goes, nothing that tells of an image tells of another one.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    bases::Base,
    error::{CommandError, Result},
    formats::{Built, Format, Made},
    manifest,
    workshop::Job,
};
use crate::{base::whole, ui::Ui};

/// Puts what was made of a node in place.
///
/// First all goes that tells of the images it replaces (the rows of
/// `SHA256SUMS`, `NODE.json`, the block map), then images get their names,
/// and last comes what tells of them.
pub(super) fn publish(
    job: &Job,
    base: &Base,
    made: Made,
    folder: &Path,
    time: i64,
    ui: &Ui,
) -> Result<Built> {
    let node = &job.plan.node;
    let Made { mut built, images, map } = made;
    let unchanged = || {
        job.image.check_unchanged().map_err(|error| {
            CommandError::failed(format!("cannot build {node}"), &error)
                .hint("wait until nobody writes to it, and build again")
        })
    };
    // While the old images still are whole, and told of.
    unchanged()?;
    forget(node, folder, &built)?;
    let failed = |error: &(dyn std::error::Error + 'static)| {
        CommandError::failed(format!("cannot build {node}"), error).hint(
            "what SHA256SUMS and the node's .json do not tell of any more \
             may be of an earlier build: build it again",
        )
    };
    for image in images {
        unchanged()?;
        image.publish().map_err(|error| failed(&error))?;
    }
    if let Some((map, output)) = map {
        map.publish().map_err(|error| failed(&error))?;
        built.outputs.push(output);
    }
    manifest::write(job, base, &built, folder, time)?;
    let open = |path: &Path| {
        let mode = fs::metadata(path).map(|found| found.mode() & 0o077);
        mode.is_ok_and(|mode| mode != 0)
    };
    if let Some(image) = built.outputs.iter().find(|o| open(&o.path)) {
        ui.warn(&format!(
            "others can read {}: its file system keeps no modes, and images \
             hold keys",
            image.path.display()
        ));
    }
    for path in stale(node, folder, &built) {
        ui.warn(&format!(
            "{} is of an earlier build of {node}: remove it, or build this \
             format too",
            path.display()
        ));
    }
    Ok(built)
}

/// Removes what tells of images that are about to be replaced.
fn forget(node: &str, folder: &Path, built: &Built) -> Result<()> {
    let map = map_path(folder, node);
    let replaced = built.outputs.iter().map(|output| output.path.as_path());
    let replaced: Vec<_> = replaced.chain([map.as_path()]).collect();
    manifest::forget(node, folder, &replaced)?;
    // A map of the old image does not fit the new one, in whatever format
    // that is: bmaptool finds it by the node's name.
    let failed = |error: io::Error| {
        let what = format!("cannot remove {}", map.display());
        CommandError::failed(what, &error)
    };
    whole::remove(&map).map_err(failed)?;
    sync(folder).map_err(|error| {
        let what = format!("cannot write {}", folder.display());
        CommandError::failed(what, &error)
    })
}

/// Without this, names that went may be back after a power cut.
fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Images of this node that were not built now.
fn stale(node: &str, folder: &Path, built: &Built) -> Vec<PathBuf> {
    let formats = [Format::Img, Format::Xz, Format::Zst];
    let paths = formats.iter().map(|format| folder.join(format.file(node)));
    paths
        .filter(|path| built.outputs.iter().all(|o| o.path != *path))
        .filter(|path| path.is_file())
        .collect()
}

/// Where the block map of a node is.
pub(super) fn map_path(folder: &Path, node: &str) -> PathBuf {
    folder.join(format!("{}.bmap", Format::Img.file(node)))
}
