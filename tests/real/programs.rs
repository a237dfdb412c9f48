//! The real programs in `PIFLASH_REAL`, served as their makers serve them.

use crate::support::{
    files_under,
    releases::Releases,
    server::{Resource, Server},
};
use piflash::base::artefact::{
    KubernetesPackages, apt_key, flannel_manifest, kubernetes_packages,
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where a node's containerd asks for images of every registry: `hosts.toml`
/// of the registry `_default`.
pub const HOSTS_TOML: &str = "/etc/containerd/certs.d/_default/hosts.toml";

pub struct Programs {
    dir: PathBuf,
    packages: KubernetesPackages,
}

impl Programs {
    /// Those in `PIFLASH_REAL`.
    pub fn find() -> Self {
        let Some(dir) = std::env::var_os("PIFLASH_REAL") else {
            panic!(
                "PIFLASH_REAL does not name a directory with the real \
                 programs: tests/real/README.md says how to fill one"
            )
        };
        let packages = kubernetes_packages(None, None).unwrap();
        Self { dir: dir.into(), packages }
    }

    /// Puts packages, manifest and images on the server, in the place of the
    /// stand-ins.
    pub fn serve(&self, releases: &Releases) {
        let server = &releases.server;
        // As https://pkgs.k8s.io/core:/stable:/v1.37/deb/.
        let repository = self.at(&self.packages.repository);
        let key = apt_key(None, Some(&releases.k8s_url())).unwrap();
        let path = url_path(&key.url).trim_end_matches("/Release.key");
        put_all(server, &repository, path);
        let manifest = flannel_manifest(None).unwrap();
        let file = self.at(&manifest.url);
        let ours = flannel_manifest(Some(&releases.flannel_url())).unwrap();
        put(server, url_path(&ours.url), &file);
        for registry in ["registry.k8s.io", "ghcr.io"] {
            let root = self.dir.join(registry);
            for file in files_under(&root.join("v2")) {
                let path = file.strip_prefix(&root).unwrap();
                // Whose image it is.
                let path = format!("/{}?ns={registry}", path.display());
                put(server, &path, &file);
            }
        }
    }

    /// An image of which all nodes have the layers: Flannel's, in which there
    /// is busybox.
    pub fn image(&self) -> String {
        let manifest = flannel_manifest(None).unwrap();
        let text = fs::read_to_string(self.at(&manifest.url)).unwrap();
        let mut images = text.lines().filter_map(|line| {
            let (_, image) = line.split_once("image:")?;
            Some(image.trim().trim_matches('"').to_owned())
        });
        images.find(|image| image.contains("/flannel:")).unwrap()
    }

    /// The file of a maker's URL.
    fn at(&self, url: &str) -> PathBuf {
        let path = url.strip_prefix("https://").unwrap();
        self.dir.join(path.trim_end_matches('/'))
    }
}

fn url_path(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap();
    &rest[rest.find('/').unwrap()..]
}

fn put_all(server: &Server, dir: &Path, path: &str) {
    let files = files_under(dir);
    assert!(!files.is_empty(), "there is nothing in {}", dir.display());
    for file in files {
        let name = file.strip_prefix(dir).unwrap().display().to_string();
        put(server, &format!("{path}/{name}"), &file);
    }
}

/// An image's manifest says itself of what kind it is.
fn put(server: &Server, path: &str, file: &Path) {
    let body = fs::read(file)
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let content_type = path.contains("/manifests/").then(|| {
        let manifest: Value = serde_json::from_slice(&body).unwrap();
        let kind = manifest["mediaType"].as_str();
        let oci = "application/vnd.oci.image.manifest.v1+json";
        kind.unwrap_or(oci).to_owned()
    });
    let body = body.into();
    let resource = Resource { body, content_type, ..Resource::default() };
    server.put_resource(path, resource);
}
