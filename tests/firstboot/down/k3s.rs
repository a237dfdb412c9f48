//! `down/50-k3s`, and `retry` after it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use super::{DATA, OTHERS_RULES, RULES, calls, down, goes_down, mount, node};
use crate::{
    firstboot::node::{Node, SHELLS, Shell},
    support::files_under,
};

const STATUS: &str = "boot/firmware/piflash-status.txt";
const LIB: &str = "usr/local/lib/piflash";

/// What a card has before its first boot, by path: content and mode.
const CARD: &[(&str, u32)] = &[
    ("usr/local/bin/k3s", 0o755),
    ("etc/systemd/system/k3s.service", 0o644),
    ("etc/systemd/system/k3s.service.env", 0o600),
    ("etc/rancher/k3s/config.yaml", 0o600),
    ("etc/rancher/k3s/token", 0o600),
    ("etc/rancher/node/password", 0o600),
    ("var/lib/rancher/k3s/server/tls/server-ca.crt", 0o600),
    ("var/lib/rancher/k3s/server/tls/server-ca.key", 0o600),
    ("var/lib/rancher/k3s/server/tls/client-ca.key", 0o600),
    ("var/lib/rancher/k3s/server/tls/etcd/peer-ca.key", 0o600),
    ("var/lib/rancher/k3s/server/tls/service.key", 0o600),
    ("var/lib/rancher/k3s/server/manifests/post-master-up.yaml", 0o600),
    ("var/lib/rancher/k3s/agent/images/a b.tar.zst", 0o644),
    // The user's own, by `files`.
    ("etc/piflash/files", 0o600),
    ("var/lib/rancher/k3s/agent/etc/containerd/config.toml.tmpl", 0o640),
    ("var/lib/kubelet/my config.json", 0o600),
    ("etc/cni/net.d/99-mine.conf", 0o644),
];
const FILES: &str = "/etc/cni/net.d/99-mine.conf\n/var/lib/kubelet/my \
    config.json\n/var/lib/rancher/k3s/agent/etc/containerd/config.toml.tmpl\n\
    /etc/motd\n";

/// What one of them has in it.
fn content(path: &str) -> String {
    match path {
        "etc/piflash/files" => FILES.to_owned(),
        path => format!("{path}\n"),
    }
}

fn lay_card(node: &Node<'_>) {
    for (path, mode) in CARD {
        node.write(path, content(path));
        let mode = fs::Permissions::from_mode(*mode);
        fs::set_permissions(node.path(path), mode).unwrap();
    }
    for name in ["kubectl", "crictl"] {
        let link = node.path(&format!("usr/local/bin/{name}"));
        symlink("k3s", link).unwrap();
    }
    // Somebody's own.
    node.write("usr/local/bin/ctr", "mine\n");
    for dir in ["", "/server", "/server/tls"] {
        let path = node.path(&format!("{DATA}{dir}"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    }
}

/// What k3s makes when it runs.
fn run_k3s(node: &Node<'_>) {
    for path in [
        "etc/rancher/k3s/k3s.yaml",
        "etc/systemd/system/multi-user.target.wants/k3s.service",
        "var/lib/rancher/k3s/server/tls/client-admin.key",
        "var/lib/rancher/k3s/server/tls/etcd/server-client.key",
        "var/lib/rancher/k3s/server/db/etcd/member/wal",
        "var/lib/rancher/k3s/server/token",
        "var/lib/rancher/k3s/data/current/bin/containerd",
        "var/lib/kubelet/pods/1/volume/file",
        "var/lib/cni/networks/x",
        "etc/cni/net.d/10-flannel.conflist",
        "run/k3s/containerd/containerd.sock",
        "run/flannel/subnet.env",
    ] {
        node.write(path, "of the cluster\n");
    }
    mount(node, "run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/1");
    mount(node, "var/lib/kubelet/pods/1/volumes/kubernetes.io~secret/a\\040b");
    mount(node, "var/lib/kubelet/pods/1/volumes/kubernetes.io~secret");
    node.write("netns", "cni-0123 (id: 0)\n");
    for link in ["cni0", "flannel.1", "veth1"] {
        fs::create_dir_all(node.path(&format!("sys/class/net/{link}")))
            .unwrap();
    }
    let master = node.path("sys/class/net/veth1/master");
    symlink("../cni0", master).unwrap();
    node.write("iptables", RULES);
    node.write("ip6tables", OTHERS_RULES);
}

/// Files, links and modes below the root, without those of tests and logs.
fn tree(node: &Node<'_>) -> BTreeMap<String, (String, u32)> {
    let root = node.path("");
    let ours = ["programs", "applets", "calls", "proc", LIB, "var/log", "run"];
    files_under(&root)
        .into_iter()
        .filter_map(|path| {
            let name = path.strip_prefix(&root).unwrap();
            let name = name.display().to_string();
            if ours.iter().any(|dir| name.starts_with(dir)) {
                return None;
            }
            if let Ok(link) = fs::read_link(&path) {
                return Some((name, (link.display().to_string(), 0)));
            }
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            let text = fs::read_to_string(&path).unwrap();
            Some((name, (text, mode & 0o7777)))
        })
        .collect()
}

#[test]
fn k3s_goes_in_order_and_the_second_run_does_nothing() {
    for shell in SHELLS {
        let node = node(shell);
        lay_card(&node);
        run_k3s(&node);
        goes_down(&node, "50-k3s");
        let secrets = "/var/lib/kubelet/pods/1/volumes/kubernetes.io~secret";
        assert_eq!(
            calls(&node),
            [
                "systemctl stop k3s.service",
                "systemctl disable k3s.service",
                "systemctl reset-failed k3s.service",
                "umount /run/k3s/containerd/io.containerd.runtime.v2.task/\
                 k8s.io/1",
                &format!("umount {secrets}/a b"),
                &format!("umount {secrets}"),
                "ip netns delete cni-0123",
                "ip link delete veth1",
                "ip link delete cni0",
                "ip link delete flannel.1",
                "iptables-restore",
                "systemctl daemon-reload",
            ],
            "{shell:?}"
        );
        assert_eq!(node.read("iptables"), OTHERS_RULES);
        for gone in [
            "usr/local/bin/k3s",
            "usr/local/bin/kubectl",
            "etc/systemd/system/k3s.service",
            "etc/rancher",
            "var/lib/rancher",
            "var/lib/kubelet",
            "var/lib/cni",
            "etc/cni/net.d/10-flannel.conflist",
            "run/k3s",
            "run/flannel",
        ] {
            assert!(!node.exists(gone), "{gone}");
        }
        for stays in [
            "etc/ssh/sshd_config",
            "sys/class/net/eth0",
            "usr/local/bin/ctr",
            "etc/cni/net.d/99-mine.conf",
            "usr/local/lib/piflash/provision",
        ] {
            assert!(node.exists(stays), "{stays}");
        }
        let kept = fs::metadata(node.path("var/lib/piflash/kept")).unwrap();
        assert_eq!(kept.permissions().mode() & 0o7777, 0o700);

        let before = tree(&node);
        goes_down(&node, "50-k3s");
        assert_eq!(calls(&node), ["systemctl daemon-reload"]);
        assert_eq!(tree(&node), before);
    }
}

#[test]
fn retry_puts_the_card_back_as_it_was() {
    for shell in SHELLS {
        let node = node(shell);
        lay_card(&node);
        node.remove("usr/local/lib/piflash/down/50-k8s");
        node.provision();
        drop(fs::remove_file(node.path("iptables")));
        let card = tree(&node);
        run_k3s(&node);
        let output = node.run("piflash-node", &["down"]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(node.status()["state"], "down");
        assert!(!node.exists("etc/rancher"));
        // A boot does not bring it back.
        assert!(node.exists("var/lib/piflash/done"));

        let output = node.run("piflash-node", &["retry"]);
        assert!(output.status.success(), "{output:?}");
        for (path, _) in CARD {
            assert_eq!(node.read(path), content(path));
        }
        let now = tree(&node);
        let of_card = |tree: &BTreeMap<String, (String, u32)>| {
            let mut tree = tree.clone();
            let state = ["var/lib/piflash", "etc/systemd/system/multi-user"];
            tree.retain(|path, _| !state.iter().any(|s| path.starts_with(s)));
            for path in ["iptables", "ip6tables", STATUS] {
                tree.remove(path);
            }
            tree
        };
        // `systemctl disable` is only pretended.
        assert_eq!(of_card(&now), of_card(&card));
        for dir in ["", "/server", "/server/tls"] {
            let path = node.path(&format!("{DATA}{dir}"));
            let mode = fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o700, "{dir}");
        }
        assert!(!node.exists("var/lib/piflash/kept"));
        assert!(!node.exists("var/lib/piflash/done"));
        let calls = calls(&node);
        let end = ["systemctl daemon-reload", "systemctl reset-failed"];
        let at = calls.iter().rposition(|call| call == end[0]).unwrap();
        assert!(calls[at + 1].starts_with(end[1]), "{calls:?}");
        node.provision();
        assert_eq!(node.status()["state"], "done");
    }
}

/// Power may go between any two of its commands: whatever it had done, the
/// next run ends where an undisturbed one does.
#[test]
fn down_and_retry_go_on_after_a_cut() {
    for shell in SHELLS {
        let whole = {
            let node = node(shell);
            lay_card(&node);
            run_k3s(&node);
            goes_down(&node, "50-k3s");
            tree(&node)
        };
        // All of them in the shell that is quick.
        let every = if shell_is_busybox(shell) { 6 } else { 1 };
        for cut in (1..=30).step_by(every) {
            let mut node = node(shell);
            lay_card(&node);
            run_k3s(&node);
            // The nth call of `mv`, `rm` or `rmdir` is never made.
            for tool in ["mv", "rm", "rmdir"] {
                let busybox = if shell_is_busybox(shell) {
                    format!("exec busybox {tool} \"$@\"")
                } else {
                    format!("exec /bin/{tool} \"$@\"")
                };
                node.program(
                    tool,
                    &format!(
                        "n=$(cat \"$PIFLASH_ROOT/proc/n\")\n\
                         echo $((n + 1)) >\"$PIFLASH_ROOT/proc/n\"\n\
                         [ $n -ne \"$CUT\" ] || exit 1\n{busybox}"
                    ),
                );
            }
            node.write("proc/n", "1\n");
            node.set("CUT", &cut.to_string());
            let first = down(&node, "50-k3s");
            let made: u32 = node.read("proc/n").trim().parse().unwrap();
            node.set("CUT", "0");
            goes_down(&node, "50-k3s");
            assert_eq!(tree(&node), whole, "{shell:?} {cut} {first:?}");
            if made <= cut {
                assert!(cut > 20, "only {made} calls");
                break;
            }
        }
    }
}

fn shell_is_busybox(shell: &Shell) -> bool {
    format!("{shell:?}").contains("busybox")
}

/// A disk of somebody's below a directory that goes.
#[test]
fn what_is_still_mounted_is_never_removed() {
    for shell in SHELLS {
        let node = node(shell);
        lay_card(&node);
        node.write("var/lib/rancher/k3s/storage/data", "precious\n");
        mount(&node, "var/lib/rancher/k3s/storage");
        node.write("stuck", "");
        let output = down(&node, "50-k3s");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let data = "var/lib/rancher/k3s/storage/data";
        assert_eq!(node.read(data), "precious\n");
        // One that is busy is detached.
        node.remove("stuck");
        node.write("busy", "");
        calls(&node);
        goes_down(&node, "50-k3s");
        let calls = calls(&node);
        let lazy = calls.iter().find(|call| call.starts_with("umount -l "));
        let point = lazy.expect("a lazy umount");
        assert!(point.ends_with("/var/lib/rancher/k3s/storage"), "{point}");

        // A disk at such a directory is emptied, not taken away.
        node.write("var/lib/kubelet/file", "of the cluster\n");
        mount(&node, "var/lib/kubelet");
        goes_down(&node, "50-k3s");
        assert!(node.exists("var/lib/kubelet"));
        assert!(!node.exists("var/lib/kubelet/file"));
        assert!(node.read("proc/mounts").contains("var/lib/kubelet "));
    }
}
