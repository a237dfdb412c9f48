//! The first master.

use std::os::unix::fs::PermissionsExt;

use super::cluster::{cut_everywhere, node, remote, run, seed, told};
use crate::firstboot::node::{Node, SHELLS};

const INIT: &str = "55-k8s-init";
const MEMBER: &str = "var/lib/piflash/k8s/member";

fn is_cluster(node: &Node<'_>, what: &str) {
    for object in ["config", "marked", "token", "addons"] {
        assert!(node.exists(&format!("cluster/{object}")), "{what}: {object}");
    }
    let kubelet = node.read("etc/kubernetes/kubelet.conf");
    assert!(kubelet.contains("kubelet-client-current.pem"), "{what}");
    assert!(node.exists(MEMBER), "{what}");
    assert!(!node.exists("violation"), "{what}: reset though it was complete");
    assert_eq!(
        node.read("etc/kubernetes/pki/ca.key"),
        node.read("etc/piflash/k8s/pki/ca.key"),
        "{what}"
    );
}

#[test]
fn a_cluster_begins_once() {
    for shell in SHELLS {
        let node = node(shell, &[INIT]);
        seed(&node);
        node.provision();
        is_cluster(&node, "first");
        assert_eq!(told(&node, "kubeadm"), ["init"]);
        let mode = |path: &str| {
            let metadata = std::fs::metadata(node.path(path)).unwrap();
            metadata.permissions().mode() & 0o777
        };
        assert_eq!(mode("etc/kubernetes/pki"), 0o700);
        assert_eq!(mode("etc/kubernetes/pki/etcd/ca.key"), 0o600);
        // The token is in the output of kubeadm, and nowhere of ours.
        let log = node.log();
        assert!(log.contains("Using token: ***"), "{log}");
        assert!(!log.contains("0123456789abcdef"), "{log}");
        assert!(!node.exists("run/piflash/kubeadm.yaml"));
        // By hand: nothing happens to it.
        node.remove("var/lib/piflash/stamps/55-k8s-init");
        node.provision();
        assert_eq!(told(&node, "kubeadm"), ["init"]);
    }
}

#[test]
fn a_power_cut_at_any_moment_never_resets_a_cluster() {
    for shell in SHELLS {
        cut_everywhere(shell, INIT, seed, is_cluster);
    }
}

#[test]
fn an_attempt_that_came_to_nothing_is_reset_with_its_authorities_kept() {
    for shell in SHELLS {
        let node = node(shell, &[INIT]);
        seed(&node);
        node.write("no-images", "");
        let failed = run(&node, INIT).unwrap_err();
        let said = "kubeadm init failed: error: error execution phase \
                    wait-control-plane: no image\n";
        assert!(failed.ends_with(said), "{failed}");
        node.remove("no-images");
        run(&node, INIT).unwrap();
        is_cluster(&node, "second");
        let reset = "reset --force --cri-socket unix:///run/c.sock";
        assert_eq!(told(&node, "kubeadm"), ["init", reset, "init"]);
    }
}

/// kubeadm does not flush what it writes: after a power cut, etcd's manifest
/// may be empty beside etcd's data, and kubeadm then resets without them.
#[test]
fn data_of_an_etcd_whose_manifest_was_lost_goes_with_a_reset() {
    for shell in SHELLS {
        let node = node(shell, &[INIT]);
        seed(&node);
        node.write("etc/kubernetes/manifests/etcd.yaml", "");
        node.write("var/lib/etcd/member/snap/db", "");
        run(&node, INIT).unwrap();
        is_cluster(&node, "after the reset");
        let reset = "reset --force --cri-socket unix:///run/c.sock";
        assert_eq!(told(&node, "kubeadm"), [reset, "init"]);
    }
}

/// kubeadm gave up, the API server came all the same.
#[test]
fn an_api_that_is_merely_slow_is_gone_on_with() {
    for shell in SHELLS {
        let node = node(shell, &[INIT]);
        seed(&node);
        node.write("slow", "");
        run(&node, INIT).unwrap_err();
        run(&node, INIT).unwrap();
        is_cluster(&node, "slow");
        assert_eq!(
            told(&node, "kubeadm"),
            [
                "init",
                "init phase upload-config all",
                "init phase mark-control-plane",
                "init phase bootstrap-token",
                "init phase kubelet-finalize all",
                "init phase addon all",
            ]
        );
    }
}

/// Complete, but the mark was not written any more, and now nothing runs:
/// however long it takes, it is not reset.
#[test]
fn a_cluster_that_does_not_answer_is_waited_for() {
    for shell in SHELLS {
        let node = node(shell, &[INIT]);
        seed(&node);
        run(&node, INIT).unwrap();
        node.remove(MEMBER);
        node.remove("cluster/api");
        node.write("dead", "");
        for _ in 0..3 {
            let failed = run(&node, INIT).unwrap_err();
            assert!(failed.contains("does not answer yet"), "{failed}");
        }
        node.remove("dead");
        run(&node, INIT).unwrap();
        is_cluster(&node, "at last");
        assert!(!told(&node, "kubeadm").iter().any(|it| it.contains("reset")));
    }
}

/// Its card was made again, while other masters kept the cluster.
#[test]
fn a_second_cluster_is_not_begun() {
    for shell in SHELLS {
        let node = node(shell, &[INIT]);
        seed(&node);
        let others = "10.0.0.2:6443\n10.0.0.3:6443\n";
        node.write("etc/piflash/k8s/others", others);
        remote(&node, &["10.0.0.3:6443"]);
        let failed = run(&node, INIT).unwrap_err();
        let said = "already runs at https://10.0.0.3:6443";
        assert!(failed.contains(said), "{failed}");
        for way in ["piflash status", "piflash down node3"] {
            assert!(failed.contains(way), "{failed}");
        }
        assert!(!node.exists("etc/kubernetes/pki"));
        // Another cluster that happens to be there.
        node.write("remote/cluster-info", "jws-kubeconfig-other1");
        node.clock();
        run(&node, INIT).unwrap();
        is_cluster(&node, "alone");
        assert!((600..620).contains(&node.uptime()), "{}", node.uptime());
    }
}

/// After a power cut, other masters take minutes until they answer.
#[test]
fn a_cluster_that_is_slow_to_come_back_is_waited_for() {
    for shell in SHELLS {
        let node = node(shell, &[INIT]);
        seed(&node);
        node.write("etc/piflash/k8s/others", "10.0.0.2:6443\n");
        remote(&node, &[]);
        node.program(
            "sleep",
            "cd $PIFLASH_ROOT\n\
             read -r up _ <proc/uptime\n\
             echo \"$((${up%.*} + 5)).25 90.00\" >proc/uptime\n\
             [ ${up%.*} -lt 640 ] ||\n\
             echo https://10.0.0.2:6443 >remote/answers",
        );
        let failed = run(&node, INIT).unwrap_err();
        assert!(failed.contains("already runs at"), "{failed}");
        assert!(told(&node, "kubeadm").is_empty());
    }
}

#[test]
fn network_and_hooks_are_applied_in_order() {
    for shell in SHELLS {
        let node = node(shell, &["60-k8s-addons"]);
        node.write("etc/kubernetes/admin.conf", "");
        for (file, text) in [
            ("kube-flannel.yaml", "flannel\n"),
            ("hooks/z.yml", "first\n"),
            ("hooks/a b.yml", "second\n"),
            ("hooks.list", "z.yml\na b.yml\n"),
        ] {
            node.write(&format!("etc/piflash/k8s/{file}"), text);
        }
        node.program("kubectl", "cat \"$6\" >>$PIFLASH_ROOT/applied");
        run(&node, "60-k8s-addons").unwrap();
        assert_eq!(node.read("applied"), "flannel\nfirst\nsecond\n");
        // What the cluster does not take is tried again.
        node.program("kubectl", "echo 'error: no such kind' >&2; exit 1");
        let failed = run(&node, "60-k8s-addons").unwrap_err();
        assert!(failed.ends_with("error: no such kind\n"), "{failed}");
    }
}

#[test]
fn ready_is_what_the_cluster_says() {
    for shell in SHELLS {
        let node = node(shell, &["69-k8s-ready"]);
        node.write("etc/kubernetes/admin.conf", "");
        node.write("ready", "False");
        node.write("message", "cni plugin not initialized");
        let failed = run(&node, "69-k8s-ready").unwrap_err();
        let said = "not ready in the cluster yet: cni plugin not initialized";
        assert!(failed.contains(said), "{failed}");
        node.write("ready", "True");
        run(&node, "69-k8s-ready").unwrap();
    }
}
