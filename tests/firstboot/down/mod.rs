//! `down/50-k3s` and `down/50-k8s`: what they take off a node, what stays,
//! and that they may be run in any state.

mod containers;
mod k3s;
mod k8s;

use std::{fs, process::Output};

use super::node::{Node, SHELLS, Shell};

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
name=$(printf %s "$1" | sed 's/ /\\040/g')
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
