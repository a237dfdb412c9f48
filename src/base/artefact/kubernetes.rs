//! What kubeadm's cluster needs.

use super::{
    Artefact, Form, VersionError,
    k3s::is_number,
    pinned::{Pinned, Release},
};

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
