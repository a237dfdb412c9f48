//! Workers and further masters.

use super::cluster::{cut_everywhere, node, remote, run, seed, told};
use crate::firstboot::node::{Node, SHELLS};

const JOIN: &str = "55-k8s-join";
const RESET: &str = "reset --force --cri-socket unix:///run/c.sock";
const ENDPOINT: &str = "10.0.0.1:6443";

fn is_member(node: &Node<'_>, what: &str) {
    assert!(node.exists("remote/nodes/node3"), "{what}");
    assert!(node.exists("etc/kubernetes/kubelet.conf"), "{what}");
    assert!(node.exists("var/lib/piflash/k8s/member"), "{what}");
    assert!(!node.exists("violation"), "{what}: reset though it was a member");
}

#[test]
fn a_worker_waits_for_its_cluster() {
    for shell in SHELLS {
        let node = node(shell, &[JOIN]);
        remote(&node, &[]);
        let failed = run(&node, JOIN).unwrap_err();
        let said = "waiting for the cluster: nothing at https://10.0.0.1:6443";
        assert!(failed.contains(said), "{failed}");
        assert!(!failed.contains("kubeadm"), "{failed}");
        remote(&node, &[ENDPOINT]);
        node.write("remote/cluster-info", "jws-kubeconfig-other1");
        let failed = run(&node, JOIN).unwrap_err();
        assert!(failed.contains("does not know the token"), "{failed}");
        assert!(told(&node, "kubeadm").is_empty());
        remote(&node, &[ENDPOINT]);
        node.provision();
        is_member(&node, "worker");
        assert!(!node.exists("etc/kubernetes/pki/ca.key"));
        node.remove("var/lib/piflash/stamps/55-k8s-join");
        node.provision();
        assert_eq!(told(&node, "kubeadm"), ["join"]);
    }
}

/// Each look starts kubectl, and all nodes of a cluster look at one API server
/// that has just begun.
#[test]
fn who_waits_does_not_keep_a_processor_busy() {
    for shell in SHELLS {
        let mut node = node(shell, &[JOIN]);
        node.set("PIFLASH_TICK", "1");
        node.set("PIFLASH_CLUSTER_WAIT", "60");
        node.program(
            "sleep",
            "cd $PIFLASH_ROOT/proc && read -r up _ <uptime &&\n\
             echo \"$((${up%.*} + ${1%.*})).25 90.00\" >uptime",
        );
        remote(&node, &[]);
        run(&node, JOIN).unwrap_err();
        assert!(node.uptime() >= 60, "{}", node.uptime());
        let looks = told(&node, "kubectl").len();
        assert!((6..=14).contains(&looks), "{looks} looks in 60 s");
    }
}

/// The real kubectl, which would like to talk to somebody where it has no
/// credentials.
#[test]
fn kubectl_asks_for_nothing() {
    let node = node(&SHELLS[0], &[]);
    node.remove("programs/kubectl");
    node.script(
        "usr/local/lib/piflash/steps/ask",
        ". \"$PIFLASH_ROOT/usr/local/lib/piflash/k8s.sh\"\n\
         answers 127.0.0.1:1 || cat \"$run/cluster-info.error\"",
    );
    let said = run(&node, "ask").unwrap();
    assert!(said.contains("127.0.0.1:1 was refused"), "{said}");
}

#[test]
fn a_power_cut_at_any_moment_never_resets_a_member() {
    for shell in SHELLS {
        let worker = |node: &Node<'_>| remote(node, &[ENDPOINT]);
        cut_everywhere(shell, JOIN, worker, is_member);
        let master = |node: &Node<'_>| {
            remote(node, &[ENDPOINT]);
            seed(node);
        };
        cut_everywhere(shell, JOIN, master, |node, what| {
            is_member(node, what);
            let label = node.read("remote/nodes/node3");
            assert!(label.contains("control-plane\": \"\""), "{what}");
        });
    }
}

#[test]
fn what_was_refused_is_tried_from_the_start() {
    for shell in SHELLS {
        let node = node(shell, &[JOIN]);
        remote(&node, &[ENDPOINT]);
        seed(&node);
        node.write("refused", "");
        let failed = run(&node, JOIN).unwrap_err();
        assert!(failed.contains("kubelet-start: timed out"), "{failed}");
        node.remove("refused");
        run(&node, JOIN).unwrap();
        is_member(&node, "again");
        assert_eq!(told(&node, "kubeadm"), ["join", RESET, "join"]);
    }
}

/// Only a clear no is a reason to reset.
#[test]
fn a_cluster_that_does_not_tell_is_asked_again() {
    for shell in SHELLS {
        for (trouble, clear) in [
            ("Unable to connect to the server: net/http: timeout", false),
            ("Error from server (ServiceUnavailable): try later", false),
            ("Error from server (InternalError): etcd", false),
            ("error: You must be logged in to the server (Unauthorized)", true),
            ("x509: certificate signed by unknown authority", true),
            ("Error from server (Forbidden): nodes", true),
        ] {
            let node = node(shell, &[JOIN]);
            remote(&node, &[ENDPOINT]);
            run(&node, JOIN).unwrap();
            node.remove("var/lib/piflash/k8s/member");
            node.remove("remote/complete");
            node.write("remote/trouble", trouble);
            let again = run(&node, JOIN);
            assert_eq!(again.is_ok(), clear, "{trouble}: {again:?}");
            let resets =
                if clear { &["join", RESET, "join"][..] } else { &["join"] };
            assert_eq!(told(&node, "kubeadm"), resets, "{trouble}");
        }
    }
}

/// Power went between the join and the mark, and the cluster is away.
#[test]
fn without_the_cluster_nothing_is_reset() {
    for shell in SHELLS {
        let node = node(shell, &[JOIN]);
        remote(&node, &[ENDPOINT]);
        run(&node, JOIN).unwrap();
        node.remove("var/lib/piflash/k8s/member");
        remote(&node, &[]);
        for _ in 0..2 {
            run(&node, JOIN).unwrap_err();
        }
        remote(&node, &[ENDPOINT]);
        run(&node, JOIN).unwrap();
        is_member(&node, "back");
        assert_eq!(told(&node, "kubeadm"), ["join"]);
    }
}

#[test]
fn masters_let_earlier_ones_go_first_but_not_for_ever() {
    for shell in SHELLS {
        let node = node(shell, &[JOIN]);
        remote(&node, &[ENDPOINT, "10.0.0.2:6443"]);
        seed(&node);
        node.write("etc/piflash/k8s/earlier", "10.0.0.2:6443\n10.0.0.3:6443\n");
        let said = run(&node, JOIN).unwrap();
        let waited = "waiting for the master at 10.0.0.2:6443\n\
                      waiting for the master at 10.0.0.3:6443\n\
                      going on without it\n";
        assert!(said.contains(waited), "{said}");
        is_member(&node, "third");
        assert_eq!(node.read("etc/kubernetes/pki/ca.key"), "ca.key\n");
    }
}
