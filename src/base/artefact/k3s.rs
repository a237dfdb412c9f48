use super::{
    Artefact, Form, Sums, VersionError,
    pinned::{Pinned, Release},
};
use crate::base::facts::Architecture;

/// A release of k3s for one architecture.
///
/// Its files lie together: the program, bundles of container images, and a
/// list of checksums of both. <https://github.com/k3s-io/k3s/releases>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct K3s {
    /// As `v1.36.4+k3s1`.
    pub version: String,
    architecture: Architecture,
    folder: String,
}

const SET_BY: &str = "k3s_version and k3s_download_url";

impl K3s {
    /// Takes a release, or the pinned one, below a URL, or on GitHub.
    ///
    /// # Errors
    ///
    /// The version is not that of a release, as `v1.36.4+k3s1`.
    pub fn new(
        version: Option<&str>,
        download_url: Option<&str>,
        architecture: Architecture,
    ) -> Result<Self, VersionError> {
        let release: Release = Pinned::embedded()?.k3s;
        let version = version.unwrap_or(&release.version);
        if !is_release(version) {
            return Err(VersionError::K3s(version.to_owned()));
        }
        let folder = release.folder(download_url, version);
        Ok(Self { version: version.to_owned(), architecture, folder })
    }

    /// Returns the program.
    #[must_use]
    pub fn program(&self) -> Artefact {
        let name = match self.architecture {
            Architecture::Arm64 => "k3s-arm64",
            Architecture::Armhf => "k3s-armhf",
            Architecture::Amd64 => "k3s",
        };
        self.file(name.to_owned(), Form::Program(self.architecture))
    }

    /// Returns the bundle of all container images of the release.
    #[must_use]
    pub fn images(&self) -> Artefact {
        let name = format!("k3s-airgap-images-{}.tar.zst", self.suffix());
        self.file(name, Form::Zstd)
    }

    /// What the release calls the architecture, but for the program.
    fn suffix(&self) -> &'static str {
        match self.architecture {
            Architecture::Arm64 => "arm64",
            Architecture::Armhf => "arm",
            Architecture::Amd64 => "amd64",
        }
    }

    fn file(&self, name: String, form: Form) -> Artefact {
        let sums = format!("{}/sha256sum-{}.txt", self.folder, self.suffix());
        Artefact {
            url: format!("{}/{name}", self.folder),
            sums: Some(Sums { url: sums, file: name.clone() }),
            name,
            version: Some(self.version.clone()),
            sha256: None,
            form,
            set_by: SET_BY,
        }
    }
}

/// `v1.36.4+k3s1`, also of a candidate: `v1.36.4-rc1+k3s1`.
fn is_release(text: &str) -> bool {
    let parts = || {
        let (kubernetes, build) = text.strip_prefix('v')?.split_once("+k3s")?;
        let (version, candidate) = match kubernetes.split_once("-rc") {
            Some((version, candidate)) => (version, candidate),
            None => (kubernetes, "1"),
        };
        let numbers: Vec<&str> = version.split('.').collect();
        Some((numbers, candidate, build))
    };
    parts().is_some_and(|(numbers, candidate, build)| {
        numbers.len() == 3
            && numbers.into_iter().chain([candidate, build]).all(is_number)
    })
}

pub(super) fn is_number(text: &str) -> bool {
    (1..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        for good in ["v1.36.4+k3s1", "v1.9.12+k3s10", "v1.36.4-rc2+k3s1"] {
            assert!(is_release(good), "{good}");
        }
        for bad in [
            "",
            "stable",
            "latest",
            "v1.36",
            "v1.36.4",
            "1.36.4+k3s1",
            "v1.36.4+k3s",
            "v1.36.4+k3s1/../x",
            "v1.36.4.1+k3s1",
            "v1.36.-4+k3s1",
            "v1.36.4+k3s1 ",
            "v1.36.4-rc+k3s1",
        ] {
            assert!(!is_release(bad), "{bad}");
        }
    }

    #[test]
    fn names_of_each_architecture() {
        let at = |architecture| {
            let base = Some("http://mirror/k3s/");
            K3s::new(Some("v1.36.4+k3s1"), base, architecture).unwrap()
        };
        for (architecture, program, images, sums) in [
            (Architecture::Arm64, "k3s-arm64", "arm64", "arm64"),
            (Architecture::Armhf, "k3s-armhf", "arm", "arm"),
            (Architecture::Amd64, "k3s", "amd64", "amd64"),
        ] {
            let (k3s, folder) =
                (at(architecture), "http://mirror/k3s/v1.36.4%2Bk3s1");
            assert_eq!(k3s.program().url, format!("{folder}/{program}"));
            let bundle = format!("k3s-airgap-images-{images}.tar.zst");
            assert_eq!(k3s.images().url, format!("{folder}/{bundle}"));
            let url = format!("{folder}/sha256sum-{sums}.txt");
            let list = |file: String| Some(Sums { url: url.clone(), file });
            assert_eq!(k3s.program().sums, list(program.to_owned()));
            assert_eq!(k3s.images().sums, list(bundle));
        }
    }

    #[test]
    fn the_pinned_release_is_one() {
        let k3s = K3s::new(None, None, Architecture::Arm64).unwrap();
        let url = k3s.program().url;
        let folder = "https://github.com/k3s-io/k3s/releases/download/v";
        assert!(url.starts_with(folder) && url.ends_with("/k3s-arm64"));
        assert!(url.contains("%2Bk3s") && !url.contains('+'), "{url}");
    }
}
