//! What a role needs beside the image: fetched by the build, recorded,
//! locked.

use std::fs;

use crate::support::{
    env::{Env, Outcome},
    image::Case,
    releases::{Releases, path, program},
    server::Step,
    sha256,
};
use piflash::base::{artefact::Artefact, facts::Architecture};

/// A machine with a stock image and an inventory of one k3s server, beside
/// a server with the releases.
struct Site {
    env: Env,
    releases: Releases,
    k3s: Artefact,
}

impl Site {
    fn new(group: &str, more: &str) -> Self {
        let (env, releases) = (Env::new(), Releases::start());
        let k3s = releases.k3s(None, Architecture::Arm64).program();
        Case::load("trixie").write(&env.work().join("base.img")).unwrap();
        let site = Self { env, releases, k3s };
        site.inventory(group, more);
        site
    }

    fn inventory(&self, group: &str, more: &str) {
        self.env.write(
            "inventory.yml",
            format!(
                "all:\n  hosts:\n    node1: {{ansible_host: 10.0.0.1}}\n\
                 \x20 children:\n    {group}: {{hosts: {{node1: }}}}\n\
                 \x20 vars:\n    ssh_authorized_keys: []\n{}{more}",
                self.releases.variables()
            ),
        );
    }

    fn build(&self, more: &[&str]) -> Outcome {
        let args = ["build", "node1", "--image", "base.img"];
        self.env.run(&[&args, more].concat())
    }

    /// Builds it; what was said.
    fn built(&self, more: &[&str]) -> String {
        let outcome = self.build(more);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        outcome.stderr
    }

    fn locked(&self) -> serde_json::Value {
        let lock: serde_json::Value =
            serde_json::from_slice(&self.env.read("piflash.lock")).unwrap();
        lock["nodes"]["node1"]["artefacts"].clone()
    }

    /// Puts another program in the place of the release's, with its digest.
    fn replace(&self) -> String {
        let mut other = program(Architecture::Arm64);
        other[7777] ^= 1;
        self.releases.put(&self.k3s, &other);
        let list = format!("{}  k3s-arm64\n", sha256(&other));
        let sums = path(&self.k3s.sums.as_ref().unwrap().url).to_owned();
        self.releases.server.put(&sums, list.as_bytes());
        sha256(&other)
    }

    fn forget(&self) {
        let outcome = self.env.run(&["images", "prune"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
    }
}

fn refused(outcome: &Outcome, code: i32, said: &[&str]) {
    assert_eq!(outcome.code, Some(code), "{outcome}");
    for words in said {
        assert!(outcome.stderr.contains(words), "`{words}`: {outcome}");
    }
}

#[test]
fn the_second_build_needs_no_network() {
    let site = Site::new("k3s_master", "");
    let offline = site.build(&["--offline"]);
    refused(&offline, 1, &["node1", "k3s-arm64", "without --offline"]);
    assert!(!site.env.work().join("build").exists());
    let first = site.built(&[]);
    assert!(first.contains("artefact    k3s-arm64 v1."), "{first}");
    assert_eq!(site.releases.server.requests().len(), 2);
    let locked = site.locked();
    let digest = sha256(&program(Architecture::Arm64));
    assert_eq!(locked["k3s-arm64"]["sha256"], digest);
    assert_eq!(locked["k3s-arm64"]["size"], 300_024);
    assert_eq!(locked["k3s-arm64"]["url"], site.k3s.url);
    assert_eq!(
        locked["k3s-arm64"]["version"].as_str(),
        site.k3s.version.as_deref()
    );
    assert_eq!(locked.as_object().unwrap().len(), 1);
    site.built(&["--offline", "--locked"]);
    assert_eq!(site.releases.server.requests().len(), 0);
    let plan = site.env.run(&["plan", "node1", "--image", "base.img"]);
    assert_eq!(plan.code, Some(0), "{plan}");
    assert_eq!(site.releases.server.requests().len(), 0);

    // Elsewhere on the network, the same release.
    let text = String::from_utf8(site.env.read("inventory.yml")).unwrap();
    let moved = text.replace(&site.releases.k3s_url(), "http://127.0.0.1:9/k");
    site.env.write("inventory.yml", moved);
    site.built(&["--locked"]);
}

#[test]
fn what_was_fetched_before_is_built_without_a_network() {
    for group in ["k3s_master", "k8s_master"] {
        let site = Site::new(group, "");
        let fetch = ["images", "fetch", "--image", "base.img"];
        let fetched = site.env.run(&fetch);
        assert_eq!(fetched.code, Some(0), "{fetched}");
        let asked = site.releases.server.requests();
        assert_ne!(asked.len(), 0, "{group}");
        assert!(fetched.stderr.contains(": http://127"), "{fetched}");
        assert!(!site.env.work().join("piflash.lock").exists());
        site.built(&["--offline"]);
        assert_eq!(site.releases.server.requests().len(), 0, "{group}");
    }
}

#[test]
fn a_release_that_was_replaced() {
    let site = Site::new("k3s_master", "");
    site.built(&[]);
    let before = sha256(&program(Architecture::Arm64));
    let after = site.replace();
    site.forget();
    let lock = site.env.read("piflash.lock");
    let drift = site.build(&["--locked"]);
    refused(&drift, 2, &["node1 would drift", "k3s-arm64", &before, &after]);
    assert_eq!(site.env.read("piflash.lock"), lock);
    let warned = site.built(&[]);
    for words in ["warning: node1 was built with", &before, &after] {
        assert!(warned.contains(words), "`{words}`: {warned}");
    }
    assert_eq!(site.locked()["k3s-arm64"]["sha256"], after);
    let quiet = site.built(&["--locked"]);
    assert!(!quiet.contains("warning"), "{quiet}");
}

#[test]
fn another_release_is_drift_as_well() {
    let site = Site::new("k3s_master", "");
    site.built(&[]);
    let arm64 = Architecture::Arm64;
    site.releases.put_k3s(Some("v1.35.9+k3s1"), arm64);
    site.inventory("k3s_master", "    k3s_version: v1.35.9+k3s1\n");
    let drift = site.build(&["--locked"]);
    let pinned = site.k3s.version.as_deref().unwrap();
    refused(&drift, 2, &["k3s-arm64", pinned, "v1.35.9+k3s1"]);
    // No warning: another one was asked for.
    let said = site.built(&[]);
    assert!(!said.contains("warning"), "{said}");
    site.inventory(
        "k3s_master",
        "    k3s_version: v1.35.9+k3s1\n    k3s_airgap: yes\n",
    );
    let images = "k3s-airgap-images-arm64.tar.zst";
    refused(&site.build(&["--locked"]), 2, &["built without", images]);
    site.built(&[]);
    assert_eq!(site.locked().as_object().unwrap().len(), 2);
    site.inventory("k3s_master", "    k3s_version: v1.35.9+k3s1\n");
    refused(&site.build(&["--locked"]), 2, &[images, "without it"]);
}

#[test]
fn what_cannot_be_had_becomes_no_card() {
    let site = Site::new("k3s_master", "    k3s_version: v1.98.7+k3s1\n");
    let none = site.build(&[]);
    refused(&none, 1, &["404", "v1.98.7%2Bk3s1", "check k3s_version"]);
    for version in ["stable", "v1.36", "1.36.4"] {
        let more = format!("    k3s_version: {version}\n");
        site.inventory("k3s_master", &more);
        refused(&site.build(&[]), 2, &[version, "no release of k3s"]);
    }
    site.inventory("k3s_master", "");
    site.releases.put(&site.k3s, b"Sorry.");
    refused(&site.build(&[]), 3, &["node1", "SHA-256", "do not use it"]);
    let sums = path(&site.k3s.sums.as_ref().unwrap().url).to_owned();
    let list = format!("{}  k3s-arm64\n", sha256(b"Sorry."));
    site.releases.server.put(&sums, list.as_bytes());
    refused(&site.build(&[]), 3, &["program for arm64", "not an ELF"]);
    assert!(!site.env.work().join("build").exists());
    assert!(!site.env.work().join("piflash.lock").exists());
}

#[test]
fn a_cut_connection_is_resumed() {
    let site = Site::new("k3s_master", "");
    let path = path(&site.k3s.url).to_owned();
    site.releases.server.script(&path, [Step::Cut(150_000)]);
    site.built(&[]);
    let requests = site.releases.server.requests();
    let ranges = requests.iter().filter(|r| r.header("range").is_some());
    assert_eq!(ranges.count(), 1);
}

#[test]
fn a_kubeadm_master() {
    let site = Site::new("k8s_master", "");
    site.built(&[]);
    let locked = site.locked();
    let names: Vec<&String> = locked.as_object().unwrap().keys().collect();
    assert_eq!(names, ["kube-flannel.yml", "kubernetes-apt-key"]);
    site.built(&["--offline", "--locked"]);
    site.inventory("k8s_master", "    cni: none\n");
    site.built(&[]);
    assert_eq!(site.locked().as_object().unwrap().len(), 1);
    site.inventory("k8s_master", "    k8s_version: '1.36.2-1.1'\n");
    let missing = site.build(&[]);
    refused(&missing, 1, &["kubernetes-apt-key v1.36", "check k8s_version"]);
}

/// The image that does not boot may do without; the summary says so.
#[test]
fn the_demo_image_leaves_out_what_is_not_there() {
    let site = Site::new("k3s_master", "    k3s_airgap: yes\n");
    let demo = |more: &[&str]| {
        let args = ["build", "node1", "--image", "demo"];
        site.env.run(&[&args, more].concat())
    };
    let images = "k3s-airgap-images-arm64.tar.zst";
    let offline = demo(&["--offline"]);
    refused(&offline, 0, &["left out    k3s-arm64 v1.", images]);
    assert!(!offline.stderr.contains("artefact  "), "{offline}");
    assert_eq!(site.releases.server.requests().len(), 0);
    let online = demo(&[]);
    refused(&online, 0, &["artefact    k3s-arm64 v1.", images]);
    let cached = demo(&["--offline"]);
    refused(&cached, 0, &["artefact    k3s-arm64 v1.", images]);
    assert!(!cached.stderr.contains("left out"), "{cached}");
    // It is part of the program: there is nothing to lock.
    assert!(!site.env.work().join("piflash.lock").exists());
}

#[test]
fn the_cache_is_verified_and_pruned_with_its_artefacts() {
    let site = Site::new("k3s_master", "");
    site.built(&[]);
    let verify = || site.env.run(&["images", "verify"]);
    refused(&verify(), 0, &["0 images and 1 artefacts"]);
    let digest = sha256(&program(Architecture::Arm64));
    let file = site.env.home().join(".cache/piflash/artefacts").join(&digest);
    fs::write(&file, "damaged").unwrap();
    refused(&verify(), 3, &[&digest, "/k3s-arm64"]);
    refused(&site.build(&["--offline"]), 1, &["is damaged"]);
    site.built(&[]);
    refused(&verify(), 0, &["as they were"]);
    let dry = site.env.run(&["images", "prune", "--dry-run"]);
    refused(&dry, 0, &["would remove http", "1 artefacts"]);
    assert!(file.exists());
    site.forget();
    assert!(!file.exists());
}
