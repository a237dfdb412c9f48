//! Nodes on the loopback: for each a real sshd with the host keys of its
//! card, and behind it a made root with programs that write down that they
//! were called.

use std::{
    collections::BTreeMap,
    fs,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::support::{
    env::{Env, Outcome},
    oracle,
};

/// What a node that is done says.
pub const DONE: &str = r#"{"version":1,"node":"n","state":"done","step":"","attempt":1,"done":6,"steps":6,"percent":100,"since":"2026-11-25T18:00:00Z","error":""}"#;
/// What one says that waits.
pub const WAITING: &str = r#"{"version":1,"node":"n","state":"waiting","step":"50-k3s","attempt":3,"done":4,"steps":6,"percent":66,"since":"2026-11-25T18:00:00Z","error":"no route to the master"}"#;

/// `sudo` with nothing to guard; the flag must be there.
const SUDO: &str = "\
[ \"$1\" = -n ] || { echo 'sudo: a terminal is required' >&2; exit 1; }
shift
[ ! -e $ROOT/password ] || { echo 'sudo: a password is required' >&2; exit 1; }
exec \"$@\"";

/// `piflash-node`: what the real one does, as far as others see it. Every
/// call but `status` is written down, in one file for all nodes.
const NODE_TOOL: &str = r#"case $1 in
status)
    [ ! -e $ROOT/hang ] || sleep 60
    cat $ROOT/status
    exit
    ;;
esac
echo "$NAME: $*" >>$ROOT/../calls
[ ! -e $ROOT/../kubeadm.sh ] || . $ROOT/../kubeadm.sh
case $1:$2 in
kubectl:get)
    [ ! -e $ROOT/apiless ] ||
        { echo "The connection to the server was refused" >&2; exit 1; }
    case $* in
    *--output=json*) . $ROOT/../servers.sh ;;
    *) cat $ROOT/../registered ;;
    esac
    ;;
kubectl:apply) cat >>$ROOT/../applied ;;
kubectl:drain)
    if [ -e $ROOT/../pdb ]; then
        echo "error when evicting pods/\"db-0\" -n \"default\" (will retry" \
            "after 5s): Cannot evict pod as it would violate the pod's" \
            "disruption budget." >&2
        exit 1
    fi
    ;;
kubectl:delete)
    grep -v "^$4 " $ROOT/../registered >$ROOT/../r
    mv $ROOT/../r $ROOT/../registered
    ;;
down:)
    if [ -e $ROOT/stuck ]; then
        echo "piflash-node: 50-k3s failed" >&2
        exit 1
    fi
    echo '{"version":1,"state":"down"}' >$ROOT/status
    # The end of the control plane, if it could not do without this node.
    [ ! -e $ROOT/../breaks ] || : >$ROOT/../$(cat $ROOT/../breaks)/apiless
    ;;
esac"#;

/// What k3s writes onto the Nodes of servers that have etcd; `mute`: not who
/// votes, as before 1.27; `loose`: no finalizer; `sick`: who does not vote.
const SERVERS: &str = r#"awk -v mute="$([ ! -e $ROOT/../mute ] || echo yes)" \
    -v loose="$([ ! -e $ROOT/../loose ] || echo yes)" \
    -v sick="$(cat $ROOT/../sick 2>/dev/null)" '
    $3 ~ /etcd/ {
        ready = $2 ~ /^Ready/ ? "True" : "Unknown"
        printf "%s{\"metadata\":{\"name\":\"%s\",", comma, $1
        printf "\"labels\":{\"node-role.kubernetes.io/etcd\":\"true\"},"
        if (!loose) {
            at = "wrangler.cattle.io/managed-etcd-controller"
            printf "\"finalizers\":[\"%s\"],", at
        }
        printf "\"annotations\":{\"etcd.k3s.cattle.io/node-name\":\"%s\",", $1
        printf "\"etcd.k3s.cattle.io/node-address\":\"x\"}},"
        printf "\"status\":{\"conditions\":["
        voter = $1 == sick ? "False" : "True"
        if (!mute)
            printf "{\"type\":\"EtcdIsVoter\",\"status\":\"%s\"},", voter
        printf "{\"type\":\"Ready\",\"status\":\"%s\"}]}}", ready
        comma = ","
    }
    BEGIN { printf "{\"items\":[" }
    END { print "]}" }' $ROOT/../registered
"#;

/// An inventory's nodes, built on the demo image.
pub struct Nodes {
    pub env: Env,
    // By name; a test starts and ends them while it looks at others.
    sshds: Mutex<BTreeMap<String, Child>>,
}

impl Nodes {
    /// Builds `names`; `groups` is what the inventory has below `children`.
    pub fn build(names: &[&str], groups: &str) -> Self {
        let env = Env::new();
        let ssh = env.home().join(".ssh");
        fs::create_dir(&ssh).unwrap();
        make_key(&ssh.join("id_ed25519"));
        let hosts: String = names
            .iter()
            .enumerate()
            .map(|(at, name)| {
                format!("    {name}: {{ansible_host: 127.0.0.{}}}\n", at + 1)
            })
            .collect();
        env.write(
            "inventory.yml",
            format!(
                "all:\n  hosts:\n{hosts}  children:\n    raspbian: {{hosts: \
                 {{{}}}}}\n{groups}  vars:\n    ansible_user: ada\n",
                names.iter().map(|n| format!("{n}: , ")).collect::<String>(),
            ),
        );
        let args = ["build", "--all", "--image", "demo", "--offline"];
        let outcome = env.run(&args);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        // What this test is about is written by itself.
        for file in ["k3s-config.yml", "k8s-config.yml"] {
            drop(fs::remove_file(env.work().join("build").join(file)));
        }
        let nodes = Self { env, sshds: Mutex::default() };
        let rows = names.iter().map(|name| format!("{name} Ready x 1m v1\n"));
        nodes.write("registered", rows.collect::<String>());
        nodes.write("servers.sh", SERVERS);
        nodes
    }

    /// A k3s cluster: the first `masters` of `names` are its masters.
    pub fn k3s(names: &[&str], masters: usize) -> Self {
        Self::cluster("k3s", names, masters)
    }

    pub fn cluster(kind: &str, names: &[&str], masters: usize) -> Self {
        let list = |names: &[&str]| {
            names.iter().map(|n| format!("{n}: , ")).collect::<String>()
        };
        let (first, rest) = names.split_at(masters);
        let groups = format!(
            "    {kind}_master: {{hosts: {{{}}}}}\n    {kind}_worker: \
             {{hosts: {{{}}}}}\n",
            list(first),
            list(rest)
        );
        let nodes = Self::build(names, &groups);
        // One server of k3s has SQLite.
        let roles = match (kind, masters) {
            ("k3s", 2..) => "control-plane,etcd",
            _ => "control-plane",
        };
        let rows = names.iter().enumerate().map(|(at, name)| {
            let roles = if at < masters { roles } else { "<none>" };
            format!("{name} Ready {roles} 1m v1\n")
        });
        nodes.write("registered", rows.collect::<String>());
        for name in names {
            nodes.start(name, DONE);
        }
        nodes
    }

    /// The directory of the nodes' roots, and of what all share.
    pub fn path(&self, path: &str) -> PathBuf {
        self.env.work().join("nodes").join(path)
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        self.env.write(&format!("nodes/{path}"), text);
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    /// Powers a node up that says `status`.
    pub fn start(&self, name: &str, status: &str) -> u16 {
        self.start_with(name, status, None)
    }

    /// The same, with another host key than the card's.
    pub fn start_with(
        &self,
        name: &str,
        status: &str,
        host_key: Option<&Path>,
    ) -> u16 {
        self.write(&format!("{name}/status"), format!("{status}\n"));
        let bin = format!("{name}/bin");
        self.program(name, &format!("{bin}/sudo"), SUDO);
        self.program(name, &format!("{bin}/piflash-node"), NODE_TOOL);
        let card = format!("build/secrets/nodes/{name}/ssh_host_ed25519_key");
        let card = self.env.work().join(card);
        let key = host_key.unwrap_or(&card);
        let (child, port) = sshd(&self.path(name), key, &self.authorized());
        self.stop(name);
        self.sshds.lock().unwrap().insert(name.to_owned(), child);
        self.set_port(name, port);
        port
    }

    /// Powers a node off.
    pub fn stop(&self, name: &str) {
        if let Some(mut child) = self.sshds.lock().unwrap().remove(name) {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn authorized(&self) -> PathBuf {
        self.env.home().join(".ssh/id_ed25519.pub")
    }

    fn program(&self, name: &str, path: &str, lines: &str) {
        let root = self.path(name).display().to_string();
        let text = format!("#!/bin/sh\nROOT={root}\nNAME={name}\n{lines}\n");
        self.write(path, text);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path(path), mode).unwrap();
    }

    /// Writes a port to ssh_config, as nodes have 22 and these cannot; and
    /// whose sshd it is.
    pub fn set_port(&self, name: &str, port: u16) {
        let config = String::from_utf8(self.env.read("build/ssh_config"));
        let whoami = String::from_utf8(oracle::run("id", &["-un"]).unwrap());
        let whoami = whoami.unwrap();
        let mut text = String::new();
        let mut ours = false;
        for line in config.unwrap().lines() {
            if let Some(host) = line.strip_prefix("Host ") {
                ours = host == name;
            }
            let other = ["    Port ", "    User "];
            if !(ours && other.iter().any(|key| line.starts_with(key))) {
                text += &format!("{line}\n");
            }
            if line == format!("Host {name}") {
                text += &format!("    Port {port}\n    User {whoami}");
            }
        }
        self.env.write("build/ssh_config", text);
    }

    /// What was called on which node, in order; forgotten by this.
    pub fn calls(&self) -> Vec<String> {
        let path = self.path("calls");
        let text = fs::read_to_string(&path).unwrap_or_default();
        drop(fs::remove_file(path));
        let lines = text.lines().filter(|line| !line.contains("kubectl get"));
        lines.map(str::to_owned).collect()
    }

    pub fn run(&self, args: &[&str]) -> Outcome {
        let output = self
            .env
            .command()
            .env("PATH", "/usr/bin:/bin")
            .args(args)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Outcome {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for child in self.sshds.lock().unwrap().values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A free port, where nobody listens.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

pub fn make_key(path: &Path) {
    let path = path.to_str().unwrap();
    let args = ["-q", "-t", "ed25519", "-N", "", "-f", path];
    oracle::run("ssh-keygen", &args).unwrap();
}

/// Starts an sshd that finds the node's programs first.
fn sshd(root: &Path, key: &Path, authorized: &Path) -> (Child, u16) {
    if rustix::process::getuid().is_root() {
        fs::create_dir_all("/run/sshd").unwrap();
    }
    let port = free_port();
    let file = root.join("sshd_config");
    // bash reads the builder's own .bashrc for sshd, unless it is told that
    // it is not the first shell: that may take a second each time.
    fs::write(
        &file,
        format!(
            "Port {port}\nListenAddress 0.0.0.0\nUsePAM no\nStrictModes no\n\
             PidFile none\nPasswordAuthentication no\n\
             PermitRootLogin prohibit-password\nHostKey {}\n\
             AuthorizedKeysFile {}\nSetEnv PATH={}:/usr/bin:/bin \
             SHLVL=1\n",
            key.display(),
            authorized.display(),
            root.join("bin").display(),
        ),
    )
    .unwrap();
    let log = fs::File::create(root.join("sshd.log")).unwrap();
    let program = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .expect("no sshd: is Debian's package openssh-server installed?");
    let mut child = Command::new(program)
        .args(["-D", "-e", "-f"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = child.try_wait().unwrap();
        let late = start.elapsed() > Duration::from_secs(60);
        let log = fs::read_to_string(root.join("sshd.log")).unwrap();
        assert!(ended.is_none() && !late, "{ended:?}: {log}");
        sleep(Duration::from_millis(20));
    }
    (child, port)
}
