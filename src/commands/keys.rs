//! The keys by which vendors' signatures are checked.

use std::{
    env,
    path::{Path, PathBuf},
};

use clap::Args;

use super::error::{CommandError, Kind, Result};
use crate::{
    base::signature::{
        Keyring, KeyringError, SYSTEM_KEYRINGS, keyring_files, user_keyrings,
    },
    ui::{Report, Ui},
};

/// Where keys are.
#[derive(Args, Clone, Debug)]
pub(super) struct KeyArgs {
    /// A file with a vendor's OpenPGP key, besides *.gpg and *.asc in
    /// piflash/keyrings/ of $XDG_CONFIG_HOME or ~/.config; may be repeated
    #[arg(long = "keyring", value_name = "FILE")]
    keyrings: Vec<PathBuf>,
}

impl KeyArgs {
    /// Reads all keys that there are. A file that was named must be good;
    /// of others that are not, the user is told.
    pub(super) fn load(&self, ui: &Ui) -> Result<Keyring> {
        let mut all = Keyring::default();
        for path in &self.keyrings {
            let keyring = Keyring::load(path).map_err(|error| {
                let what = format!("--keyring {} is no use", path.display());
                let report = Report::new(what).because(&error);
                CommandError::new(Kind::Usage, report)
            })?;
            all.add(keyring);
        }
        for path in usual(ui) {
            match Keyring::load(&path) {
                Ok(keyring) => all.add(keyring),
                Err(error) => ui.warn(&skipped(&path, &error)),
            }
        }
        Ok(all)
    }
}

/// The user's keyrings, and the system's that are there.
fn usual(ui: &Ui) -> Vec<PathBuf> {
    let dir = user_keyrings(|name| env::var_os(name).map(PathBuf::from));
    let mut files = match dir.as_deref().map(keyring_files) {
        Some(Ok(files)) => files,
        Some(Err(error)) => {
            let dir = dir.unwrap_or_default();
            ui.warn(&format!("{} is left out: {error}", dir.display()));
            Vec::new()
        }
        None => Vec::new(),
    };
    let system = SYSTEM_KEYRINGS.iter().map(PathBuf::from);
    files.extend(system.filter(|path| path.exists()));
    files
}

fn skipped(path: &Path, error: &KeyringError) -> String {
    let why = match error {
        KeyringError::Read { source, .. } => source.to_string(),
        error => error.to_string(),
    };
    format!("{} is left out: {why}", path.display())
}
