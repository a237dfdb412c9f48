//! What kubeadm's cluster needs.

use super::{
    Artefact, Form, VersionError,
    k3s::is_number,
    pinned::{Pinned, Release},
};
use crate::base::facts::Architecture;

/// Returns Flannel's manifest, of the pinned release, below a URL or on
/// GitHub. <https://github.com/flannel-io/flannel/releases>
///
/// # Errors
///
/// Only if the program was built with a wrong list of releases.
pub fn flannel_manifest(
    download_url: Option<&str>,
) -> Result<Artefact, VersionError> {
    let release: Release = Pinned::embedded()?.flannel;
    let folder = release.folder(download_url, &release.version);
    Ok(Artefact {
        form: Form::Manifest,
        version: Some(release.version),
        set_by: "flannel_download_url",
        ..Artefact::url(&format!("{folder}/kube-flannel.yml"), None)
    })
}

/// Returns the key of the apt repository that has the packages of `version`
/// (as `1.37.1-1.1`) or the pinned minor release. It is armored, which apt
/// takes where the file's name ends with `.asc`.
///
/// # Errors
///
/// The version is none.
pub fn apt_key(
    version: Option<&str>,
    download_url: Option<&str>,
) -> Result<Artefact, VersionError> {
    let release: Release = Pinned::embedded()?.kubernetes;
    let version = version.unwrap_or(&release.version);
    let minor = minor(version)
        .ok_or_else(|| VersionError::Kubernetes(version.to_owned()))?;
    let folder = release.folder(download_url, &minor);
    Ok(Artefact {
        name: "kubernetes-apt-key".to_owned(),
        form: Form::PublicKey,
        version: Some(minor),
        set_by: "k8s_version and k8s_download_url",
        ..Artefact::url(&format!("{folder}/deb/Release.key"), None)
    })
}

/// The packages of Kubernetes that a node gets, as apt is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesPackages {
    /// 37 of 1.37.1.
    pub minor: u32,
    /// `1.37.1`, where the patch release is fixed.
    pub exact: Option<String>,
    /// What their version has to be: `1.37.1-1.1`, `1.37.1-*` or `1.37.*`.
    pub version: String,
    /// URL of the apt repository, which has one minor release.
    pub repository: String,
}

/// Returns the packages of `version`, as `1.37.1-1.1`, `1.37.1` or `1.37`, or
/// of the pinned minor release, from the repositories below a URL, or the
/// usual ones.
///
/// # Errors
///
/// The version is none.
pub fn kubernetes_packages(
    version: Option<&str>,
    download_url: Option<&str>,
) -> Result<KubernetesPackages, VersionError> {
    let release: Release = Pinned::embedded()?.kubernetes;
    let version = version.unwrap_or(&release.version);
    let wrong = || VersionError::Kubernetes(version.to_owned());
    let bare = version.strip_prefix('v').unwrap_or(version);
    let (numbers, revision) = match bare.split_once('-') {
        Some((numbers, revision)) => (numbers, Some(revision)),
        None => (bare, None),
    };
    let numbers = numbers.strip_suffix(".*").unwrap_or(numbers);
    let parts: Vec<&str> = numbers.split('.').collect();
    let good = parts.iter().all(|part| is_number(part))
        && revision.is_none_or(|text| parts.len() == 3 && is_revision(text));
    let minor = match (&parts[..], good) {
        (["1", minor] | ["1", minor, _], true) => minor.parse().ok(),
        _ => None,
    };
    let exact = (parts.len() == 3).then(|| numbers.to_owned());
    Ok(KubernetesPackages {
        minor: minor.ok_or_else(wrong)?,
        version: match (&exact, revision) {
            (Some(exact), Some(revision)) => format!("{exact}-{revision}"),
            (Some(exact), None) => format!("{exact}-*"),
            (None, _) => format!("{numbers}.*"),
        },
        exact,
        repository: format!(
            "{}/deb/",
            release.folder(download_url, &self::minor(bare).ok_or_else(wrong)?)
        ),
    })
}

/// What may follow on the upstream version.
/// <https://www.debian.org/doc/debian-policy/ch-controlfields.html#version>
fn is_revision(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+.~*".contains(c))
}

/// Returns cri-dockerd, by which Kubernetes talks to Docker, as a tar file.
/// Its releases have neither checksums nor signatures: it has to be the file
/// whose digest is part of the program.
///
/// # Errors
///
/// There is none for the architecture.
pub fn cri_dockerd(
    architecture: Architecture,
    download_url: Option<&str>,
) -> Result<Artefact, VersionError> {
    let release = Pinned::embedded()?.cri_dockerd;
    let name = architecture.to_string();
    let digest = release.sha256.get(&name).and_then(|d| d.parse().ok());
    let sha256 = digest.ok_or(VersionError::CriDockerd(architecture))?;
    let base = download_url.unwrap_or(&release.download_url);
    let (base, version) = (base.trim_end_matches('/'), release.version);
    let number = version.trim_start_matches('v');
    let file = format!("cri-dockerd-{number}.{name}.tgz");
    let url = format!("{base}/{version}/{file}");
    Ok(Artefact {
        name: "cri-dockerd".to_owned(),
        version: Some(version),
        set_by: "cri_dockerd_download_url",
        ..Artefact::url(&url, Some(sha256))
    })
}

/// `v1.37` of `v1.37`, `1.37.1` or `1.37.1-1.1`
fn minor(version: &str) -> Option<String> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let mut numbers = version.split(['.', '-']);
    let (major, minor) = (numbers.next()?, numbers.next()?);
    (is_number(major) && is_number(minor)).then(|| format!("v{major}.{minor}"))
}

/// Returns 37 of `v1.37`, `1.37.1-1.1` or `v1.37.1+k3s1`; none of what is no
/// version 1.
#[must_use]
pub fn minor_number(version: &str) -> Option<u32> {
    minor(version)?.strip_prefix("v1.")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repository_a_minor_release() {
        for version in ["1.36.4-1.1", "v1.36", "1.36.4", "1.36.*"] {
            let key = apt_key(Some(version), None).unwrap();
            let url = "https://pkgs.k8s.io/core:/stable:/v1.36/deb/Release.key";
            assert_eq!(key.url, url, "{version}");
        }
        for bad in ["", "1", "stable", "1.x", "../1.36"] {
            assert!(apt_key(Some(bad), None).is_err(), "{bad}");
        }
        let own = apt_key(None, Some("http://mirror/k8s/")).unwrap();
        let minor = own.version.unwrap();
        let url = format!("http://mirror/k8s/{minor}/deb/Release.key");
        assert_eq!(own.url, url);
    }

    #[test]
    fn packages_are_of_one_release() {
        let of = |version: &str| {
            let base = Some("http://mirror/k8s/");
            kubernetes_packages(Some(version), base)
        };
        for (version, package, exact) in [
            ("1.37.1-1.1", "1.37.1-1.1", Some("1.37.1")),
            ("v1.37.1", "1.37.1-*", Some("1.37.1")),
            ("1.37", "1.37.*", None),
            ("v1.37", "1.37.*", None),
            ("1.37.*", "1.37.*", None),
            ("1.37.1-*", "1.37.1-*", Some("1.37.1")),
        ] {
            let packages = of(version).unwrap();
            assert_eq!(packages.minor, 37);
            assert_eq!(packages.version, package, "{version}");
            assert_eq!(packages.exact.as_deref(), exact, "{version}");
            assert_eq!(packages.repository, "http://mirror/k8s/v1.37/deb/");
        }
        for bad in [
            "",
            "1",
            "2.1",
            "stable",
            "1.x",
            "1.37-1.1",
            "1.37.1.1",
            "1.37.1-",
            "1.37.1-1 1",
            "1.37.1-1/../x",
            "1.37.1+k3s1",
            "*",
        ] {
            let error = of(bad).unwrap_err();
            assert!(matches!(error, VersionError::Kubernetes(_)), "{bad}");
        }
        let pinned = kubernetes_packages(None, None).unwrap();
        assert!(pinned.exact.is_none() && pinned.version.ends_with(".*"));
    }

    #[test]
    fn cri_dockerd_is_a_file_that_is_known() {
        for (architecture, end) in [
            (Architecture::Arm64, ".arm64.tgz"),
            (Architecture::Amd64, ".amd64.tgz"),
        ] {
            let artefact = cri_dockerd(architecture, None).unwrap();
            assert!(artefact.sha256.is_some());
            let version = artefact.version.unwrap();
            let number = version.strip_prefix('v').unwrap();
            let file = format!("/{version}/cri-dockerd-{number}{end}");
            assert!(artefact.url.ends_with(&file), "{}", artefact.url);
        }
        assert!(cri_dockerd(Architecture::Armhf, None).is_err());
    }

    #[test]
    fn numbers_of_minor_releases() {
        for version in ["v1.36.4+k3s1", "1.36", "1.36.4-1.1", "v1.36.0-rc1"] {
            assert_eq!(minor_number(version), Some(36), "{version}");
        }
        for bad in ["", "v2.1", "1", "1.x", "stable"] {
            assert_eq!(minor_number(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_pinned_manifest() {
        let flannel = flannel_manifest(None).unwrap();
        assert_eq!(flannel.name, "kube-flannel.yml");
        let version = flannel.version.unwrap();
        let end = format!("/releases/download/{version}/kube-flannel.yml");
        assert!(flannel.url.ends_with(&end), "{}", flannel.url);
    }
}
