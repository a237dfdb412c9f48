//! Clusters that have been seen at work: no new card begins them again.

use crate::support::{env::Env, plan::four_nodes};

const MARK: &str = "seen-at-work";

/// `masters` masters of `kind` and a worker.
fn site(kind: &str, masters: usize, vars: &str) -> Env {
    let env = Env::new();
    let names: String = (1..=masters).map(|n| format!("node{n}: , ")).collect();
    let groups = format!(
        "    {kind}_master: {{hosts: {{{names}}}}}
    {kind}_worker: {{hosts: {{node4: }}}}
"
    );
    env.write("inventory.yml", four_nodes(&groups, vars));
    env
}

/// Builds, and returns what was said.
fn build(env: &Env, args: &[&str]) -> String {
    let usual = ["build", "--image", "demo", "--offline"];
    let outcome = env.run(&[&usual[..], args].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");
    outcome.stderr
}

fn image(env: &Env) -> Vec<u8> {
    env.read("build/images/node1.img")
}

/// A file of node1's card; none where there is none.
fn file(env: &Env, path: &str) -> Option<String> {
    let place = format!("root:{path}");
    let card = "build/images/node1.img";
    let outcome = env.run(&["inspect", card, &place, "--show-secrets"]);
    (outcome.code == Some(0)).then_some(outcome.stdout)
}

/// What `piflash status` and `down` leave behind.
fn see(env: &Env, kind: &str) {
    let mark = format!("build/secrets/{kind}/{MARK}");
    env.write(&mark, "2026-11-20\n");
    env.chmod(&mark, 0o600);
}

const JOIN_ONLY: &str = "/etc/piflash/join-only";
const STEPS: &str = "/usr/local/lib/piflash/steps";

#[test]
fn a_first_server_of_a_cluster_that_was_seen_joins_only() {
    let env = site("k3s", 3, "");
    let said = build(&env, &["node1"]);
    assert!(said.contains("for ten minutes"), "{said}");
    let first = image(&env);
    let config = "/etc/rancher/k3s/config.yaml";
    assert!(file(&env, config).unwrap().contains("cluster-init: true"));
    assert_eq!(file(&env, JOIN_ONLY), None);

    see(&env, "k3s");
    let said = build(&env, &["node1"]);
    for word in ["since 2026-11-20", "never begins", "--new-cluster node1"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let written = file(&env, config).unwrap();
    let server = "server: \"https://192.168.71.22:6443\"";
    assert!(written.contains(server), "{written}");
    assert!(!written.contains("cluster-init"), "{written}");
    let way = file(&env, JOIN_ONLY).unwrap();
    assert!(way.contains("piflash build --new-cluster node1"), "{way}");
    // Whom it asks, and by what it knows them.
    let servers = file(&env, "/etc/piflash/k3s/servers").unwrap();
    assert!(servers.contains("192.168.71.23"), "{servers}");
    let ca = "/var/lib/rancher/k3s/server/tls/server-ca.crt";
    assert!(file(&env, ca).is_some());
    // The mark is an input like any other.
    let joining = image(&env);
    build(&env, &["node1"]);
    assert!(image(&env) == joining && joining != first);

    // Others have nothing of it.
    let said = build(&env, &["node2", "node4"]);
    assert!(!said.contains("has been seen"), "{said}");

    // The cluster is gone: the same authorities, a new cluster.
    let said = build(&env, &["node1", "--new-cluster"]);
    assert!(said.contains("counts as gone"), "{said}");
    assert!(image(&env) == first);
    build(&env, &["node1"]);
    assert!(image(&env) == first);
}

/// It is not known whether a card was made before the cluster was seen.
#[test]
fn a_card_is_verified_as_it_was_made() {
    let env = site("k3s", 3, "");
    let verify = || {
        let args = ["verify", "build/images/node1.img", "--image", "demo"];
        env.run(&[&args[..], &["--offline"]].concat())
    };
    build(&env, &["node1"]);
    see(&env, "k3s");
    let outcome = verify();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    build(&env, &["node1"]);
    let outcome = verify();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    std::fs::remove_file(env.work().join("build/secrets/k3s").join(MARK))
        .unwrap();
    let outcome = verify();
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

/// There is nobody to be joined: it begins anew, and the loss is said.
#[test]
fn an_only_master_begins_again_and_the_loss_is_said() {
    for kind in ["k3s", "k8s"] {
        let env = site(kind, 1, "");
        build(&env, &["node1"]);
        let first = image(&env);
        see(&env, kind);
        let said = build(&env, &["node1"]);
        for word in ["only master", "without what was stored"] {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert!(image(&env) == first, "{kind}");
        assert_eq!(file(&env, JOIN_ONLY), None);
    }
}

#[test]
fn a_first_master_of_kubeadm_joins_only() {
    let step =
        |env: &Env, name: &str| file(env, &format!("{STEPS}/{name}")).is_some();
    for (endpoint, own) in [("10.0.0.9:6443", false), ("192.168.71.21", true)] {
        let vars = format!("    control_plane_endpoint: {endpoint}\n");
        let env = site("k8s", 3, &vars);
        build(&env, &["node1"]);
        assert!(step(&env, "55-k8s-init") && !step(&env, "55-k8s-join"));
        let others = "/usr/local/lib/piflash/others.sh";
        assert!(file(&env, others).is_some());

        see(&env, "k8s");
        let said = build(&env, &["node1"]);
        assert!(said.contains("never begins"), "{said}");
        // kubeadm finds the cluster at its own address alone.
        let cannot = said.contains("without another");
        assert_eq!(cannot, own, "{said}");
        assert!(step(&env, "55-k8s-join") && !step(&env, "55-k8s-init"));
        let config = file(&env, "/etc/piflash/k8s/kubeadm.yaml").unwrap();
        for word in ["kind: JoinConfiguration", "controlPlane:"] {
            assert!(config.contains(word), "{config}");
        }
        for word in ["InitConfiguration", "ClusterConfiguration"] {
            assert!(!config.contains(word), "{config}");
        }
        let earlier = file(&env, "/etc/piflash/k8s/earlier").unwrap();
        assert_eq!(earlier, "192.168.71.22:6443\n192.168.71.23:6443\n");
        let way = file(&env, JOIN_ONLY).unwrap();
        assert!(way.contains("--new-cluster node1"), "{way}");
    }
}
