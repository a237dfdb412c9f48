//! The releases that are part of the program.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::base::facts::Architecture;

const EMBEDDED: &str = include_str!("../../../images/artefacts.yaml");

/// `images/artefacts.yaml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pinned {
    pub(super) k3s: Release,
    pub(super) flannel: Release,
    pub(super) kubernetes: Release,
    pub(super) cri_dockerd: Known,
}

/// A release whose files are known by their digests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    pub(super) version: String,
    /// What the version is below.
    pub(super) download_url: String,
    /// By Debian's names of architectures.
    pub(super) sha256: BTreeMap<String, String>,
}

/// A release, and where it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Release {
    pub(super) version: String,
    /// What the version is below.
    pub(super) download_url: String,
}

/// Why it is not known what to download.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// Not a release of k3s.
    #[error("{0:?} is no release of k3s")]
    K3s(String),
    /// Not a version of Kubernetes.
    #[error("{0:?} is no version of Kubernetes")]
    Kubernetes(String),
    /// Docker cannot run the containers of this architecture.
    #[error("cri-dockerd has no program for {0}")]
    CriDockerd(Architecture),
    /// The program was built with a wrong `images/artefacts.yaml`.
    #[error("the list of releases in this program cannot be read")]
    Embedded(#[from] serde_saphyr::Error),
}

impl VersionError {
    /// Returns what to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::K3s(_) => {
                "write the whole release, as `k3s_version: v1.36.4+k3s1`; a \
                 channel as `stable` is another release every month"
            }
            Self::Kubernetes(_) => {
                "write a version of the packages, as `k8s_version: \
                 1.37.1-1.1`"
            }
            Self::CriDockerd(_) => {
                "use containerd: leave `container_runtime` out"
            }
            Self::Embedded(_) => "this is a fault of piflash",
        }
    }
}

impl Pinned {
    pub(super) fn embedded() -> Result<Self, VersionError> {
        Ok(serde_saphyr::from_str(EMBEDDED)?)
    }
}

/// The releases that are taken where the inventory names none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultVersions {
    /// Of k3s, as `v1.36.4+k3s1`.
    pub k3s: String,
    /// The minor release of Kubernetes, as `1.37`.
    pub kubernetes: String,
}

impl DefaultVersions {
    /// Returns those that are part of the program.
    ///
    /// # Errors
    ///
    /// Only if the program was built with a wrong list of releases.
    pub fn embedded() -> Result<Self, VersionError> {
        let pinned = Pinned::embedded()?;
        let kubernetes = pinned.kubernetes.version;
        let kubernetes = kubernetes.trim_start_matches('v').to_owned();
        Ok(Self { k3s: pinned.k3s.version, kubernetes })
    }
}

impl Release {
    /// Returns the folder that `base`, else the usual one, has of `version`.
    pub(super) fn folder(&self, base: Option<&str>, version: &str) -> String {
        let base = base.unwrap_or(&self.download_url).trim_end_matches('/');
        // The only sign in a version that means something else in a URL.
        format!("{base}/{}", version.replace('+', "%2B"))
    }
}
