//! A server with what nodes need beside their images, in the place of
//! GitHub and of Kubernetes' packages.

use std::fmt::Write;

use piflash::base::{
    artefact::{Artefact, K3s, apt_key, flannel_manifest},
    facts::Architecture,
};

use super::{ext4::noise, server::Server, sha256};

pub const APT_KEY: &str = include_str!("../fixtures/apt-key.asc");

pub const MANIFEST: &str = "\
---
kind: Namespace
apiVersion: v1
metadata:
  name: kube-flannel
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: kube-flannel-cfg
data:
  net-conf.json: |
    {\"Network\": \"10.244.0.0/16\"}
---
";

const ALL: [Architecture; 3] =
    [Architecture::Arm64, Architecture::Armhf, Architecture::Amd64];

/// Serves the pinned releases.
pub struct Releases {
    pub server: Server,
}

impl Releases {
    pub fn start() -> Self {
        Self::on(Server::start())
    }

    /// On a server that there is.
    pub fn on(server: Server) -> Self {
        let this = Self { server };
        for architecture in ALL {
            this.put_k3s(None, architecture);
        }
        let manifest = flannel_manifest(Some(&this.flannel_url())).unwrap();
        this.put(&manifest, MANIFEST.as_bytes());
        let key = apt_key(None, Some(&this.k8s_url())).unwrap();
        this.put(&key, APT_KEY.as_bytes());
        this
    }

    /// Puts a release of k3s on the server: a program, a bundle, and the
    /// checksums of both.
    pub fn put_k3s(&self, version: Option<&str>, architecture: Architecture) {
        let k3s = self.k3s(version, architecture);
        let files = [
            (k3s.program(), program(architecture)),
            (k3s.images(), bundle(architecture)),
        ];
        let mut sums = String::new();
        for (artefact, content) in &files {
            self.put(artefact, content);
            let digest = sha256(content);
            writeln!(sums, "{digest}  {}", artefact.name).unwrap();
        }
        self.server.put(&sums_path(&files[0].0), sums.as_bytes());
    }

    pub fn k3s(
        &self,
        version: Option<&str>,
        architecture: Architecture,
    ) -> K3s {
        K3s::new(version, Some(&self.k3s_url()), architecture).unwrap()
    }

    pub fn put(&self, artefact: &Artefact, content: &[u8]) {
        self.server.put(path(&artefact.url), content);
    }

    pub fn k3s_url(&self) -> String {
        self.server.url("/k3s")
    }

    pub fn k8s_url(&self) -> String {
        self.server.url("/k8s")
    }

    pub fn flannel_url(&self) -> String {
        self.server.url("/flannel")
    }

    /// Variables of an inventory that lead here, four spaces in.
    pub fn variables(&self) -> String {
        format!(
            "    k3s_download_url: {}\n{}",
            self.k3s_url(),
            self.k8s_variables()
        )
    }

    /// The same by names that no run changes; the server is a proxy for them.
    pub fn known_variables() -> String {
        ["k3s", "k8s", "flannel"]
            .map(|it| {
                format!("    {it}_download_url: http://{it}.invalid/{it}\n")
            })
            .concat()
    }

    /// Those for kubeadm.
    pub fn k8s_variables(&self) -> String {
        format!(
            "    k8s_download_url: {}\n    flannel_download_url: {}\n",
            self.k8s_url(),
            self.flannel_url()
        )
    }
}

/// The path in a URL of a server of ours.
pub fn path(url: &str) -> &str {
    let host = url.find("://").unwrap() + 3;
    &url[host + url[host..].find('/').unwrap()..]
}

/// Where the checksums of an artefact are.
pub fn sums_path(artefact: &Artefact) -> String {
    path(&artefact.sums.as_ref().unwrap().url).to_owned()
}

/// Something with the ELF header of a program, see elf(5).
pub fn program(architecture: Architecture) -> Vec<u8> {
    let (class, machine) = match architecture {
        Architecture::Arm64 => (2, 183),
        Architecture::Armhf => (1, 40),
        Architecture::Amd64 => (2, 62),
    };
    let mut program = b"\x7fELF".to_vec();
    program.extend([class, 1, 1]);
    program.resize(16, 0);
    program.extend([2, 0, machine, 0, 1, 0, 0, 0]);
    program.extend(noise(300_000, machine.into()));
    program
}

/// Something with the magic of zstd.
fn bundle(architecture: Architecture) -> Vec<u8> {
    let content = noise(200_000, program(architecture)[18].into());
    [b"\x28\xb5\x2f\xfd".to_vec(), content].concat()
}
