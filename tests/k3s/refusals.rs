//! What cannot work is refused before a card is written, with the reason.

use super::{inventory, plan, single};
use crate::support::{image::Case, plan::plan_of};

fn refused(inventory: &str, node: &str) -> String {
    let error = plan(inventory, node).unwrap_err();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        text += &format!("\n{error}");
        source = error.source();
    }
    text
}

#[test]
fn new_releases_need_cgroup_v2() {
    for case in ["buster", "ubuntu-20.04"] {
        let case = Case::load(case);
        let plan = |vars: &str| plan_of(&case, &inventory(vars), "node4");
        let new = "    k3s_version: v1.35.0+k3s1\n";
        let error = plan(new).unwrap_err().to_string();
        for said in ["v1.35.0+k3s1", "cgroup v2", "k3s_version"] {
            assert!(error.contains(said), "`{said}`: {error}");
        }
        assert!(plan("    k3s_version: v1.34.2+k3s1\n").is_ok());
        let insists = "    k3s_config: {kubelet-arg: [a=b, \
                       fail-cgroupv1=false]}\n";
        assert!(plan(&format!("{new}{insists}")).is_ok());
        let insists = insists.replace("[a=b, fail", "fail").replace("]}", "}");
        assert!(plan(&format!("{new}{insists}")).is_ok());
    }
    let mut case = Case::load("ubuntu-20.04");
    let line = b"console=tty1 systemd.unified_cgroup_hierarchy=1\n".to_vec();
    let body = crate::support::memory::Body::File(line);
    case.boot.put("/cmdline.txt", body, 0o755);
    let new = inventory("    k3s_version: v1.35.0+k3s1\n");
    assert!(plan_of(&case, &new, "node4").is_ok());
}

#[test]
fn keys_that_are_pi_flashs_own_are_refused_in_k3s_config() {
    for (key, node, said) in [
        ("data-dir: /mnt", "node4", "/var/lib/rancher/k3s"),
        ("node-name: other", "node4", "name in the inventory"),
        ("server: https://x:6443", "node4", "k3s_url"),
        ("token: secret", "node4", "build/secrets/k3s"),
        ("agent-token: secret", "node1", "build/secrets/k3s"),
        ("token-file: /x", "node1", "build/secrets/k3s"),
        ("cluster-init: no", "node1", "several servers"),
    ] {
        let vars = format!("    k3s_config: {{{key}}}\n");
        let error = refused(&inventory(&vars), node);
        let key = key.split(':').next().unwrap();
        assert!(error.contains(key) && error.contains(said), "{error}");
        assert!(!error.contains("secret\n"), "{error}");
    }
    let vars = "    k3s_config: {cluster-init: no}\n";
    assert!(plan(&single(vars), "node1").is_ok());
}

#[test]
fn a_foreign_server_needs_its_token() {
    let vars = "    k3s_url: https://10.9.9.9:6443\n";
    for node in ["node1", "node4"] {
        let error = refused(&inventory(vars), node);
        for said in ["10.9.9.9:6443", "token", "k3s_config"] {
            assert!(error.contains(said), "`{said}`: {error}");
        }
    }
    // These are our own servers.
    for url in ["https://192.168.71.22:6443", "https://node1:6443/"] {
        let vars = format!("    k3s_url: {url}\n");
        assert!(plan(&inventory(&vars), "node4").is_ok(), "{url}");
    }
    let error = refused(&inventory("    k3s_url: https://x/y\n"), "node4");
    assert!(error.contains("k3s_url"), "{error}");
}

#[test]
fn addresses_of_ipv6_need_networks_of_ipv6() {
    let six = |vars: &str| {
        inventory(vars)
            .replace("gateway: 192.168.71.1", "gateway: fd00::1")
            .replace("192.168.71.", "fd00::")
    };
    let error = refused(&six(""), "node1");
    assert!(error.contains("cluster-cidr"), "{error}");
    let vars = "    k3s_config: {cluster-cidr: fd00:42::/56, service-cidr: \
                fd00:43::/112}\n";
    assert!(plan(&six(vars), "node1").is_ok());
    assert!(plan(&six(""), "node4").is_ok());
}

#[test]
fn an_air_gap_is_not_for_docker() {
    let vars = "    k3s_airgap: yes\n    k3s_config: {docker: yes}\n";
    let error = refused(&inventory(vars), "node4");
    assert!(error.contains("k3s_airgap"), "{error}");
}

#[test]
fn labels_that_a_kubelet_would_not_start_with() {
    let label = "node-role.kubernetes.io/worker";
    for vars in [
        format!("    node_labels: {{{label}: \"\"}}\n"),
        format!("    k3s_config: {{node-label: [a=b, {label}=x]}}\n"),
        format!("    k3s_config: {{node-label+: {label}=x}}\n"),
    ] {
        let error = refused(&inventory(&vars), "node4");
        assert!(error.contains(label), "{error}");
        assert!(error.contains("kubectl label"), "{error}");
    }
}

#[test]
fn what_expressions_give_is_checked_as_well() {
    for (vars, said) in [
        ("k3s_version: \"{{ 'stable' }}\"", "k3s_version"),
        ("k3s_version: \"{{ nothing }}\"", "undefined"),
        ("k3s_config: \"{{ 'text' }}\"", "a mapping"),
        ("control_plane_endpoint: \"{{ 'a b' }}\"", "host or host:port"),
        ("node_labels: \"{{ ['a=b\\nc'] }}\"", "node_labels"),
    ] {
        let error = refused(&inventory(&format!("    {vars}\n")), "node4");
        assert!(error.contains(said), "`{said}`: {error}");
    }
}
