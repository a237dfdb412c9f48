//! `down/50-k3s` and `down/50-k8s`: what they take off a node, what stays,
//! and that they may be run in any state.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::ExitStatusExt,
    },
    process::{Child, Command, Output},
};

use super::node::{Node, SHELLS, Shell};
use crate::support::files_under;

const LIB: &str = "usr/local/lib/piflash";
const DATA: &str = "var/lib/rancher/k3s";

/// Rules of a node that has its own firewall.
const RULES: &str = "\
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:KUBE-FIREWALL - [0:0]
:FLANNEL-FWD - [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -m comment --comment \"kubernetes\" -j KUBE-FIREWALL
-A FORWARD -m comment --comment \"flanneld forward\" -j FLANNEL-FWD
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
:CNI-0123 - [0:0]
-A POSTROUTING -s 10.42.0.7/32 -j CNI-0123
COMMIT
";
const OTHERS_RULES: &str = "\
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
COMMIT
";

/// A node with programs that change the made root as the real ones change
/// theirs, and write down that they were called. None of the machine's own
/// may run: the tests may be root's.
fn node(shell: &Shell) -> Node<'_> {
    let node = Node::new(shell, &[("50-join", ":")]);
    for file in ["teardown.sh", "down/50-k3s", "down/50-k8s"] {
        node.install(file, file);
    }
    node.program(
        "systemctl",
        r#"[ "$1" != show ] || {
    [ ! -e "$PIFLASH_ROOT/etc/systemd/system/$5" ] || echo "/etc/$5"
    exit 0
}
echo "systemctl $*" >>"$PIFLASH_ROOT/calls""#,
    );
    node.program(
        "ip",
        r#"case $1:$2 in
netns:list) cat "$PIFLASH_ROOT/netns" 2>/dev/null; exit 0 ;;
netns:delete) rm "$PIFLASH_ROOT/netns" ;;
link:delete) rm -r "$PIFLASH_ROOT/sys/class/net/$3" ;;
*) exit 2 ;;
esac
echo "ip $*" >>"$PIFLASH_ROOT/calls""#,
    );
    node.program(
        "umount",
        r#"echo "umount ${*#$PIFLASH_ROOT}" >>"$PIFLASH_ROOT/calls"
[ "$1" = -l ] && shift || [ ! -e "$PIFLASH_ROOT/busy" ] || exit 1
[ ! -e "$PIFLASH_ROOT/stuck" ] || exit 1
name=$(printf %s "$1" | sed 's/ /\\\\040/g')
grep -vF " $name " "$PIFLASH_ROOT/proc/mounts" >"$PIFLASH_ROOT/m"
mv "$PIFLASH_ROOT/m" "$PIFLASH_ROOT/proc/mounts""#,
    );
    for kind in ["iptables", "ip6tables"] {
        for kind in [kind.to_owned(), format!("{kind}-legacy")] {
            let file = format!("\"$PIFLASH_ROOT/{kind}\"");
            node.program(&format!("{kind}-save"), &format!("cat {file}"));
            let call = format!("echo {kind}-restore >>\"$PIFLASH_ROOT/calls\"");
            let program = format!("cat >{file}; {call}");
            node.program(&format!("{kind}-restore"), &program);
            node.write(&kind, "");
        }
        // As those of a kernel without nftables.
        node.program(&format!("{kind}-nft-save"), "exit 1");
        node.program(&format!("{kind}-nft-restore"), "exit 1");
    }
    node.program("nft", "exit 1");
    node.program("ipset", "exit 1");
    node.program("sync", ":");
    for name in ["docker", "kubeadm", "apt-get", "apt-mark", "dpkg-query"] {
        node.program(name, "exit 1");
    }
    for path in ["proc/self", "sys/class/net/eth0", "sys/fs/cgroup"] {
        fs::create_dir_all(node.path(path)).unwrap();
    }
    node.write("proc/mounts", "/dev/root / ext4 rw 0 0\n");
    node.write("etc/ssh/sshd_config", "Port 22\n");
    node
}

fn calls(node: &Node<'_>) -> Vec<String> {
    let text = fs::read_to_string(node.path("calls")).unwrap_or_default();
    drop(fs::remove_file(node.path("calls")));
    text.lines().map(str::to_owned).collect()
}

fn down(node: &Node<'_>, script: &str) -> Output {
    node.run(&format!("down/{script}"), &[])
}

fn goes_down(node: &Node<'_>, script: &str) {
    let output = down(node, script);
    assert!(output.status.success(), "{output:?}");
}

fn mount(node: &Node<'_>, point: &str) {
    let mounts = node.read("proc/mounts");
    let root = node.path("").display().to_string();
    let root = root.trim_end_matches('/');
    let line = format!("tmpfs {root}/{point} tmpfs rw 0 0\n");
    node.write("proc/mounts", mounts + &line);
}

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
];

fn lay_card(node: &Node<'_>) {
    for (path, mode) in CARD {
        node.write(path, format!("{path}\n"));
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

/// A process that a test may kill, as /proc shows it.
fn process(node: &Node<'_>, command: &str, parent: u32) -> Child {
    let child = Command::new("sleep").arg("600").spawn().unwrap();
    let pid = child.id();
    let command = command.replace(' ', "\0");
    node.write(&format!("proc/{pid}/cmdline"), command);
    let stat = format!("{pid} (a) b) c) S {parent} 1 1 0\n");
    node.write(&format!("proc/{pid}/stat"), stat);
    child
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
            "etc/cni/net.d",
            "run/k3s",
            "run/flannel",
        ] {
            assert!(!node.exists(gone), "{gone}");
        }
        for stays in [
            "etc/ssh/sshd_config",
            "sys/class/net/eth0",
            "usr/local/bin/ctr",
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
            assert_eq!(node.read(path), format!("{path}\n"));
        }
        let now = tree(&node);
        let of_card = |tree: &BTreeMap<String, (String, u32)>| {
            let mut tree = tree.clone();
            let state = ["var/lib/piflash", "etc/systemd/system/multi-user"];
            tree.retain(|path, _| !state.iter().any(|s| path.starts_with(s)));
            tree.remove("iptables");
            tree.remove("ip6tables");
            tree
        };
        let mut expected = of_card(&card);
        let mut found = of_card(&now);
        // `systemctl disable` is only pretended.
        for tree in [&mut expected, &mut found] {
            tree.retain(|path, _| !path.starts_with("netns"));
        }
        assert_eq!(found, expected);
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
        for cut in 1..=30 {
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

#[test]
fn containers_end_and_nothing_else_does() {
    for shell in SHELLS {
        for script in ["50-k3s", "50-k8s"] {
            let node = node(shell);
            let root = node.path("").display().to_string();
            let root = root.trim_end_matches('/').to_owned();
            let shim = match script {
                "50-k3s" => {
                    let bin = format!("{root}/{DATA}/data/0a/bin");
                    format!("{bin}/containerd-shim-runc-v2 -namespace k8s.io")
                }
                _ => format!(
                    "{root}/usr/local/bin/containerd-shim-runc-v2 -namespace \
                     k8s.io -id 1"
                ),
            };
            let shim = process(&node, &shim, 1);
            let pause = process(&node, "/pause", shim.id());
            let server = process(&node, "nginx: master", pause.id());
            let orphan = process(&node, "sleep 1", 1);
            let cgroup = "sys/fs/cgroup/kubepods.slice/x/cgroup.procs";
            node.write(cgroup, format!("0\n1\n{}\n", orphan.id()));
            let others = [
                process(&node, "/usr/sbin/sshd -D", 1),
                process(
                    &node,
                    &format!("vi {root}/{DATA}/data/0a/bin/containerd-shim"),
                    1,
                ),
                process(
                    &node,
                    &format!(
                        "{root}/usr/bin/containerd-shim-runc-v2 -namespace \
                         moby -id 2"
                    ),
                    1,
                ),
            ];
            let path = node.path("proc");
            let reaper = std::thread::spawn(move || {
                for mut child in [shim, pause, server, orphan] {
                    let status = child.wait().unwrap();
                    // As the kernel takes it away.
                    let dir = path.join(child.id().to_string());
                    fs::remove_dir_all(dir).unwrap();
                    assert_eq!(status.signal(), Some(9));
                }
            });
            let watcher = {
                let file = node.path(cgroup);
                std::thread::spawn(move || {
                    reaper.join().unwrap();
                    fs::write(file, "0\n1\n").unwrap();
                })
            };
            goes_down(&node, script);
            watcher.join().unwrap();
            for mut other in others {
                assert_eq!(other.try_wait().unwrap(), None);
                other.kill().unwrap();
                other.wait().unwrap();
            }
        }
    }
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
        let point = "umount -l /var/lib/rancher/k3s/storage";
        let calls = calls(&node);
        assert!(calls.iter().any(|call| call == point), "{calls:?}");

        // A disk at such a directory is emptied, not taken away.
        node.write("var/lib/kubelet/file", "of the cluster\n");
        mount(&node, "var/lib/kubelet");
        goes_down(&node, "50-k3s");
        assert!(node.exists("var/lib/kubelet"));
        assert!(!node.exists("var/lib/kubelet/file"));
        assert!(node.read("proc/mounts").contains("var/lib/kubelet "));
    }
}

#[test]
fn the_docker_directory_goes_if_the_inventory_says_so() {
    for shell in SHELLS {
        for script in ["50-k3s", "50-k8s"] {
            let node = node(shell);
            node.write("var/lib/docker/image", "");
            goes_down(&node, script);
            assert!(node.exists("var/lib/docker/image"));
            node.write("etc/piflash/remove_docker_directory", "");
            mount(&node, "var/lib/docker/overlay2/1/merged");
            goes_down(&node, script);
            assert!(!node.exists("var/lib/docker"));
            let calls = calls(&node);
            let wanted = "umount /var/lib/docker/overlay2/1/merged";
            assert!(calls.iter().any(|call| call == wanted), "{calls:?}");
        }
    }
}

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

#[test]
fn kubectl_is_the_clusters_own_and_for_masters() {
    for shell in SHELLS {
        let mut node = node(shell);
        let show = "echo \"${KUBECONFIG#$PIFLASH_ROOT}:$#:$*\"; cat";
        node.script("usr/local/bin/k3s", show);
        node.program("kubectl", show);
        let ask = |node: &Node<'_>| {
            node.run("piflash-node", &["kubectl", "get", "a b"])
        };
        for (role, config, said) in [
            ("k3s server", "etc/rancher/k3s/k3s.yaml", "3:kubectl get a b"),
            ("k8s master", "etc/kubernetes/admin.conf", "2:get a b"),
        ] {
            node.write("etc/piflash/role", format!("{role}\n"));
            let output = ask(&node);
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1));
            assert!(error.contains("never started here"), "{error}");
            node.write(config, "");
            let output = ask(&node);
            let stdout = String::from_utf8(output.stdout).unwrap();
            assert_eq!(stdout, format!("/{config}:{said}\n"), "{shell:?}");
        }
        for role in ["k3s agent\n", "k8s worker\n", ""] {
            node.write("etc/piflash/role", role);
            let output = ask(&node);
            assert_eq!(output.status.code(), Some(1));
            let error = String::from_utf8(output.stderr).unwrap();
            assert!(error.contains("is for masters"), "{error}");
        }
        node.set("ID", "1000");
        let error = String::from_utf8(ask(&node).stderr).unwrap();
        assert!(error.contains("sudo piflash-node kubectl"), "{error}");
    }
}
