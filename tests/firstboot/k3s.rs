//! The steps of k3s, with a k3s and a systemd that only pretend.

use super::node::{Node, SHELLS, Shell};

const READY: &str = "steps/60-k3s-ready";
const START: &str = "steps/50-k3s";

/// Says what `answer` says of each call, and writes the calls down.
const K3S: &str = r#"
echo "k3s $* KUBECONFIG=${KUBECONFIG:-}" >>$PIFLASH_ROOT/calls
# As kubectl asks for a name where it has nothing to show.
case $* in
*--kubeconfig* | *--token*) ;;
*) cat >/dev/null; echo 'Please enter Username: ' >&2; exit 1 ;;
esac
[ -z "$(cat)" ] || { echo 'error: that was not for me' >&2; exit 1; }
[ ! -e $PIFLASH_ROOT/answer ] || . $PIFLASH_ROOT/answer
"#;

fn node<'s>(shell: &'s Shell, role: &str) -> Node<'s> {
    let mut node = Node::new(shell, &[]);
    node.set("PIFLASH_READY_WAIT", "3");
    node.write("etc/piflash/role", format!("{role}\n"));
    node.script("usr/local/bin/k3s", K3S);
    node.program("journalctl", "cat $PIFLASH_ROOT/journal 2>/dev/null");
    node.step("50-k3s");
    node.step("60-k3s-ready");
    node
}

fn run(node: &Node<'_>, step: &str) -> (bool, String) {
    let output = node.run(step, &[]);
    let mut text = String::from_utf8(output.stdout).unwrap();
    text += &String::from_utf8(output.stderr).unwrap();
    (output.status.success(), text)
}

fn last(text: &str) -> &str {
    text.trim_end().lines().last().unwrap()
}

#[test]
fn the_unit_of_the_role_is_enabled_and_started() {
    for shell in SHELLS {
        for (role, unit) in [("k3s server", "k3s"), ("k3s agent", "k3s-agent")]
        {
            let node = node(shell, role);
            for _ in 0..2 {
                let (good, said) = run(&node, START);
                assert!(good, "{shell:?}: {said}");
            }
            let once = format!(
                "daemon-reload\nenable {unit}.service\n\
                 start --no-block {unit}.service\n"
            );
            assert_eq!(node.read("systemctl"), once.repeat(2));
            // No other server is asked for.
            assert!(!node.exists("calls"));
        }
    }
}

#[test]
fn what_is_missing_is_said() {
    for shell in SHELLS {
        let node = node(shell, "k8s master");
        for step in [START, READY] {
            let (good, said) = run(&node, step);
            assert!(!good && said.contains("no role of k3s"), "{said}");
        }
        node.write("etc/piflash/role", "k3s agent\n");
        node.remove("usr/local/bin/k3s");
        let (good, said) = run(&node, START);
        assert!(!good && last(&said).contains("/usr/local/bin/k3s"), "{said}");
        assert!(!node.exists("systemctl"));
    }
}

const JOIN: &str = "etc/rancher/k3s/config.yaml.d/50-piflash-join.yaml";
const SERVERS: &str = "https://10.0.0.2:6443\nhttps://10.0.0.3:6443\n";

#[test]
fn the_first_server_begins_the_cluster_if_no_other_is_up() {
    for shell in SHELLS {
        let node = node(shell, "k3s server");
        node.write("etc/piflash/k3s/servers", SERVERS);
        // A server of another cluster is none of this one.
        node.write(
            "answer",
            "echo 'x509: certificate signed by unknown authority' >&2\nexit 1\n",
        );
        // What an earlier attempt has found counts no more.
        node.write(JOIN, "server: old\n");
        node.clock();
        let (good, said) = run(&node, START);
        // Ten minutes: so long may others take after a power cut.
        assert!((600..620).contains(&node.uptime()), "{}", node.uptime());
        assert!(said.contains("10 min more"), "{said}");
        assert!(said.contains("sudo piflash-node begin"), "{said}");
        assert!(good && said.contains("beginning the cluster"), "{said}");
        assert!(!node.exists(JOIN));
        assert!(
            node.read("systemctl").contains("start --no-block k3s.service")
        );
        let calls = node.read("calls");
        for server in SERVERS.lines() {
            let asked = calls.matches(server).count();
            assert!(asked >= 100, "{server}: {asked}");
        }
        let first = calls.lines().next().unwrap();
        for said in [
            "kubectl get --raw /readyz",
            "--server https://10.0.0.2:6443",
            "/var/lib/rancher/k3s/server/tls/server-ca.crt",
            "KUBECONFIG=/dev/null",
        ] {
            assert!(first.contains(said), "{said}: {calls}");
        }
    }
}

#[test]
fn a_first_server_that_was_flashed_again_joins_the_others() {
    for shell in SHELLS {
        for said in [
            "echo ok",
            "echo 'error: You must be logged in to the server \
             (Unauthorized)' >&2; exit 1",
            "echo 'Error from server (Forbidden): forbidden' >&2; exit 1",
        ] {
            let node = node(shell, "k3s server");
            node.write("etc/piflash/k3s/servers", SERVERS);
            // The second one answers, and not at once.
            node.write(
                "answer",
                format!(
                    "case $* in *10.0.0.2*) exit 1 ;; esac\n\
                     [ -e $PIFLASH_ROOT/asked ] ||\n\
                     {{ : >$PIFLASH_ROOT/asked; exit 1; }}\n{said}\n"
                ),
            );
            node.clock();
            let (good, said) = run(&node, START);
            assert!(good && said.contains("joining"), "{said}");
            let join = node.read(JOIN);
            assert_eq!(
                join,
                "cluster-init: false\nserver: \"https://10.0.0.3:6443\"\n"
            );
            let mode = std::fs::metadata(node.path(JOIN)).unwrap();
            let mode =
                std::os::unix::fs::PermissionsExt::mode(&mode.permissions());
            assert_eq!(mode & 0o777, 0o600);
            // It stays so when the step runs again.
            assert!(run(&node, START).0);
            assert_eq!(node.read(JOIN), join);
        }
    }
}

/// node1 with a fresh card after a power cut: the others need nine minutes.
#[test]
fn a_first_server_waits_for_others_that_are_slow() {
    for shell in SHELLS {
        let node = node(shell, "k3s server");
        node.write("etc/piflash/k3s/servers", SERVERS);
        node.write(
            "answer",
            "read -r up _ <$PIFLASH_ROOT/proc/uptime\n\
             [ ${up%.*} -gt 640 ] || exit 1\necho ok\n",
        );
        node.clock();
        let (good, said) = run(&node, START);
        assert!(good && said.contains("joining"), "{said}");
        assert!(node.read(JOIN).contains("https://10.0.0.2:6443"));
        assert!((540..560).contains(&node.uptime()), "{}", node.uptime());
    }
}

#[test]
fn a_new_cluster_is_begun_at_once_if_asked() {
    for shell in SHELLS {
        let node = node(shell, "k3s server");
        let begin = || {
            let output = node.run("piflash-node", &["begin"]);
            let said = String::from_utf8(output.stderr).unwrap();
            (output.status.success(), said)
        };
        // Only who begins a cluster of several.
        let (good, said) = begin();
        assert!(!good && said.contains("does not begin"), "{said}");
        node.write("etc/piflash/k3s/servers", SERVERS);
        node.write("answer", "exit 1\n");
        node.clock();
        assert!(begin().0);
        let (good, said) = run(&node, START);
        assert!(good && said.contains("as asked"), "{said}");
        assert!(node.uptime() < 10);
        assert!(
            node.read("systemctl").contains("start --no-block k3s.service")
        );
        // It is the word of this boot alone.
        node.power_off();
        let (good, said) = run(&node, START);
        assert!(good && !said.contains("as asked"), "{said}");
        assert!(node.uptime() >= 600);
        // A card that only joins does not begin.
        node.write("etc/piflash/join-only", "joins only: see there\n");
        let (good, said) = begin();
        assert!(!good && said.contains("see there"), "{said}");
    }
}

/// Its card was made when the cluster had been seen at work.
#[test]
fn a_card_that_joins_only_never_begins_a_cluster() {
    for shell in SHELLS {
        let node = node(shell, "k3s server");
        node.write("etc/piflash/k3s/servers", SERVERS);
        let way = "If it is gone: piflash build --new-cluster node3";
        node.write("etc/piflash/join-only", format!("{way}\n"));
        node.write("answer", "exit 1\n");
        node.clock();
        node.write("run/piflash/begin", "");
        for _ in 0..3 {
            let (good, said) = run(&node, START);
            assert!(!good, "{said}");
            assert!(last(&said).starts_with("waiting for the cluster"));
            assert!(last(&said).ends_with(way), "{said}");
        }
        assert!(!node.exists("systemctl") && !node.exists(JOIN));
        node.write("answer", "echo ok\n");
        let (good, said) = run(&node, START);
        assert!(good && said.contains("joining"), "{said}");
        assert!(node.read(JOIN).contains("cluster-init: false"));
    }
}

#[test]
fn a_server_that_has_begun_asks_nobody() {
    for shell in SHELLS {
        let node = node(shell, "k3s server");
        node.write("etc/piflash/k3s/servers", SERVERS);
        node.write("var/lib/rancher/k3s/server/db/etcd/name", "node3-1\n");
        node.write("answer", "echo ok\n");
        assert!(run(&node, START).0);
        assert!(!node.exists("calls") && !node.exists(JOIN));
    }
}

#[test]
fn a_node_is_done_when_it_is_ready_in_its_cluster() {
    for shell in SHELLS {
        for (role, kubeconfig) in [
            ("k3s server", "etc/rancher/k3s/k3s.yaml"),
            ("k3s agent", "var/lib/rancher/k3s/agent/kubelet.kubeconfig"),
        ] {
            let node = node(shell, role);
            // k3s makes the file, registers the node, and it becomes ready.
            node.program(
                "sleep",
                &format!(
                    "cd $PIFLASH_ROOT && echo x >>slept\n\
                     case $(wc -l <slept) in\n\
                     *1) mkdir -p $(dirname {kubeconfig})\n\
                     echo 'kind: Config' >{kubeconfig} ;;\n\
                     *2) echo 'printf False' >answer ;;\n\
                     *3) echo 'printf True' >answer ;;\n\
                     esac"
                ),
            );
            node.write(
                "answer",
                "echo 'Error from server (NotFound): nodes \"node3\" not \
                 found' >&2; exit 1\n",
            );
            let (good, said) = run(&node, READY);
            assert!(good, "{shell:?} {role}: {said}");
            assert_eq!(last(&said), "node3 is ready");
            let calls = node.read("calls");
            assert!(calls.contains(kubeconfig), "{calls}");
            assert!(calls.contains("get node node3"), "{calls}");
            // Again, by hand: at once.
            assert!(run(&node, READY).0);
        }
    }
}

#[test]
fn the_last_error_of_k3s_is_what_the_status_says() {
    for shell in SHELLS {
        let node = node(shell, "k3s agent");
        node.write(
            "journal",
            "time=\"2026-11-25T19:00:00Z\" level=info msg=\"Starting\"\n\
             time=\"2026-11-25T19:00:01Z\" level=error msg=\"first\"\n\
             time=\"2026-11-25T19:00:02Z\" level=fatal msg=\"token CA hash \
             does not match the Cluster CA certificate hash\"\n\
             time=\"2026-11-25T19:00:03Z\" level=info msg=\"Starting\"\n",
        );
        let (good, said) = run(&node, READY);
        assert!(!good);
        assert_eq!(
            last(&said),
            "k3s-agent: token CA hash does not match the Cluster CA \
             certificate hash"
        );
        assert!(said.contains("has not made"), "{said}");

        // Nothing in the journal: what kubectl said.
        node.remove("journal");
        node.write("var/lib/rancher/k3s/agent/kubelet.kubeconfig", "x");
        node.write("answer", "echo 'connection refused' >&2; exit 1\n");
        let (good, said) = run(&node, READY);
        assert!(!good);
        assert_eq!(last(&said), "connection refused");
        node.write("answer", "printf Unknown\n");
        let (good, said) = run(&node, READY);
        assert!(!good);
        assert!(last(&said).contains("not ready (Unknown)"), "{said}");
    }
}

/// k3s takes neither for an error, and goes on asking for ever.
#[test]
fn what_k3s_waits_for_is_what_the_status_says() {
    for shell in SHELLS {
        let node = node(shell, "k3s agent");
        let rejected = "Node password rejected, duplicate hostname or \
                        contents of '/etc/rancher/node/password' may not \
                        match server node-passwd entry";
        node.write(
            "journal",
            format!(
                "time=\"2026-11-25T19:00:01Z\" level=error msg=\"first\"\n\
                 time=\"2026-11-25T19:00:02Z\" level=info msg=\"Waiting to \
                 retrieve agent configuration; server is not ready: \
                 {rejected}\"\n\
                 time=\"2026-11-25T19:00:03Z\" level=info msg=\"Starting\"\n"
            ),
        );
        let (good, said) = run(&node, READY);
        assert!(!good);
        assert!(last(&said).ends_with(rejected), "{said}");
    }
}

#[test]
fn a_whole_first_boot_waits_and_then_is_done() {
    for shell in SHELLS {
        let node = node(shell, "k3s server");
        node.write("etc/rancher/k3s/k3s.yaml", "kind: Config\n");
        node.write("answer", "printf False\n");
        // The runner's pause, after the step has failed once.
        node.program(
            "sleep",
            "cp $PIFLASH_ROOT/var/lib/piflash/status.json $PIFLASH_ROOT/seen\n\
             [ -z \"$(grep 'not ready' $PIFLASH_ROOT/seen)\" ] ||\n\
             echo 'printf True' >$PIFLASH_ROOT/answer",
        );
        node.provision();
        assert_eq!(node.status()["state"], "done");
        let log = node.log();
        assert!(log.contains("60-k3s-ready: failed"), "{log}");
        assert!(log.contains("registered, but not ready (False)"), "{log}");
    }
}

#[test]
fn docker_is_installed_once() {
    for shell in SHELLS {
        let node = super::steps::with_apt(shell, &["50-docker"]);
        node.provision();
        assert!(node.exists("installed/docker.io"));
        let calls = node.read("calls");
        node.program("dockerd", "");
        node.remove("var/lib/piflash/stamps/50-docker");
        node.provision();
        assert_eq!(node.read("calls"), calls);
    }
}
