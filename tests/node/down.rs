//! `piflash down`: who is asked for what, in which order, and what becomes
//! of it when something is in the way.

use super::nodes::{DONE, Nodes, free_port, make_key};
use crate::support::env::Env;

pub const TWO: &str = "\
all:
  hosts:
    node1: {ansible_host: 127.0.0.1}
    node2: {ansible_host: 127.0.0.2}
  children:
    raspbian: {hosts: {node1: , node2: }}
    k3s_master: {hosts: {node1: }}
    k3s_worker: {hosts: {node2: }}
";

const MANIFEST: &str = "apiVersion: v1\nkind: ConfigMap\n";
const ROUGH: &str = "--delete-emptydir-data --force --disable-eviction";

fn drain(node: &str) -> String {
    format!("kubectl drain {node} --ignore-daemonsets --timeout=300s")
}

fn delete(node: &str) -> String {
    format!("kubectl delete node {node} --ignore-not-found --timeout=120s")
}

fn on(node: &str, call: impl AsRef<str>) -> String {
    format!("{node}: {}", call.as_ref())
}

#[test]
fn a_worker_is_drained_deleted_and_uninstalled() {
    let nodes = Nodes::k3s(&["node1", "node2", "node3"], 1);
    nodes.env.write("hooks/pre-master-down.yml", MANIFEST);
    let dry = nodes.run(&["down", "node3", "--dry-run"]);
    assert_eq!(dry.code, Some(0), "{dry}");
    assert_eq!(nodes.calls(), [""; 0]);
    let outcome = nodes.run(&["down", "node3"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let calls = [
        on("node1", drain("node3")),
        on("node1", delete("node3")),
        on("node3", "down"),
        on("node1", delete("node3")),
    ];
    assert_eq!(nodes.calls(), calls);
    assert!(outcome.stderr.contains("node3: down"), "{outcome}");
    // What was shown before is what was done.
    let shown: Vec<String> = dry
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("    on "))
        .map(|line| line.replace("sudo -n piflash-node ", ""))
        .collect();
    assert_eq!(shown, calls);

    // Again: there is nothing left to do.
    let outcome = nodes.run(&["down", "node3"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("node3: is down already"), "{outcome}");
    assert_eq!(nodes.calls(), [""; 0]);
}

#[test]
fn a_whole_cluster_goes_in_order() {
    let names = ["node1", "node2", "node3", "node4"];
    let nodes = Nodes::k3s(&names, 2);
    nodes.env.write(
        "hooks/k3s-pre-master-down.yml",
        "# last\n---\nkind: b\napiVersion: v1\n",
    );
    nodes.env.write("hooks/pre-master-down.yml", MANIFEST);
    nodes.env.write("hooks/k8s-pre-master-down.yml", MANIFEST);
    // Standard input is no terminal.
    let outcome = nodes.run(&["down", "--all"]);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(outcome.stderr.contains("--yes"), "{outcome}");
    assert_eq!(nodes.calls(), [""; 0]);

    let outcome = nodes.run(&["down", "--all", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let rough = |node| format!("{} {ROUGH}", drain(node));
    let mut calls = vec![
        on("node1", "kubectl apply --filename=-"),
        on("node1", "kubectl apply --filename=-"),
        on("node1", "kubectl cordon node3 node4 node2 node1"),
    ];
    for node in ["node3", "node4", "node2"] {
        calls.push(on("node1", rough(node)));
        calls.push(on("node1", delete(node)));
        calls.push(on(node, "down"));
        calls.push(on("node1", delete(node)));
    }
    calls.push(on("node1", rough("node1")));
    calls.push(on("node1", "down"));
    assert_eq!(nodes.calls(), calls);
    let applied = std::fs::read_to_string(nodes.path("applied")).unwrap();
    let hooks = format!("{MANIFEST}# last\n---\nkind: b\napiVersion: v1\n");
    assert_eq!(applied, hooks);
    // Nothing is left, so nothing is asked either.
    for name in names {
        nodes.write(&format!("{name}/apiless"), "");
    }
    let outcome = nodes.run(&["down", "--all"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(nodes.calls(), [""; 0]);
}

/// The user's answer, on a pseudo-terminal of script(1).
#[test]
fn a_whole_cluster_is_asked_about() {
    let nodes = Nodes::k3s(&["node1", "node2"], 1);
    for (typed, code) in [("yes", 1), ("k8s", 1), ("k3s", 0)] {
        let program = env!("CARGO_BIN_EXE_piflash");
        let mut child = std::process::Command::new("script")
            .args(["-qec", &format!("{program} down --all"), "/dev/null"])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", nodes.env.home())
            .env("TERM", "xterm")
            .current_dir(nodes.env.work())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("is Debian's package bsdutils installed?");
        let mut stdin = child.stdin.take().unwrap();
        use std::io::Write;
        stdin.write_all(format!("{typed}\n").as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains("The whole k3s cluster goes down"), "{text}");
        assert_eq!(nodes.calls().is_empty(), code == 1, "{text}");
    }
}

#[test]
fn pods_that_do_not_go_keep_their_node_and_the_masters() {
    let nodes = Nodes::k3s(&["node1", "node2", "node3", "node4"], 2);
    nodes.write("pdb", "");
    let args = ["down", "node2", "node3", "node4"];
    let outcome = nodes.run(&args);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert_eq!(
        nodes.calls(),
        [
            on("node1", "kubectl cordon node3 node4 node2"),
            on("node1", drain("node3")),
            on("node1", drain("node4")),
        ]
    );
    for said in [
        "node3 cannot be drained",
        "disruption budget",
        "uncordon node3",
        "--force",
        "node2 was left as it is",
        "node3 is not down",
    ] {
        assert!(outcome.stderr.contains(said), "{said}: {outcome}");
    }
    nodes.remove("pdb");
    let outcome = nodes.run(&[&args[..], &["--force"]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let calls = nodes.calls();
    let forced = on("node1", format!("{} {ROUGH}", drain("node3")));
    assert!(calls.contains(&forced), "{calls:?}");
    assert!(calls.contains(&on("node2", "down")), "{calls:?}");
}

#[test]
fn local_data_is_kept_unless_the_inventory_says_so() {
    let nodes = Nodes::k3s(&["node1", "node2"], 1);
    let inventory = String::from_utf8(nodes.env.read("inventory.yml"));
    let more = "    k3s_delete_emptydir_data: yes\n";
    nodes.env.write("inventory.yml", inventory.unwrap() + more);
    let args = ["down", "node2", "--drain-timeout", "7"];
    let outcome = nodes.run(&args);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let wanted = "node1: kubectl drain node2 --ignore-daemonsets \
                  --timeout=7s --delete-emptydir-data";
    assert_eq!(nodes.calls()[0], wanted);
}

#[test]
fn a_node_that_is_off_leaves_its_cluster_and_is_a_failure() {
    let nodes = Nodes::k3s(&["node1", "node2", "node3"], 1);
    nodes.stop("node2");
    nodes.write("registered", "node1 Ready\nnode2 NotReady\nnode3 Ready\n");
    let args = ["down", "node2", "node3"];
    let outcome = nodes.run(&args);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert_eq!(
        nodes.calls(),
        [
            // Its pods could not end: there is nothing to wait for.
            on("node1", delete("node2")),
            on("node1", drain("node3")),
            on("node1", delete("node3")),
            on("node3", "down"),
            on("node1", delete("node3")),
        ]
    );
    for said in ["node2 was not uninstalled", "unreachable", "on again"] {
        assert!(outcome.stderr.contains(said), "{said}: {outcome}");
    }
    // It is on again: what was left is done.
    nodes.start("node2", DONE);
    let outcome = nodes.run(&args);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let calls = [on("node2", "down"), on("node1", delete("node2"))];
    assert_eq!(nodes.calls(), calls);
}

#[test]
fn strangers_are_left_alone() {
    let nodes = Nodes::k3s(&["node1", "node2", "node3"], 1);
    let other = nodes.env.work().join("other_key");
    make_key(&other);
    nodes.start_with("node2", DONE, Some(&other));
    nodes.write("node3/password", "");
    let outcome = nodes.run(&["down", "node2", "node3"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    for said in ["HOST KEY CHANGED", "sudo without a password"] {
        assert!(outcome.stderr.contains(said), "{said}: {outcome}");
    }
    let calls = nodes.calls();
    assert!(!calls.iter().any(|call| call.contains("node2")), "{calls:?}");
    assert!(!calls.iter().any(|call| call.starts_with("node3")), "{calls:?}");
}

#[test]
fn without_a_master_that_answers_it_needs_force() {
    let nodes = Nodes::k3s(&["node1", "node2"], 1);
    nodes.stop("node1");
    nodes.set_port("node1", free_port());
    let outcome = nodes.run(&["down", "node2"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("no master"), "{outcome}");
    assert!(outcome.stderr.contains("--force"), "{outcome}");
    assert_eq!(nodes.calls(), [""; 0]);
    // It is done, and how the cluster is nobody knows; again, too.
    for calls in [&[on("node2", "down")][..], &[]] {
        let outcome = nodes.run(&["down", "node2", "--force"]);
        assert_eq!(outcome.code, Some(1), "{outcome}");
        let said = "node2 is down, but is its cluster up?";
        assert!(outcome.stderr.contains(said), "{outcome}");
        assert_eq!(nodes.calls(), calls);
    }

    // A hook that cannot be applied is not left out unseen.
    let nodes = Nodes::k3s(&["node1"], 1);
    nodes.env.write("hooks/pre-server-down.yaml", MANIFEST);
    nodes.write("node1/apiless", "");
    let outcome = nodes.run(&["down", "node1", "--yes"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let said = "hooks/pre-server-down.yaml is to be applied before node1";
    assert!(outcome.stderr.contains(said), "{outcome}");
    assert!(outcome.stderr.contains("was refused"), "{outcome}");
    assert_eq!(nodes.calls(), [""; 0]);
    let outcome = nodes.run(&["down", "node1", "--yes", "--force"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(nodes.calls(), [on("node1", "down")]);
}

#[test]
fn an_uninstall_that_fails_goes_on_at_the_next_run() {
    let nodes = Nodes::k3s(&["node1", "node2"], 1);
    nodes.write("node2/stuck", "");
    let outcome = nodes.run(&["down", "node2"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    for said in ["50-k3s failed", "not uninstalled", "piflash-node logs"] {
        assert!(outcome.stderr.contains(said), "{said}: {outcome}");
    }
    nodes.calls();
    nodes.remove("node2/stuck");
    let outcome = nodes.run(&["down", "node2"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let calls = [on("node2", "down"), on("node1", delete("node2"))];
    assert_eq!(nodes.calls(), calls);
}

/// k3s takes a server out of etcd when its Node is deleted, by another one,
/// which must be sure before the server stops.
#[test]
fn a_server_of_k3s_leaves_etcd_before_it_stops() {
    let nodes = Nodes::k3s(&["node1", "node2", "node3"], 3);
    let order = |node| {
        [
            on("node1", drain(node)),
            on("node1", delete(node)),
            on(node, "down"),
            on("node1", delete(node)),
        ]
    };
    for node in ["node3", "node2"] {
        let outcome = nodes.run(&["down", node]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert_eq!(nodes.calls(), order(node));
        let outcome = nodes.run(&["down", node]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert_eq!(nodes.calls(), [""; 0]);
    }
}

#[test]
fn of_two_servers_of_k3s_one_goes_only_where_etcd_lets_it_go_first() {
    let refused = |nodes: &Nodes, said: &str| {
        let outcome = nodes.run(&["down", "node2"]);
        assert_eq!(outcome.code, Some(1), "{outcome}");
        assert!(outcome.stderr.contains(said), "{said}: {outcome}");
        assert!(outcome.stderr.contains("--force"), "{outcome}");
        assert_eq!(nodes.calls(), [""; 0]);
    };
    let nodes = Nodes::k3s(&["node1", "node2"], 2);
    for (file, content, said) in [
        ("mute", "", "does not say whether node2 votes"),
        ("loose", "", "no finalizer"),
        ("sick", "node1", "node1 does not vote in etcd"),
    ] {
        nodes.write(file, content);
        refused(&nodes, said);
        nodes.remove(file);
    }
    nodes.write("mute", "");
    let outcome = nodes.run(&["down", "node2", "--force"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    nodes.remove("mute");

    // The one that stays does not answer afterwards: that is no success, and
    // neither is doing it again.
    let nodes = Nodes::k3s(&["node1", "node2"], 2);
    nodes.write("breaks", "node1");
    let outcome = nodes.run(&["down", "node2", "--health-timeout", "1"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("was refused"), "{outcome}");
    let outcome = nodes.run(&["down", "node2"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let said = "no other master of the k3s cluster answers";
    assert!(outcome.stderr.contains(said), "{outcome}");
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_done() {
    let nodes = Nodes::k3s(&["node1", "node2"], 1);
    nodes.env.write("hooks/pre-master-down.yml", "kind: [\n");
    for (args, code, said) in [
        (&["down"][..], 2, "<NODE"),
        (&["down", "--all", "node1"], 2, "cannot be used with"),
        (&["down", "node3"], 2, "there are: node1, node2"),
        (&["down", "node1", "--yes"], 2, "pre-master-down.yml"),
        (&["down", "node2", "--drain-timeout", "x"], 2, "invalid"),
        (&["down", "node2", "--build-dir", "no"], 1, "no/ssh_config"),
    ] {
        let outcome = nodes.run(args);
        assert_eq!(outcome.code, Some(code), "{outcome}");
        assert!(outcome.stderr.contains(said), "{said}: {outcome}");
    }
    assert_eq!(nodes.calls(), [""; 0]);

    let env = Env::new();
    env.write("inventory.yml", TWO);
    let args = ["build", "node1", "--image", "demo", "--offline"];
    assert_eq!(env.run(&args).code, Some(0));
    let outcome = env.run(&["down", "node2"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let said = "no card of node2 was built here";
    assert!(outcome.stderr.contains(said), "{outcome}");
}

/// `down` speaks to the cluster, so that it is known; the whole cluster's end
/// is the end of that.
#[test]
fn a_cluster_is_noted_until_all_of_it_is_down() {
    let nodes = Nodes::k3s(&["node1", "node2", "node3"], 2);
    let mark = nodes.env.work().join("build/secrets/k3s/seen-at-work");
    let outcome = nodes.run(&["down", "node3"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(mark.exists());
    // With a master that is off, the cluster would be back.
    nodes.stop("node2");
    let outcome = nodes.run(&["down", "--all", "--yes", "--force"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(mark.exists());
    nodes.start("node2", DONE);
    let outcome = nodes.run(&["down", "--all", "--yes", "--force"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(!mark.exists());
}
