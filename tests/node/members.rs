//! Masters of kubeadm on the loopback, whose etcd is a real one and votes.
//! What answers as their API server answers as long as its own member of
//! etcd reads by consensus, and keeps the list of Nodes there.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use super::nodes::{Nodes, free_port};
use crate::support::{env::Outcome, oracle};

/// `piflash-node` of such a master: `kubectl` by its API server, and `down`
/// with `kubeadm reset` as it is (kubeadm 1.36, `cmd/phases/reset`): by the
/// API at the endpoint of the cluster it looks for its own Node; without it
/// no member is removed; the data are wiped all the same, and it exits 0.
const KUBEADM: &str = r#"ETCDCTL_API=3
export ETCDCTL_API
all=$ROOT/..
port=$(cat $all/port)
url() { echo "http://$(cat $all/$1/address):$port"; }
ask() {
    server=$(url $1)
    shift
    etcdctl --command-timeout=3s --dial-timeout=1s --endpoints=$server "$@"
}
# The API server of a master: a static pod, and etcd behind it.
api() {
    [ -e $all/$1/manifest ] && ask $1 get health >/dev/null 2>&1 || {
        echo "The connection to the server $1:6443 was refused" >&2
        return 1
    }
}
# Power of the builder's machine goes after the nth call that changes much.
done_with() {
    n=$(($(cat $all/count 2>/dev/null || echo 0) + 1))
    echo $n >$all/count
    [ "$n" != "$(cat $all/cut 2>/dev/null)" ] || {
        until [ -s $all/piflash.pid ]; do sleep 0.01; done
        kill -9 $(cat $all/piflash.pid)
    }
}
reset() {
    endpoint=$(cat $all/endpoint)
    if ! api $endpoint 2>/dev/null || [ -e $ROOT/lost ]; then
        echo "W: [reset] Unable to fetch the kubeadm-config ConfigMap" \
            "from cluster: failed to get config map"
    elif ! ask $endpoint get --print-value-only /nodes/$NAME | grep -q .; then
        echo "W: [reset] Unable to fetch the kubeadm-config ConfigMap" \
            "from cluster: failed to get node registration: failed to get" \
            "corresponding node: nodes \"$NAME\" not found"
    else
        id=$(ask $endpoint member list | grep -F ", $NAME, " | cut -d , -f 1)
        [ -z "$id" ] || ask $endpoint member remove $id ||
            echo "W: [reset] Failed to remove etcd member"
    fi
    rm -f $ROOT/manifest $ROOT/kubelet
    kill -9 $(cat $ROOT/etcd.pid) 2>/dev/null
    rm -rf $ROOT/etcd
}
case $1:$2 in
kubectl:*) api $NAME || exit 1 ;;
esac
case $1:$2 in
kubectl:get) ask $NAME get --prefix --print-value-only /nodes/ | grep . ;;
kubectl:cordon) ;;
kubectl:drain)
    [ -e $all/$3/kubelet ] || {
        echo "error: drain did not complete within 300s" >&2
        exit 1
    }
    ask $NAME put /nodes/$3 \
        "$3 Ready,SchedulingDisabled control-plane 1m v1" >/dev/null
    done_with
    ;;
kubectl:delete)
    ask $NAME del /nodes/$4 >/dev/null || exit 1
    done_with
    ;;
kubectl:--namespace=kube-system)
    [ "$4 $5 $6" = "etcd-$NAME -- etcdctl" ] || exit 1
    shift 6
    for word; do
        shift
        case $word in
        --endpoints=https://127.0.0.1:2379 | --ca*=* | --cert=* | --key=*) ;;
        *) set -- "$@" "$word" ;;
        esac
    done
    ask $NAME "$@" || {
        echo "command terminated with exit code 1" >&2
        exit 1
    }
    [ "$1 $2" != "member remove" ] || done_with
    ;;
down:)
    echo '{"version":1,"state":"going down"}' >$ROOT/status
    [ ! -e $ROOT/manifest ] || reset
    if [ -e $ROOT/cut ]; then
        rm $ROOT/cut
        exit 1
    fi
    echo '{"version":1,"state":"down"}' >$ROOT/status
    done_with
    ;;
*) exit 1 ;;
esac
exit 0
"#;

/// A cluster of masters alone; the first is its endpoint.
pub struct Masters {
    pub nodes: Nodes,
    etcds: Vec<(String, Child)>,
    port: u16,
    peer_port: u16,
}

impl Masters {
    /// So many masters, `node1` and so on, all of them well.
    pub fn start(count: usize) -> Self {
        let names: Vec<String> =
            (1..=count).map(|n| format!("node{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let nodes = Nodes::cluster("k8s", &names, count);
        let (port, peer_port) = (free_port(), free_port());
        nodes.write("kubeadm.sh", KUBEADM);
        nodes.write("port", port.to_string());
        nodes.write("endpoint", "node1");
        let mut masters = Self { nodes, etcds: Vec::new(), port, peer_port };
        let peers: Vec<String> = names
            .iter()
            .map(|name| format!("{name}={}", masters.url(name, peer_port)))
            .collect();
        for name in &names {
            masters.start_etcd(name, &peers.join(","));
        }
        for name in names {
            masters.wait_for_etcd(name);
            let row = format!("{name} Ready control-plane 1m v1");
            masters.ask("node1", &["put", &format!("/nodes/{name}"), &row]);
        }
        masters
    }

    fn url(&self, name: &str, port: u16) -> String {
        format!("http://127.0.0.{}:{port}", &name[4..])
    }

    fn start_etcd(&mut self, name: &str, peers: &str) {
        let (client, peer) =
            (self.url(name, self.port), self.url(name, self.peer_port));
        let log = self.nodes.path(&format!("{name}/etcd.log"));
        let log = fs::File::create(log).unwrap();
        let child = Command::new("etcd")
            .args(["--name", name, "--data-dir"])
            .arg(self.nodes.path(&format!("{name}/etcd")))
            .args(["--listen-client-urls", &client])
            .args(["--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", peers])
            .args(["--heartbeat-interval=50", "--election-timeout=500"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{:?}", oracle::missing("etcd", &error))
            });
        let pid = child.id().to_string();
        self.nodes.write(&format!("{name}/etcd.pid"), pid);
        self.nodes.write(
            &format!("{name}/address"),
            format!("127.0.0.{}\n", &name[4..]),
        );
        for file in ["manifest", "kubelet"] {
            self.nodes.write(&format!("{name}/{file}"), "");
        }
        self.etcds.push((name.to_owned(), child));
    }

    fn etcdctl(&self, name: &str, args: &[&str]) -> std::process::Output {
        let endpoint = self.url(name, self.port);
        Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--command-timeout=3s", "--dial-timeout=1s"])
            .args([&format!("--endpoints={endpoint}")])
            .args(args)
            .output()
            .unwrap_or_else(|error| {
                panic!("{:?}", oracle::missing("etcdctl", &error))
            })
    }

    /// What a member of etcd answers.
    pub fn ask(&self, name: &str, args: &[&str]) -> String {
        let output = self.etcdctl(name, args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, as soon as it is done: etcd changes no members before all
    /// have been connected for five seconds.
    pub fn change(&self, name: &str, args: &[&str]) {
        let start = Instant::now();
        while !self.etcdctl(name, args).status.success() {
            assert!(start.elapsed() < Duration::from_secs(60), "{args:?}");
            sleep(Duration::from_millis(200));
        }
    }

    /// Whether a member has a leader and a quorum.
    pub fn is_well(&self, name: &str) -> bool {
        self.etcdctl(name, &["get", "health"]).status.success()
    }

    fn wait_for_etcd(&self, name: &str) {
        let start = Instant::now();
        while !self.is_well(name) {
            let log = self.nodes.path(&format!("{name}/etcd.log"));
            let late = start.elapsed() > Duration::from_secs(60);
            assert!(!late, "{}", fs::read_to_string(log).unwrap());
            sleep(Duration::from_millis(50));
        }
    }

    /// The names of etcd's members, as one of them has it.
    pub fn members(&self, name: &str) -> Vec<String> {
        let list = self.ask(name, &["member", "list"]);
        let mut names: Vec<String> = list
            .lines()
            .map(|line| line.split(", ").nth(2).unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    /// The nodes that are registered.
    pub fn registered(&self, name: &str) -> Vec<String> {
        let args = ["get", "--prefix", "--keys-only", "/nodes/"];
        let keys = self.ask(name, &args);
        let names = keys.lines().filter_map(|key| key.strip_prefix("/nodes/"));
        names.map(str::to_owned).collect()
    }

    /// A master's power goes; nobody can log in either.
    pub fn cut(&mut self, name: &str) {
        self.kill_etcd(name);
        self.nodes.stop(name);
        self.nodes.set_port(name, free_port());
    }

    /// The member of etcd on a master ends, and does not come back.
    pub fn kill_etcd(&mut self, name: &str) {
        for (_, child) in self.etcds.iter_mut().filter(|e| e.0 == name) {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// piflash whose own power goes after so many calls that change much;
    /// says whether it came to that.
    pub fn run_cut(&self, args: &[&str], calls: usize) -> bool {
        for file in ["count", "piflash.pid"] {
            drop(fs::remove_file(self.nodes.path(file)));
        }
        self.nodes.write("cut", calls.to_string());
        let mut child = Command::new(env!("CARGO_BIN_EXE_piflash"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.nodes.env.home())
            .current_dir(self.nodes.env.work())
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.nodes.write("piflash.pid", child.id().to_string());
        let status = child.wait().unwrap();
        self.nodes.remove("cut");
        status.code().is_none()
    }

    pub fn run(&self, args: &[&str]) -> Outcome {
        self.nodes.run(args)
    }

    pub fn exists(&self, path: &str) -> bool {
        Path::exists(&self.nodes.path(path))
    }
}

impl Drop for Masters {
    fn drop(&mut self) {
        for (_, child) in &mut self.etcds {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
