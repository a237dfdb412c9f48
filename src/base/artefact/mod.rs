//! Files that a node's image needs beside its base: k3s, its container
//! images, Flannel's manifest, the key of an apt repository.
//!
//! ```text
//! artefacts/SHA256            a file, named by its digest
//! artefacts/url-SHA256.json   which file came from the URL of this digest
//! partial/artefact-KEY.part   a download under way, with a record beside it
//! locks/artefact-KEY.lock     held by the run that downloads
//! ```
//!
//! A file is read and compared with its name whenever it is used. Releases
//! are not signed, so the first download is trusted as far as its checksums
//! and its form go; from then on `piflash.lock` says which file it has to be.

mod error;
mod fill;
mod form;
mod gather;
mod k3s;
mod kubernetes;
mod pinned;
mod prune;
mod store;

pub use error::{ArtefactError, ArtefactErrorKind};
pub use form::{Form, NotOfForm};
pub use gather::{Gathered, LeftOut, gather};
pub use k3s::K3s;
pub use kubernetes::{
    KubernetesPackages, apt_key, cri_dockerd, flannel_manifest,
    kubernetes_packages, minor_number,
};
pub use pinned::{DefaultVersions, VersionError};
pub use prune::StoredFile;
pub use store::{ArtefactFile, Store};

use super::{digest::Sha256, fetch::redacted};

/// A file that is wanted, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artefact {
    /// What it is called in locks and messages, as `k3s-arm64`.
    pub name: String,
    /// Its release, where it has one.
    pub version: Option<String>,
    /// Where it is, http or https. What is there is not expected to change.
    pub url: String,
    /// Its digest, where it is known.
    pub sha256: Option<Sha256>,
    /// Where else its digest is found.
    pub sums: Option<Sums>,
    /// What it has to be.
    pub form: Form,
    /// What decides on it, for hints: `k3s_version and k3s_download_url`.
    pub set_by: &'static str,
}

/// A list of checksums as sha256sum(1) writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    /// Where it is.
    pub url: String,
    /// The name that the file has in it.
    pub file: String,
}

impl Artefact {
    /// Names any file by its URL; it is called by the last part of that.
    #[must_use]
    pub fn url(url: &str, sha256: Option<Sha256>) -> Self {
        let shown = redacted(url);
        let name = shown.rsplit('/').find(|part| !part.is_empty());
        Self {
            name: name.unwrap_or(&shown).to_owned(),
            version: None,
            url: url.to_owned(),
            sha256,
            sums: None,
            form: Form::Any,
            set_by: "its URL",
        }
    }

    fn error(&self, kind: ArtefactErrorKind) -> ArtefactError {
        ArtefactError {
            name: self.name.clone(),
            version: self.version.clone(),
            url: redacted(&self.url),
            set_by: self.set_by,
            kind: Box::new(kind),
        }
    }
}
