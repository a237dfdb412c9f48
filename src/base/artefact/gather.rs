use super::{Artefact, ArtefactError, ArtefactFile, Store};
use crate::{
    base::{digest::Sha256, fetch::FetchOptions},
    progress::Progress,
};

/// What there is of the artefacts that a node needs.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    /// In the order in which they were asked for.
    pub files: Vec<ArtefactFile>,
    /// What the image has to do without.
    pub left_out: Vec<LeftOut>,
}

/// An artefact that is not in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// As `k3s-arm64`.
    pub name: String,
    /// Its release, where it has one.
    pub version: Option<String>,
}

impl Gathered {
    /// Finds a file by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&ArtefactFile> {
        self.files.iter().find(|file| file.name == name)
    }
}

/// Gets all of `wanted`. `pin` gives the digest that the same release of an
/// artefact had when the node was built before.
///
/// Where the image `may_lack` some, as one that does not boot, those that
/// `--offline` keeps from being downloaded are left out.
///
/// # Errors
///
/// The first that cannot be had.
pub fn gather(
    store: &Store,
    wanted: &[Artefact],
    pin: &dyn Fn(&Artefact) -> Option<Sha256>,
    may_lack: bool,
    options: &FetchOptions,
    progress: &dyn Progress,
) -> Result<Gathered, ArtefactError> {
    let mut gathered = Gathered::default();
    for artefact in wanted {
        match store.get(artefact, pin(artefact), options, progress) {
            Ok(file) => gathered.files.push(file),
            Err(error) if may_lack && error.is_offline() => {
                let (name, version) = (error.name, error.version);
                gathered.left_out.push(LeftOut { name, version });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(gathered)
}
