//! kubeadm and kubectl that keep a cluster in files, and refuse what the real
//! ones refuse.
//!
//! `cluster/` is what this node's own etcd holds, `api` that its API server
//! runs; `remote/` is a cluster elsewhere. Programs end with `power-cut`,
//! where the power may go.

use crate::firstboot::node::{Node, Shell};

/// Where a program reads `$PIFLASH_ROOT`, the files of the pretended world.
const KUBEADM: &str = r#"
cd "$PIFLASH_ROOT"
k=etc/kubernetes
echo "kubeadm $*" >>calls
# As it has ended since 1.34.
die() {
    echo "error: error execution phase $1"
    echo "To see the stack trace of this error execute with --v=5 or higher"
    exit 1
}
seeded() {
    cmp -s etc/piflash/k8s/pki/ca.key $k/pki/ca.key &&
        cmp -s etc/piflash/k8s/pki/etcd/ca.key $k/pki/etcd/ca.key ||
        die "certs: no authority"
}
absent() {
    for path; do
        [ -e "$path" ] || continue
        printf '[preflight] Some fatal errors occurred:\n'
        printf '\t[ERROR FileAvailable]: %s already exists\n' "$path"
        printf '[preflight] If you know what you are doing, ...\n'
        die "preflight: preflight checks failed"
    done
}
configured() {
    for last; do :; done
    grep -q "^kubernetesVersion: v1.37.1$" "$last" || die "config"
    [ "$(stat -c %a "$last")" = 600 ] || die "config: others read it"
    cp "$last" told-config
}
case "$1 ${2:-}" in
'version -o') echo v1.37.1 ;;
'config images')
    [ "$*" = "config images list --kubernetes-version v1.37.1" ] || exit 2
    [ ! -e no-list ] || exit 1
    echo registry.k8s.io/kube-apiserver:v1.37.1
    echo registry.k8s.io/pause:3.10.2
    echo registry.k8s.io/etcd:3.7.0-0
    ;;
'init --config')
    absent $k/admin.conf $k/kubelet.conf $k/manifests/* var/lib/etcd/member
    seeded
    configured "$@"
    power-cut
    : >$k/admin.conf && power-cut
    echo 'client-certificate-data: x' >$k/kubelet.conf && power-cut
    mkdir -p $k/manifests var/lib/etcd cluster
    : >$k/manifests/kube-apiserver.yaml && power-cut
    [ ! -e no-images ] || die "wait-control-plane: no image"
    : >var/lib/etcd/member && power-cut
    : >cluster/api
    [ ! -e slow ] || die "wait-control-plane: timed out"
    for object in config marked token; do
        : >cluster/$object && power-cut
    done
    echo 'client-certificate: kubelet-client-current.pem' >$k/kubelet.conf
    power-cut
    : >cluster/addons && power-cut
    echo "[bootstrap-token] Using token: abcdef.0123456789abcdef"
    ;;
'init phase')
    configured "$@"
    [ -e cluster/api ] || die "$3: no API server"
    case $3 in
    upload-config) : >cluster/config ;;
    mark-control-plane) : >cluster/marked ;;
    bootstrap-token) : >cluster/token ;;
    kubelet-finalize)
        echo 'client-certificate: kubelet-client-current.pem' \
            >$k/kubelet.conf
        ;;
    addon) : >cluster/addons ;;
    *) die "$3: no such phase" ;;
    esac
    power-cut
    ;;
'join --config')
    absent $k/kubelet.conf $k/bootstrap-kubelet.conf
    if [ -d etc/piflash/k8s/pki ]; then seeded; else absent $k/pki/ca.crt; fi
    configured "$@"
    power-cut
    mkdir -p $k/pki remote/nodes
    : >$k/pki/ca.crt && power-cut
    [ ! -d etc/piflash/k8s/pki ] || : >$k/admin.conf
    : >$k/bootstrap-kubelet.conf && power-cut
    [ ! -e refused ] || die "kubelet-start: timed out"
    echo 'client-certificate: kubelet-client-current.pem' >$k/kubelet.conf
    power-cut
    # As a master, it has its taint before its label.
    echo '"key": "node-role.kubernetes.io/control-plane"' >remote/nodes/node3
    power-cut
    rm $k/bootstrap-kubelet.conf && power-cut
    [ ! -d etc/piflash/k8s/pki ] ||
        echo '"node-role.kubernetes.io/control-plane": "",' \
            >remote/nodes/node3
    : >remote/complete && power-cut
    ;;
'reset --force')
    [ "$*" = "reset --force --cri-socket unix:///run/c.sock" ] || exit 2
    [ ! -e cluster/addons ] && [ ! -e remote/complete ] || : >violation
    # It looks into the manifest for where etcd keeps its data; one that
    # says nothing is not its own to it.
    if [ -e $k/manifests/etcd.yaml ] && [ ! -s $k/manifests/etcd.yaml ]; then
        echo '[reset] No etcd config found. Assuming external etcd'
    else
        rm -rf var/lib/etcd
    fi
    rm -rf $k/pki $k/*.conf $k/manifests/* cluster
    power-cut
    ;;
*) die "$*: unknown" ;;
esac
"#;

const KUBECTL: &str = r#"
cd "$PIFLASH_ROOT"
config= server= rest=
while [ $# -gt 0 ]; do
    case $1 in
    --kubeconfig) config=$2 && shift ;;
    --server) server=$2 && shift ;;
    --request-timeout* | --insecure-skip-tls-verify) ;;
    *) rest="$rest $1" ;;
    esac
    shift
done
echo "kubectl$rest" >>calls
no() { echo "$*" >&2 && exit 1; }
case $config:$rest in
*/admin.conf:' get --raw /readyz')
    [ -e cluster/api ] || no "The connection to the server was refused"
    ;;
*/nobody.conf:*/cluster-info)
    grep -q 'username: nobody' "$config" || no 'Please enter Username: error: EOF'
    grep -qx "$server" remote/answers || no "connection refused"
    cat remote/cluster-info
    ;;
*:' get node node3 -o json')
    [ ! -e remote/trouble ] || no "$(cat remote/trouble)"
    [ -e "$config" ] || no "no such file"
    [ -e remote/nodes/node3 ] || no 'nodes "node3" not found (NotFound)'
    cat remote/nodes/node3
    ;;
*:' get node node3 -o jsonpath'*)
    case $rest in
    *.status\}) cat ready ;;
    *) cat message ;;
    esac
    ;;
*/admin.conf:' apply -f '*) cat "${rest##* }" >>applied ;;
*) no "unexpected: $config:$rest" ;;
esac
"#;

/// What a kubelet does when it is started: with what is on the disk, the API
/// server runs again.
const SYSTEMCTL: &str = r#"
cd "$PIFLASH_ROOT"
if [ "$*" = "is-active --quiet systemd-resolved.service" ]; then
    [ -e resolved ]
    exit
fi
echo "systemctl $*" >>calls
if [ "$*" = "start kubelet" ] && [ -e var/lib/etcd/member ] &&
    [ ! -e dead ]; then
    : >cluster/api
fi
"#;

/// A kubeadm node with some real steps.
pub fn node<'s>(shell: &'s Shell, steps: &[&str]) -> Node<'s> {
    let mut node = Node::new(shell, &[]);
    node.install("k8s.sh", "k8s.sh");
    node.install("certificates.sh", "certificates.sh");
    for step in steps {
        node.step(step);
    }
    for (name, lines) in [
        ("kubeadm", KUBEADM),
        ("kubectl", KUBECTL),
        ("systemctl", SYSTEMCTL),
        ("power-cut", ""),
    ] {
        node.program(name, lines);
    }
    for (file, text) in [
        ("name", "node3\n"),
        ("socket", "unix:///run/c.sock\n"),
        ("token-id", "abcdef\n"),
        ("endpoint", "10.0.0.1:6443\n"),
        ("runtime", "containerd\n"),
        ("kubeadm.yaml", "kind: X\n---\nkubernetesVersion: v1.37.0\na: 1\n"),
    ] {
        node.write(&format!("etc/piflash/k8s/{file}"), text);
    }
    std::fs::create_dir_all(node.path("etc/kubernetes/manifests")).unwrap();
    // Once looked at, nothing is waited for.
    for name in [
        "PIFLASH_API_WAIT",
        "PIFLASH_CLUSTER_WAIT",
        "PIFLASH_MEMBER_WAIT",
        "PIFLASH_RUNTIME_WAIT",
    ] {
        node.set(name, "0");
    }
    node
}

/// The cluster's authorities, as a master's card has them.
pub fn seed(node: &Node<'_>) {
    for file in ["ca.key", "ca.crt", "etcd/ca.key"] {
        node.write(&format!("etc/piflash/k8s/pki/{file}"), format!("{file}\n"));
    }
}

/// A cluster elsewhere that answers at these addresses, and knows the token.
pub fn remote(node: &Node<'_>, servers: &[&str]) {
    let lines: String =
        servers.iter().map(|it| format!("https://{it}\n")).collect();
    node.write("remote/answers", lines);
    node.write("remote/cluster-info", "{\"data\":{\"jws-kubeconfig-abcdef\"");
}

/// What programs were told, but for what only looks.
pub fn told(node: &Node<'_>, program: &str) -> Vec<String> {
    let calls = node.read("calls");
    let calls = calls.lines().filter(|line| line.starts_with(program));
    calls
        .filter(|line| !line.contains(" version "))
        .map(|line| {
            let line = line.split(" --config").next().unwrap();
            line[program.len()..].trim().to_owned()
        })
        .collect()
}

/// Runs a step once; its last line where it failed.
pub fn run(node: &Node<'_>, step: &str) -> Result<String, String> {
    let output = node.run(&format!("steps/{step}"), &[]);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    match output.status.success() {
        true => Ok(text),
        false => Err(text),
    }
}

/// Counts the places where the power may go, and kills the process group at
/// the one that is asked for.
pub const CUT: &str = r#"
n=$(($(cat "$PIFLASH_ROOT/moments" 2>/dev/null || echo 0) + 1))
echo "$n" >"$PIFLASH_ROOT/moments"
[ "$n" -ne "${CUT_AT:-0}" ] || kill -9 0
"#;

/// Cuts the power at every place of a step, and boots until it is done;
/// `check` looks at the result.
pub fn cut_everywhere(
    shell: &Shell,
    step: &str,
    prepare: impl Fn(&Node<'_>),
    check: impl Fn(&Node<'_>, &str),
) {
    let made = || {
        let node = node(shell, &[step]);
        node.program("power-cut", CUT);
        for name in ["sync", "mv", "cp"] {
            node.program(
                name,
                &format!("power-cut\n/bin/{name} \"$@\" || exit\npower-cut"),
            );
        }
        prepare(&node);
        node
    };
    let whole = made();
    run(&whole, step).unwrap();
    check(&whole, "no cut");
    let moments: u32 = whole.read("moments").trim().parse().unwrap();
    assert!(moments > 8, "{moments}");
    // Every place in one shell, some of them in the other.
    let stride = if shell.is_busybox() { 4 } else { 1 };
    for at in (1..=moments).step_by(stride) {
        let mut node = made();
        node.set("CUT_AT", &at.to_string());
        let what = format!("{shell:?} cut at {at} of {moments}");
        assert!(!node.run(&format!("steps/{step}"), &[]).status.success());
        // Nothing runs after a power cut.
        drop(std::fs::remove_file(node.path("cluster/api")));
        node.power_off();
        for attempt in 0.. {
            match run(&node, step) {
                Ok(_) => break,
                Err(text) => assert!(attempt < 3, "{what}: {text}"),
            }
        }
        check(&node, &what);
    }
}

/// What people see of a node whose kubeadm fails.
pub struct Shown {
    pub status: serde_json::Value,
    pub log: String,
}

impl Shown {
    /// Boots once with a `kubeadm` that fails, until the node pauses.
    pub fn of_failing(node: &Node<'_>, kubeadm: &str) -> Self {
        node.program("kubeadm", kubeadm);
        // The pause is the end of the test.
        node.program("sleep", "[ \"$1\" != 0 ] || kill -9 0");
        assert!(!node.run("provision", &[]).status.success());
        Self { status: node.status(), log: node.log() }
    }
}
