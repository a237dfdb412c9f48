//! What is known of written images, for programs: `NODE.json` and
//! `SHA256SUMS` beside them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use serde_json::{Value, json};

use super::{
    bases::Base,
    error::{CommandError, Result},
    formats::Built,
    workshop::Job,
};
use crate::{
    base::{digest::Sha256, image::Origin, whole},
    sink::Staged,
};

/// Version of `NODE.json`: raised when a field changes its meaning or goes;
/// not for new ones.
const VERSION: u32 = 1;
const SUMS: &str = "SHA256SUMS";

/// Writes both for a node that was built at `time`, in seconds since 1970.
pub(super) fn write(
    job: &Job,
    base: &Base,
    built: &Built,
    folder: &Path,
    time: i64,
) -> Result<()> {
    let node = &job.plan.node;
    let path = folder.join(format!("{node}.json"));
    let text = format!("{:#}\n", describe(job, base, built, time));
    let failed = |path: &Path, error: &io::Error| {
        let what = format!("cannot write {}", path.display());
        CommandError::failed(what, error)
    };
    put(&path, &text).map_err(|e| failed(&path, &e))?;
    let rows = built.outputs.iter();
    let rows = rows.map(|output| (output.path.as_path(), output.sha256));
    sum(folder, rows).map_err(|e| failed(&folder.join(SUMS), &e))
}

/// Removes what both tell of files that are about to be replaced: a name that
/// is told of has what is told.
pub(super) fn forget(
    node: &str,
    folder: &Path,
    replaced: &[&Path],
) -> Result<()> {
    let (json, sums) = (folder.join(format!("{node}.json")), folder.join(SUMS));
    let failed = |path: &Path, error: &io::Error| {
        let what = format!("cannot replace {}", path.display());
        CommandError::failed(what, error)
    };
    whole::remove(&json).map_err(|e| failed(&json, &e))?;
    let rows = replaced.iter().map(|path| (*path, None));
    sum(folder, rows).map_err(|e| failed(&sums, &e))
}

/// Nothing of this is secret: names, sizes, digests.
fn describe(job: &Job, base: &Base, built: &Built, time: i64) -> Value {
    let name = |path: &Path| {
        let name = path.file_name().unwrap_or(path.as_os_str());
        name.to_string_lossy().into_owned()
    };
    let outputs = built.outputs.iter().map(|output| {
        json!({
            "format": output.format,
            "file": name(&output.path),
            "size": output.size,
            "sha256": output.sha256,
        })
    });
    let artefacts = job.artefacts.files.iter().map(|file| {
        json!({
            "name": file.name,
            "version": file.version,
            "size": file.size,
            "sha256": file.sha256,
        })
    });
    let facts = &job.image.facts;
    json!({
        "version": VERSION,
        "node": job.plan.node,
        "piflash": env!("CARGO_PKG_VERSION"),
        "built": time,
        "profile": job.plan.profile,
        "boots": job.image.origin != Origin::Demo,
        "image": {
            "size": built.size,
            "sha256": built.sha256,
            "changed": built.changed,
        },
        "base": {
            "name": base.locked.name,
            "size": base.locked.size,
            "sha256": base.locked.sha256,
            "download_sha256": base.locked.download_sha256,
            "os": facts.os.pretty_name,
            "architecture": facts.architecture,
        },
        "artefacts": artefacts.collect::<Vec<_>>(),
        "outputs": outputs.collect::<Vec<_>>(),
    })
}

/// Puts the digests of files into `SHA256SUMS`, in place of those that they
/// had before; one without a digest loses its line. Files that are gone lose
/// their lines; all others keep them.
fn sum<'p>(
    folder: &Path,
    rows: impl Iterator<Item = (&'p Path, Option<Sha256>)>,
) -> io::Result<()> {
    // Threads and other runs add theirs; the lock is free when it is closed.
    let lock = File::open(folder)?;
    lock.lock()?;
    let path = folder.join(SUMS);
    let before = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let mut sums: BTreeMap<String, String> = before
        .lines()
        .filter_map(|line| line.split_once("  "))
        .filter(|(_, file)| folder.join(file).is_file())
        .map(|(sum, file)| (file.to_owned(), sum.to_owned()))
        .collect();
    for (path, sha256) in rows {
        let Some(file) = path.file_name() else { continue };
        let file = file.to_string_lossy().into_owned();
        match sha256 {
            Some(sum) => sums.insert(file, sum.to_string()),
            None => sums.remove(&file),
        };
    }
    let lines = sums.iter().map(|(file, sum)| format!("{sum}  {file}\n"));
    let text: String = lines.collect();
    match (text.is_empty(), before == text) {
        (_, true) => Ok(()),
        (true, false) => fs::remove_file(&path),
        (false, false) => put(&path, &text),
    }
}

/// As images are put there: a kill leaves nothing half, and nothing beside.
fn put(path: &Path, text: &str) -> io::Result<()> {
    let staged = Staged::create(path).map_err(io::Error::other)?;
    staged.file().write_all(text.as_bytes())?;
    staged.publish().map_err(io::Error::other)
}
