//! What templates see as `kubeadm`: versions, repositories, taints and
//! Flannel's manifest, as a kubeadm node needs them.

use minijinja::{Value, context};

use super::{
    apt_sources::{self, Known, Repository},
    custom::CustomFile,
    flannel::{self, FlannelError},
    settings::Settings,
};
use crate::{
    base::{
        artefact::{KubernetesPackages, VersionError, kubernetes_packages},
        facts::{Architecture, Facts, Flavour},
    },
    inventory::Node,
};

/// The artefact that is Flannel's manifest.
pub(super) const MANIFEST: &str = "kube-flannel.yml";
const DOCKER: &str = "https://download.docker.com/linux";
const KEYRING: &str = "/etc/apt/keyrings/docker.asc";
/// Debian's releases that Docker has packages for.
const DEBIAN: [&str; 4] = ["buster", "bullseye", "bookworm", "trixie"];

/// Why a kubeadm node cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum KubeadmError {
    /// Its version is none.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The repository of Docker is no line of sources.list(5).
    #[error(
        "`docker_apt_repository` must be one line like `deb {DOCKER}/debian \
         trixie stable`, or `none` for the system's own packages"
    )]
    Repository,
    /// The repository of Docker is for 32-bit systems.
    #[error(
        "`docker_apt_repository` is Docker's for Raspbian, which has no \
         package for {0}: leave it out, and `docker_version` with it"
    )]
    Raspbian(Architecture),
    /// A file of the user's names a repository that the node has anyway.
    #[error(
        "`files`: {dest} names {whose}'s apt repository, which the node gets \
         with a key of its own, and apt refuses all sources where two of them \
         name different keys: leave the file out{way}"
    )]
    Source {
        /// The path on the node.
        dest: String,
        /// `Docker`, `Kubernetes`.
        whose: &'static str,
        /// Which variable is for that.
        way: &'static str,
    },
    /// Flannel's manifest cannot be used.
    #[error(transparent)]
    Flannel(#[from] FlannelError),
}

/// Returns what templates see of a kubeadm node. `manifest` is Flannel's.
pub(super) fn context(
    node: &Node,
    facts: &Facts,
    settings: &Settings,
    manifest: Option<&str>,
    known: &[Known],
) -> Result<Value, KubeadmError> {
    let text = |name| settings.text(name);
    let KubernetesPackages { minor, exact, version, repository } =
        kubernetes_packages(text("k8s_version"), text("k8s_download_url"))?;
    let all = settings.value();
    let list = |name| -> Option<Vec<String>> {
        let value = all.get_attr(name).ok().filter(|v| !v.is_none())?;
        Some(value.try_iter().ok()?.map(|item| item.to_string()).collect())
    };
    let network = text("pod_network_cidr").unwrap_or_default();
    let adapted = manifest
        .map(|manifest| flannel::adapt(manifest, network, &interfaces(node)));
    Ok(context! {
        minor,
        exact,
        version,
        repository,
        docker => docker(text("docker_apt_repository"),
            text("container_runtime") == Some("docker"), facts)?,
        // An empty list says that there is to be none; nothing, that it is
        // kubeadm's affair.
        taints => node.var("node_taints").is_some().then(|| {
            let taints = list("node_taints").unwrap_or_default();
            taints.iter().map(|taint| taint_value(taint)).collect::<Vec<_>>()
        }),
        flannel => adapted.transpose()?,
        sources => known.iter().filter_map(Known::value).collect::<Vec<_>>(),
    })
}

/// Finds the sources of apt's in the image that name a repository which the
/// node gets from here.
///
/// # Errors
/// Where it is not known which those are, and where one of the user's `files`
/// is such a source.
pub(super) fn known_sources(
    facts: &Facts,
    settings: &Settings,
    files: &[CustomFile],
) -> Result<Vec<Known>, KubeadmError> {
    let text = |name| settings.text(name);
    let packages =
        kubernetes_packages(text("k8s_version"), text("k8s_download_url"))?;
    let docker = docker(
        text("docker_apt_repository"),
        text("container_runtime") == Some("docker"),
        facts,
    )?;
    let mut repositories = vec![Repository {
        whose: "Kubernetes",
        url: &packages.repository,
        file: "/etc/apt/sources.list.d/kubernetes.list",
        is: apt_sources::is_kubernetes,
    }];
    let docker = docker.as_deref().and_then(apt_sources::source_of);
    if let Some((url, _)) = docker {
        repositories.push(Repository {
            whose: "Docker",
            url,
            file: "/etc/apt/sources.list.d/docker.list",
            is: apt_sources::is_docker,
        });
    }
    let own = repositories.iter().map(|it| it.file).collect::<Vec<_>>();
    let of_user = files
        .iter()
        // One in place of the node's own is the user's word on it.
        .filter(|file| !own.contains(&&*file.copy.dest))
        .map(|CustomFile { copy, content }| {
            (copy.dest.clone(), String::from_utf8_lossy(content).into_owned())
        })
        .filter(|(path, _)| apt_sources::is_source(path))
        .collect();
    let found = apt_sources::known(&of_user, &repositories);
    if let Some(file) = found.first() {
        let whose = file.whose();
        let way = match whose {
            "Docker" => ", and set `docker_apt_repository`",
            _ => ", and set `k8s_version` or `k8s_download_url`",
        };
        let dest = file.path().to_owned();
        return Err(KubeadmError::Source { dest, whose, way });
    }
    let read = |(path, _): &(&String, &String)| apt_sources::is_source(path);
    let in_image = facts.texts.apt_sources.iter().filter(read);
    let in_image = in_image.map(|(p, t)| (p.clone(), t.clone())).collect();
    Ok(apt_sources::known(&in_image, &repositories))
}

/// Returns the interfaces that Flannel is to look at, where the one with the
/// default route may be another than the node's: with a wireless network and
/// a cable. Other nodes may have either.
fn interfaces(node: &Node) -> Vec<&str> {
    if node.wifi.is_none() {
        return Vec::new();
    }
    let mut names = vec![&*node.interface];
    names.extend(["eth0", "wlan0"].iter().filter(|it| **it != node.interface));
    names
}

/// Returns the line of Docker's repository; none where the packages of the
/// system are to be used.
fn docker(
    line: Option<&str>,
    runs_containers: bool,
    facts: &Facts,
) -> Result<Option<String>, KubeadmError> {
    let usual = || {
        let codename = facts.os.codename.as_deref()?;
        let system = match facts.os.flavour {
            Flavour::Ubuntu => "ubuntu",
            Flavour::RaspberryPiOs | Flavour::Debian
                if DEBIAN.contains(&codename) =>
            {
                "debian"
            }
            _ => return None,
        };
        Some(format!("deb {DOCKER}/{system} {codename} stable"))
    };
    let line = match line {
        None => usual(),
        Some("none") => None,
        // The inventory of the article, for an image of today: containerd
        // does not hang on it.
        Some(line)
            if is_raspbian(line)
                && facts.architecture != Architecture::Armhf =>
        {
            if runs_containers {
                return Err(KubeadmError::Raspbian(facts.architecture));
            }
            usual()
        }
        Some(line) => Some(line.to_owned()),
    };
    line.map(|line| signed(&line).ok_or(KubeadmError::Repository)).transpose()
}

fn is_raspbian(line: &str) -> bool {
    line.contains("download.docker.com/linux/raspbian")
}

/// Returns a line of sources.list(5) that says which key it is signed by. One
/// that says so already is its owner's affair.
fn signed(line: &str) -> Option<String> {
    let rest = line.strip_prefix("deb ")?.trim();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (options, rest) = rest.split_once(']')?;
            (options.trim(), rest.trim())
        }
        None => ("", rest),
    };
    let words: Vec<&str> = rest.split_whitespace().collect();
    let [url, suite, components @ ..] = &words[..] else { return None };
    let is_flat = suite.ends_with('/');
    if !url.contains(":/") || components.is_empty() != is_flat {
        return None;
    }
    let own = options.split_whitespace().any(|option| {
        option.starts_with("signed-by=") || option.starts_with("trusted=")
    });
    let signed_by = match own {
        true => String::new(),
        false => format!("signed-by={KEYRING}"),
    };
    let options =
        [options, &signed_by].map(str::trim).join(" ").trim().to_owned();
    Some(format!("deb [{options}] {}", words.join(" ")))
}

/// Splits `key=value:Effect` or `key:Effect`.
fn taint_value(text: &str) -> Value {
    let (key, effect) = text.rsplit_once(':').unwrap_or((text, ""));
    let (key, value) = match key.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (key, None),
    };
    context! { key, value, effect }
}

/// Returns what the owner should know.
pub(super) fn notes(
    settings: &Settings,
    facts: &Facts,
    known: &[Known],
) -> Vec<String> {
    let mut notes: Vec<String> = known.iter().map(Known::note).collect();
    let line = settings.text("docker_apt_repository").unwrap_or_default();
    if is_raspbian(line) && facts.architecture != Architecture::Armhf {
        notes.push(format!(
            "`docker_apt_repository` is Docker's for Raspbian, which has no \
             package for {}: containerd comes from Docker's for this system",
            facts.architecture
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_say_by_whom_they_are_signed() {
        let by = "signed-by=/etc/apt/keyrings/docker.asc";
        for (line, becomes) in [
            (
                "deb http://m/d trixie stable",
                format!("deb [{by}] http://m/d trixie stable"),
            ),
            (
                "deb  [ arch=arm64 ]  https://m/d  noble  stable test",
                format!("deb [arch=arm64 {by}] https://m/d noble stable test"),
            ),
            ("deb https://m/d ./", format!("deb [{by}] https://m/d ./")),
        ] {
            assert_eq!(signed(line).as_ref(), Some(&becomes), "{line}");
            assert_eq!(signed(&becomes), Some(becomes.clone()));
        }
        let trusted = "deb [trusted=yes] http://m/d trixie stable";
        assert_eq!(signed(trusted).as_deref(), Some(trusted));
        for bad in [
            "",
            "deb",
            "http://m/d trixie stable",
            "deb http://m/d",
            "deb http://m/d trixie",
            "deb [arch=arm64 http://m/d trixie stable",
            "deb m trixie stable",
        ] {
            assert_eq!(signed(bad), None, "{bad}");
        }
    }

    #[test]
    fn taints_have_parts() {
        let of = |text| taint_value(text).to_string();
        let dedicated = of("dedicated=gpu:NoSchedule");
        for part in ["dedicated", "gpu", "NoSchedule"] {
            assert!(dedicated.contains(part), "{dedicated}");
        }
        assert!(
            taint_value("a/b:NoExecute").get_attr("value").unwrap().is_none()
        );
    }
}
