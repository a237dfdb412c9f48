//! Where the secrets of a build directory are: in it, or elsewhere, where a
//! file in it says so.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;

use super::error::{CommandError, Result};
use crate::{base::whole, inventory::Cluster};

/// Where secrets are.
#[derive(Args, Clone, Debug)]
pub(super) struct SecretsArgs {
    /// Where secrets and kubeconfigs are kept, instead of the build
    /// directory, which remembers it: for one on a file system without modes,
    /// as exFAT and NTFS
    #[arg(long, value_name = "DIR")]
    secrets_dir: Option<PathBuf>,
}

/// In the build directory: where its secrets are, if elsewhere.
const ELSEWHERE: &str = "secrets-dir.txt";

impl SecretsArgs {
    /// Returns the directory. Nodes whose secrets are in one place get no
    /// others in another one because an option was left out or added.
    ///
    /// # Errors
    ///
    /// If there are secrets in another place, or they were in one that is
    /// not there.
    pub(super) fn dir(&self, build_dir: &Path) -> Result<PathBuf> {
        let Some(dir) = &self.secrets_dir else { return noted(build_dir) };
        let before = match elsewhere(build_dir)? {
            Some(noted) => noted,
            None => build_dir.join("secrets"),
        };
        if is_empty(dir) && !is_empty(&before) {
            let (from, to) = (before.display(), dir.display());
            return Err(is_in(&before).hint(format!(
                "move them (mv {from} {to}), or leave --secrets-dir out"
            )));
        }
        Ok(dir.clone())
    }

    /// Writes down where secrets are, if not in their usual place.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub(super) fn remember(&self, build_dir: &Path) -> Result<()> {
        let Some(dir) = &self.secrets_dir else { return Ok(()) };
        let path = build_dir.join(ELSEWHERE);
        let write = || {
            fs::create_dir_all(build_dir)?;
            let dir = std::path::absolute(dir)?;
            whole::write(&path, format!("{}\n", dir.display()).as_bytes())
        };
        write().map_err(|error: io::Error| {
            let what = format!("cannot write {}", path.display());
            CommandError::failed(what, &error)
        })
    }
}

/// Returns the directory of secrets as the last build left it.
///
/// # Errors
///
/// If they are elsewhere, and that is not there.
pub(super) fn noted(build_dir: &Path) -> Result<PathBuf> {
    match elsewhere(build_dir)? {
        None => Ok(build_dir.join("secrets")),
        Some(dir) if dir.exists() => Ok(dir),
        Some(dir) => {
            let note = build_dir.join(ELSEWHERE);
            let note = note.display();
            Err(is_in(&dir).hint(format!(
                "it is not there: mount it, or name where they are now: \
                 --secrets-dir; or remove {note} if the nodes may get a new \
                 identity"
            )))
        }
    }
}

/// Returns where the kubeconfig of a cluster is: it has the key of the
/// cluster's owner, so that it is where secrets may be.
///
/// # Errors
///
/// If what names that place cannot be read.
pub(super) fn kubeconfig_path(
    build_dir: &Path,
    cluster: Cluster,
) -> Result<PathBuf> {
    let dir = elsewhere(build_dir)?;
    // The article's names: `k3s-config.yml`, `k8s-config.yml`.
    let name = format!("{cluster}-config.yml");
    Ok(dir.as_deref().unwrap_or(build_dir).join(name))
}

/// Returns where the secrets are, if not in the build directory.
fn elsewhere(build_dir: &Path) -> Result<Option<PathBuf>> {
    let note = build_dir.join(ELSEWHERE);
    let text = match fs::read_to_string(&note) {
        Ok(text) => text,
        // Who writes there says so, where that is a file.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(e) => {
            let what = format!("cannot read {}", note.display());
            return Err(CommandError::failed(what, &e));
        }
    };
    let dir = PathBuf::from(text.trim_end_matches('\n'));
    let moved_back = !dir.exists() && build_dir.join("secrets").exists();
    let none = moved_back || dir.as_os_str().is_empty();
    Ok((!none).then_some(dir))
}

/// Whether there is nothing at a place. What cannot be looked into is full.
fn is_empty(dir: &Path) -> bool {
    match fs::read_dir(dir) {
        Ok(mut files) => files.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn is_in(dir: &Path) -> CommandError {
    let dir = dir.display();
    CommandError::usage(format!(
        "the secrets of this build directory are in {dir}"
    ))
}
