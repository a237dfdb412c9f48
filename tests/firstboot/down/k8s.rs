//! `down/50-k8s`.

use super::{RULES, calls, down, goes_down, node};
use crate::firstboot::node::{Node, SHELLS, Shell};

/// A node that kubeadm made, with Docker and packages on hold.
fn kubeadm_node(shell: &Shell) -> Node<'_> {
    let node = node(shell);
    let log = r#"echo "${0##*/} $*" >>"$PIFLASH_ROOT/calls""#;
    node.program("kubeadm", &format!("{log}\n[ ! -e $PIFLASH_ROOT/bad ]"));
    node.program(
        "docker",
        r#"[ "$1" != ps ] || { cat "$PIFLASH_ROOT/containers"; exit; }
echo "docker $*" >>"$PIFLASH_ROOT/calls"
: >"$PIFLASH_ROOT/containers""#,
    );
    node.program(
        "apt-mark",
        &format!(
            "[ $1 != showhold ] || {{ cat \"$PIFLASH_ROOT/held\"; exit; }}\n{log}"
        ),
    );
    node.program("apt-get", &format!("{log}\n: >\"$PIFLASH_ROOT/packages\""));
    node.program(
        "dpkg-query",
        r#"shift 3
for name; do grep "^$name " "$PIFLASH_ROOT/packages"; done"#,
    );
    node.write("containers", "c1\nc2\n");
    node.write("held", "kubeadm\nkubelet\nkubernetes-cni\ndocker-ce\n");
    node.write(
        "packages",
        "kubeadm hi \nkubelet hi \nkubectl rc \nkubernetes-cni hi \n\
         docker-ce hi \ncontainerd.io ii \n",
    );
    node.write(
        "etc/piflash/k8s/kubeadm.yaml",
        "nodeRegistration:\n  criSocket: \"unix:///var/run/cri-dockerd.sock\"\n",
    );
    for path in [
        "etc/piflash/k8s/pki/ca.key",
        "etc/systemd/system/kubelet.service",
        "etc/kubernetes/admin.conf",
        "etc/kubernetes/pki/ca.key",
        "var/lib/etcd/member/wal",
        "var/lib/kubelet/config.yaml",
        "opt/cni/bin/flannel",
        "etc/cni/net.d/10-flannel.conflist",
        "etc/docker/daemon.json",
    ] {
        node.write(path, "");
    }
    node
}

#[test]
fn kubeadms_node_goes_in_order_and_the_second_run_does_nothing() {
    for shell in SHELLS {
        let node = kubeadm_node(shell);
        node.write("iptables", RULES);
        goes_down(&node, "50-k8s");
        let called = calls(&node);
        let apt = called.iter().position(|call| call.starts_with("apt-get"));
        let apt = called[apt.unwrap()].clone();
        let packages = "kubelet kubeadm kubernetes-cni docker-ce";
        assert!(apt.ends_with(&format!(" remove {packages}")), "{apt}");
        assert_eq!(
            called,
            [
                "kubeadm reset --force --cri-socket \
                 unix:///var/run/cri-dockerd.sock",
                "systemctl stop kubelet.service",
                "systemctl disable kubelet.service",
                "systemctl reset-failed kubelet.service",
                "docker rm --force c1 c2",
                "iptables-restore",
                &format!("apt-mark unhold {packages}"),
                &apt,
                "systemctl daemon-reload",
            ],
            "{shell:?}"
        );
        for gone in [
            "etc/kubernetes",
            "var/lib/etcd",
            "var/lib/kubelet",
            "opt/cni",
            "etc/cni/net.d",
        ] {
            assert!(!node.exists(gone), "{gone}");
        }
        // The card's own, for `retry`, and the runtime's configuration.
        assert!(node.exists("etc/piflash/k8s/pki/ca.key"));
        assert!(node.exists("etc/docker/daemon.json"));

        node.remove("etc/systemd/system/kubelet.service");
        goes_down(&node, "50-k8s");
        assert_eq!(calls(&node), ["systemctl daemon-reload"]);
    }
}

/// kubeadm's reset empties directories of its own.
#[test]
fn files_of_the_user_outlive_the_cluster() {
    for shell in SHELLS {
        let node = kubeadm_node(shell);
        node.remove("usr/local/lib/piflash/down/50-k3s");
        node.program(
            "kubeadm",
            "for dir in etc/kubernetes/pki etc/kubernetes/manifests \
             var/lib/kubelet var/lib/etcd etc/cni/net.d; do
                rm -rf \"$PIFLASH_ROOT/$dir\"/*
            done",
        );
        let stay = ["etc/cni/net.d/99-mine.conf", "opt/cni/bin/my own"];
        let kept = [
            "etc/kubernetes/audit.yaml",
            "etc/kubernetes/pki/mine.crt",
            "var/lib/kubelet/config.json",
        ];
        let mut list = "/etc/motd\n".to_owned();
        for path in stay.iter().chain(&kept) {
            node.write(path, *path);
            list += &format!("/{path}\n");
        }
        node.write("etc/piflash/files", list);
        // It is run again after it was cut off.
        node.write("etc/motd", "hello");
        for _ in 0..2 {
            let output = node.run("piflash-node", &["down"]);
            assert!(output.status.success(), "{shell:?} {output:?}");
            for path in stay {
                assert_eq!(node.read(path), path, "{shell:?}");
            }
            for path in kept {
                assert!(!node.exists(path), "{path}");
            }
            for gone in
                ["etc/cni/net.d/10-flannel.conflist", "opt/cni/bin/flannel"]
            {
                assert!(!node.exists(gone), "{gone}");
            }
        }
        let output = node.run("piflash-node", &["retry"]);
        assert!(output.status.success(), "{output:?}");
        for path in stay.iter().chain(&kept) {
            assert_eq!(node.read(path), *path, "{shell:?}");
        }
        assert_eq!(node.read("etc/motd"), "hello");
        assert!(!node.exists("var/lib/piflash/kept"));
    }
}

#[test]
fn a_reset_that_fails_does_not_keep_the_node_up() {
    for shell in SHELLS {
        let node = kubeadm_node(shell);
        node.write("bad", "");
        let output = down(&node, "50-k8s");
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("kubeadm reset failed (1)"), "{said}");
        assert!(!node.exists("var/lib/etcd"));
        // apt fails: the node is not down, and the next run goes on.
        let node = kubeadm_node(shell);
        node.program("apt-get", "echo locked >&2; exit 100");
        assert!(!down(&node, "50-k8s").status.success());
        node.program("apt-get", ": >\"$PIFLASH_ROOT/packages\"");
        goes_down(&node, "50-k8s");
        assert!(!node.exists("etc/kubernetes"));
    }
}
