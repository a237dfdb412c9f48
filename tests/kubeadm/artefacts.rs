//! What a build downloads for kubeadm nodes.

use crate::support::{env::Env, image::Case, releases::Releases};

fn env(releases: &Releases, vars: &str) -> Env {
    let env = Env::new();
    Case::load("trixie").write(&env.work().join("base.img")).unwrap();
    env.write(
        "inventory.yml",
        format!(
            "all:\n  hosts:\n    node1: {{ansible_host: 10.0.0.1}}\n  \
             children:\n    k8s_master: {{hosts: {{node1: }}}}\n  vars:\n    \
             ssh_authorized_keys: []\n{}{vars}",
            releases.k8s_variables()
        ),
    );
    env
}

/// Flannel's manifest comes from the release, and gets the cluster's network.
#[test]
fn flannel_has_the_network_of_the_pods() {
    let releases = Releases::start();
    let env = env(&releases, "    pod_network_cidr: 10.99.0.0/16\n");
    let args = ["plan", "node1", "--image", "base.img", "--json"];
    let plan = env.run(&args);
    assert_eq!(plan.code, Some(0), "{plan}");
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    let path = "/etc/piflash/k8s/kube-flannel.yaml";
    let edits = plan["edits"].as_array().unwrap();
    let edit = edits.iter().find(|edit| edit["path"] == path).unwrap();
    let objects = super::pyyaml(edit["content"].as_str().unwrap());
    let config = objects.iter().find(|it| it["kind"] == "ConfigMap").unwrap();
    let network = config["data"]["net-conf.json"].as_str().unwrap();
    let network: serde_json::Value = serde_json::from_str(network).unwrap();
    assert_eq!(network["Network"], "10.99.0.0/16");
}

/// cri-dockerd's releases have no checksums: only the file that is known
/// becomes part of a card.
#[test]
fn another_cri_dockerd_is_refused() {
    let releases = Releases::start();
    let url = releases.server.url("/cri");
    let vars = format!(
        "    container_runtime: docker\n    cri_dockerd_download_url: {url}\n"
    );
    let env = env(&releases, &vars);
    let known = piflash::base::artefact::cri_dockerd(
        piflash::base::facts::Architecture::Arm64,
        Some(&url),
    )
    .unwrap();
    let build = ["build", "node1", "--image", "base.img"];
    let none = env.run(&build);
    assert_eq!(none.code, Some(1), "{none}");
    assert!(none.stderr.contains("check cri_dockerd_download_url"), "{none}");
    releases.put(&known, b"something else");
    let other = env.run(&build);
    assert_eq!(other.code, Some(3), "{other}");
    assert!(other.stderr.contains("cri-dockerd v"), "{other}");
    assert!(other.stderr.contains("SHA-256"), "{other}");
    assert!(!env.work().join("build").exists());
}
