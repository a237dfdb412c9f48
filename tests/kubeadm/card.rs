//! What is on which card.

use super::{inventory, paths, plan, single, text};
use piflash::plan::Plan;

const DATA: &str = "/etc/piflash/k8s";
const STEPS: &str = "/usr/local/lib/piflash/steps";

fn has(plan: &Plan, path: &str) -> bool {
    paths(plan).contains(&path)
}

#[test]
fn each_kind_of_node_has_its_steps() {
    for (node, steps) in [
        ("node1", ["55-k8s-init", "60-k8s-addons"].as_slice()),
        ("node2", &["55-k8s-join"]),
        ("node4", &["55-k8s-join"]),
    ] {
        let plan = plan(&inventory(""), node);
        let all = ["50-k8s-packages", "52-k8s-runtime", "69-k8s-ready"];
        let mut wanted: Vec<String> = all
            .iter()
            .chain(steps)
            .map(|step| format!("{STEPS}/{step}"))
            .collect();
        wanted.sort();
        let mut found: Vec<&str> = paths(&plan);
        found.retain(|path| path.contains("/steps/") && path.contains("k8s"));
        found.sort_unstable();
        assert_eq!(found, wanted, "{node}");
        assert!(has(&plan, "/usr/local/lib/piflash/down/50-k8s"));
        assert!(plan.does.iter().any(|it| it.contains("1.37")), "{plan:?}");
    }
}

/// Keys of the cluster are on masters' cards only.
#[test]
fn a_worker_has_no_authority() {
    let of = |node: &str| plan(&inventory(""), node);
    for node in ["node1", "node2"] {
        let plan = of(node);
        for file in [
            "ca.crt",
            "ca.key",
            "etcd/ca.crt",
            "etcd/ca.key",
            "front-proxy-ca.crt",
            "front-proxy-ca.key",
            "sa.key",
            "sa.pub",
        ] {
            let path = format!("{DATA}/pki/{file}");
            let edit = plan.edits.iter().find(|edit| edit.path == path);
            assert!(edit.is_some_and(|edit| edit.secret), "{node}: {file}");
        }
        // kubeadm init makes it, and reset takes it away: never in place.
        let mut paths = paths(&plan).into_iter();
        assert!(!paths.any(|path| path.starts_with("/etc/kubernetes")));
    }
    let worker = of("node4");
    let mut secret: Vec<&str> = worker
        .edits
        .iter()
        .filter(|edit| edit.secret && edit.path.starts_with(DATA))
        .map(|edit| &*edit.path)
        .collect();
    secret.sort_unstable();
    assert_eq!(
        secret,
        [&*format!("{DATA}/kubeadm.yaml"), &format!("{DATA}/token-id")]
    );
    assert!(!paths(&worker).iter().any(|path| path.contains("pki")));
}

#[test]
fn masters_know_of_each_other() {
    let of = |node: &str, file: &str| {
        text(&plan(&inventory(""), node), &format!("{DATA}/{file}"))
    };
    let others = "192.168.71.22:6443\n192.168.71.23:6443\n";
    assert_eq!(of("node1", "others"), others);
    assert_eq!(of("node2", "earlier"), "");
    assert_eq!(of("node3", "earlier"), "192.168.71.22:6443\n");
    assert_eq!(of("node4", "endpoint"), "192.168.71.21:6443\n");
    assert_eq!(of("node1", "name"), "node1\n");
    let alone = plan(&single(""), "node1");
    assert!(!has(&alone, &format!("{DATA}/others")));
}

#[test]
fn network_and_hooks_are_the_first_masters() {
    let first = plan(&inventory(""), "node1");
    let hooks = text(&first, &format!("{DATA}/hooks.list"));
    assert_eq!(hooks, "post-master-up.yml\nk8s-post-master-up.yml\n");
    let hook = format!("{DATA}/hooks/k8s-post-master-up.yml");
    assert_eq!(text(&first, &hook), "b: 2\n");
    let flannel = text(&first, &format!("{DATA}/kube-flannel.yaml"));
    assert!(!flannel.contains("--iface"), "{flannel}");
    for node in ["node2", "node4"] {
        let plan = plan(&inventory(""), node);
        let mut paths = paths(&plan).into_iter();
        let is = |path: &str| path.contains("flannel") || path.contains("hook");
        assert!(!paths.any(is), "{node}");
    }
}

#[test]
fn proxies_reach_what_downloads() {
    let vars = "    proxy_url: http://u:p%40w@10.0.0.1:3128/\n    \
                no_proxy: mirror.lan,10.0.0.0/8\n    \
                pod_network_cidr: 10.7.0.0/16\n";
    let docker = format!("{vars}    container_runtime: docker\n");
    for (vars, units) in [
        (vars, ["containerd", "kubelet"].as_slice()),
        (&docker, &["docker", "containerd", "kubelet"]),
    ] {
        let plan = plan(&inventory(vars), "node4");
        for unit in units {
            let path =
                format!("/etc/systemd/system/{unit}.service.d/http-proxy.conf");
            let edit = plan.edits.iter().find(|edit| edit.path == path);
            assert!(edit.unwrap().secret, "{path}");
            let text = text(&plan, &path);
            for part in [
                "[Service]\n",
                // Of systemd.unit(5), a per cent sign is twice.
                "\"HTTPS_PROXY=http://u:p%%40w@10.0.0.1:3128/\"\n",
                "NO_PROXY=mirror.lan,10.0.0.0/8,",
                "10.7.0.0/16",
                "10.96.0.0/12",
                "192.168.71.21",
                "node2",
            ] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
        // kubectl and kubeadm go by that of whoever calls them.
        let shell = text(&plan, "/etc/environment");
        let direct = shell.lines().find_map(|l| l.strip_prefix("no_proxy="));
        let direct: Vec<&str> = direct.unwrap().split(',').collect();
        for needed in ["mirror.lan", "10.96.0.0/12", "192.168.71.21", "node2"] {
            assert!(direct.contains(&needed), "{needed}: {shell}");
        }
    }
    let without = plan(&inventory(""), "node4");
    let mut paths = paths(&without).into_iter();
    assert!(!paths.any(|path| path.ends_with("http-proxy.conf")));
}

#[test]
fn docker_comes_with_cri_dockerd() {
    let plan = plan(&single("    container_runtime: docker\n"), "node4");
    for (path, said) in [
        ("/usr/local/lib/piflash/cri-dockerd.tgz", "tar"),
        ("/etc/piflash/k8s/socket", "unix:///run/cri-dockerd.sock\n"),
        ("/etc/piflash/k8s/runtime", "docker\n"),
        ("/etc/piflash/k8s/kubeadm.yaml", "unix:///run/cri-dockerd.sock\n"),
        ("/etc/crictl.yaml", "unix:///run/cri-dockerd.sock\n"),
        ("/etc/systemd/system/cri-docker.socket", "/run/cri-dockerd.sock\n"),
        ("/etc/piflash/k8s/packages", "docker-ce\ndocker-ce-cli\n"),
    ] {
        let text = text(&plan, path);
        assert!(text.contains(said), "{path}: {text}");
    }
    assert!(!has(&plan, "/etc/piflash/k8s/containerd-v3.toml"));
}
