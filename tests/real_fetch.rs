//! `tests/real/fetch.sh` against a local server that has the paths of the
//! makers' ones.

#[path = "vm/repository.rs"]
mod repository;

use crate::support::{
    files_under,
    gpg::Gpg,
    server::{Resource, Server},
    sha256,
};
use piflash::base::{
    artefact::{K3s, flannel_manifest, kubernetes_packages},
    facts::Architecture,
};
use repository::{Package, publish};
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// It names one image; the newest version is not the greatest text.
const KUBEADM: &str = "#!/bin/sh
[ \"$*\" = 'config images list --kubernetes-version v1.37.10' ] || exit 1
echo registry.k8s.io/coredns/coredns:v1.14.6
";

struct Makers {
    server: Server,
    dir: tempfile::TempDir,
    repository: String,
    flannel: String,
    k3s: String,
}

/// The path of a release on the makers' own servers, with their host.
fn on_host(url: &str) -> String {
    url.strip_prefix("https://").unwrap().to_owned()
}

impl Makers {
    fn start() -> Self {
        let packages = kubernetes_packages(None, None).unwrap();
        let repository = on_host(packages.repository.trim_end_matches('/'));
        let flannel = on_host(&flannel_manifest(None).unwrap().url);
        let k3s = K3s::new(None, None, Architecture::Amd64).unwrap();
        let this = Self {
            server: Server::start(),
            dir: tempfile::tempdir().unwrap(),
            repository,
            flannel,
            k3s: on_host(&k3s.program().url),
        };
        this.put_packages();
        this.put_flannel();
        this.put_k3s();
        for name in ["coredns/coredns", "pause"] {
            this.put_image("registry.k8s.io", name, true);
        }
        this.put_image("ghcr.io", "flannel-io/flannel", false);
        let scope = "scope=repository:flannel-io/flannel:pull";
        let token = br#"{"token": "anonymous"}"#;
        this.server.put(&format!("/ghcr.io/token?{scope}"), token);
        this
    }

    fn put_packages(&self) {
        let gpg = Gpg::new();
        gpg.key("", "packages@lab.test", &["ed25519", "sign"]);
        let key = gpg.run(&["--armor", "--export", "packages@lab.test"]);
        let path = format!("/{}", self.repository);
        self.server.put(&format!("{path}/Release.key"), &key);
        let mut packages = Vec::new();
        for name in
            ["kubeadm", "kubelet", "kubectl", "kubernetes-cni", "cri-tools"]
        {
            for version in ["1.37.9-1.1", "1.37.10-1.1"] {
                let control = format!(
                    "Package: {name}\nVersion: {version}\n\
                     Architecture: amd64\nMaintainer: nobody <n@localhost>\n\
                     Description: of a test\n"
                );
                let kubeadm = ("/usr/bin/kubeadm", 0o755, KUBEADM.as_bytes());
                let files = if version == "1.37.10-1.1" && name == "kubeadm" {
                    &[kubeadm][..]
                } else {
                    &[]
                };
                packages.push(Package::make(&control, files));
            }
        }
        publish(&self.server, &path, &packages, Some(&gpg));
    }

    fn put_flannel(&self) {
        let manifest = "spec:\n  - image: ghcr.io/flannel-io/flannel:v1\n    \
                        image: ghcr.io/flannel-io/flannel:v1\n";
        self.server.put(&format!("/{}", self.flannel), manifest.as_bytes());
    }

    fn put_k3s(&self) {
        let (folder, name) = self.k3s.rsplit_once('/').unwrap();
        let images = "k3s-airgap-images-amd64.tar.zst";
        let mut sums = String::new();
        for (name, content) in [(name, "program"), (images, "images")] {
            self.server.put(&format!("/{folder}/{name}"), content.as_bytes());
            sums += &format!("{}  {name}\n", sha256(content.as_bytes()));
        }
        let path = format!("/{folder}/sha256sum-amd64.txt");
        self.server.put(&path, sums.as_bytes());
    }

    /// An image of one layer, for one architecture or by way of an index.
    fn put_image(&self, host: &str, name: &str, index: bool) {
        let base = format!("/{host}/v2/{name}");
        let part = |text: &str| {
            let digest = format!("sha256:{}", sha256(text.as_bytes()));
            let path = format!("{base}/blobs/{digest}");
            self.server.put(&path, text.as_bytes());
            json!({"digest": digest, "size": text.len()})
        };
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": part(&format!("config of {name}")),
            "layers": [part(&format!("layer of {name}"))],
        })
        .to_string();
        let digest = format!("sha256:{}", sha256(manifest.as_bytes()));
        let tag = match name {
            "pause" => "3.8",
            "coredns/coredns" => "v1.14.6",
            _ => "v1",
        };
        let (at_tag, kind) = if index {
            let other = format!("sha256:{}", sha256(b"another"));
            let index = json!({"schemaVersion": 2, "manifests": [
                {"digest": other, "platform":
                    {"os": "linux", "architecture": "arm64"}},
                {"digest": digest, "platform":
                    {"os": "linux", "architecture": "amd64"}},
            ]});
            (index.to_string(), INDEX)
        } else {
            (manifest.clone(), MANIFEST)
        };
        for (at, body, kind) in
            [(tag, at_tag, kind), (&digest, manifest, MANIFEST)]
        {
            let resource = Resource {
                body: body.into_bytes().into(),
                content_type: Some(kind.to_owned()),
                ..Resource::default()
            };
            let path = format!("{base}/manifests/{at}");
            self.server.put_resource(&path, resource);
        }
    }

    fn fetch(&self) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"));
        Command::new("sh")
            .arg(script.join("tests/real/fetch.sh"))
            .arg(self.dir.path())
            .env("PIFLASH_REAL_ORIGIN", self.server.url(""))
            // Nothing of the user's own.
            .env("HOME", self.dir.path())
            .env_remove("http_proxy")
            .output()
            .unwrap()
    }

    /// What it says when it fails.
    fn refused(&self) -> String {
        let output = self.fetch();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn files(&self) -> BTreeMap<String, PathBuf> {
        let dir = self.dir.path();
        let name = |path: &PathBuf| {
            path.strip_prefix(dir).unwrap().display().to_string()
        };
        files_under(dir).into_iter().map(|p| (name(&p), p)).collect()
    }
}

#[test]
fn real_programs_are_those_of_the_catalogue() {
    let makers = Makers::start();
    let output = makers.fetch();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let files = makers.files();
    for name in ["kubeadm", "kubelet", "kubectl", "cri-tools"] {
        let deb = format!("{}/{name}_1.37.10-1.1.deb", makers.repository);
        assert!(files.contains_key(&deb), "{deb}: {files:#?}");
    }
    for name in ["Release.key", "InRelease", "Packages"] {
        let path = format!("{}/{name}", makers.repository);
        assert!(files.contains_key(&path), "{path}");
    }
    assert!(files.contains_key(&makers.flannel));
    // As the release is called, not as its URL has it.
    let k3s = makers.k3s.replace("%2B", "+");
    assert!(files.contains_key(&k3s), "{k3s}: {files:#?}");
    for (image, tag) in [
        ("registry.k8s.io/v2/coredns/coredns", "v1.14.6"),
        ("registry.k8s.io/v2/pause", "3.8"),
        ("ghcr.io/v2/flannel-io/flannel", "v1"),
    ] {
        let manifest = format!("{image}/manifests/{tag}");
        let manifest = std::fs::read_to_string(&files[&manifest]).unwrap();
        assert!(manifest.contains("config"), "{manifest}");
        let digest = format!("sha256:{}", sha256(manifest.as_bytes()));
        assert!(files.contains_key(&format!("{image}/manifests/{digest}")));
        let blobs = format!("{image}/blobs/");
        let blobs = files.keys().filter(|path| path.starts_with(&blobs));
        assert_eq!(blobs.count(), 2, "{image}");
    }
    let token = makers.server.requests().into_iter().any(|request| {
        request.target.ends_with("/manifests/v1")
            && request.header("authorization") == Some("Bearer anonymous")
    });
    assert!(token, "ghcr.io is asked with a token");

    // Once more: packages, parts of images and k3s stay as they are.
    assert!(makers.fetch().status.success());
    for request in makers.server.requests() {
        let path = &request.target;
        assert!(
            !path.ends_with(".deb")
                && !path.contains("/blobs/")
                && !path.ends_with("/k3s"),
            "{path} was fetched again"
        );
    }
}

#[test]
fn real_programs_with_wrong_digests_are_refused() {
    let makers = Makers::start();
    let repository = format!("/{}", makers.repository);
    let deb = format!("{repository}/kubelet_1.37.10-1.1.deb");
    let blob = format!("sha256:{}", sha256(b"layer of pause"));
    let blob = format!("/registry.k8s.io/v2/pause/blobs/{blob}");
    let k3s = format!("/{}", makers.k3s);
    for (path, why) in [
        (format!("{repository}/Packages"), "which InRelease does not"),
        (format!("{repository}/InRelease"), "is not signed by Release.key"),
        (deb, "and should have"),
        (k3s, "and should have"),
        (blob, "and should have"),
    ] {
        let mut good = None;
        makers.server.change(&path, |resource| {
            let mut bad = resource.body.to_vec();
            bad.push(b'\n');
            if path.ends_with("InRelease") {
                let text = String::from_utf8(bad).unwrap();
                bad = text.replace("Suite: lab", "Suite: bad").into_bytes();
            }
            good = Some(std::mem::replace(&mut resource.body, bad.into()));
        });
        let said = makers.refused();
        assert!(said.contains(why), "{path}: {said}");
        let name = path.trim_start_matches('/').replace("%2B", "+");
        let signed = ["Packages", "InRelease"];
        if !signed.iter().any(|end| name.ends_with(end)) {
            assert!(!makers.files().contains_key(&name), "{name} is there");
        }
        let good = good.unwrap();
        makers.server.change(&path, |resource| resource.body = good);
    }
    assert!(makers.fetch().status.success());
}
