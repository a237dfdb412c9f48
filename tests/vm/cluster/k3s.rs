//! Clusters of k3s.

use super::{Cluster, assert_waited, is_ready, named, settle_all};
use crate::expect::settle;
use serde_json::json;

pub(super) const CONFIG: &str = "build/k3s-config.yml";
pub(super) const THREE: [(&str, &str); 3] = [
    ("node1", "192.168.71.21"),
    ("node2", "192.168.71.22"),
    ("node3", "192.168.71.23"),
];
const HOOK: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: greeting, namespace: default}
data: {text: hello}
";

/// One server and two agents; the agents are up first, and power goes while
/// one of them joins.
#[test]
#[ignore = "boots virtual machines"]
fn k3s_agents_come_before_their_server() {
    let cluster = Cluster::plan(
        &THREE,
        &[
            "k3s_master: {hosts: {node1: }}",
            "k3s_worker: {hosts: {node2: , node3: }}",
        ],
        &[
            "node_labels: {tier: edge}",
            "k3s_config: {node-taint: ['dedicated=lab:NoSchedule']}",
        ],
    );
    cluster.site.write("hooks/post-master-up.yml", HOOK);
    let (one, two, three) =
        (cluster.card("node1"), cluster.card("node2"), cluster.card("node3"));
    assert_ne!(cluster.downloads(), 0);

    let mut second = two.power_on();
    second.wait_for_console("60-k3s-ready: attempt");
    second.cut();
    let mut third = three.power_on();
    third.wait_for_console("60-k3s-ready: attempt");
    let mut first = one.power_on();
    let mut second = two.power_on();
    settle_all(&mut [&mut first, &mut second, &mut third]);
    assert_eq!(cluster.downloads(), 0, "a node has downloaded");
    assert_status(&cluster);
    // Not the second: it was allowed to before it was cut.
    assert_waited(&first, "k3s", "50-k3s");
    assert_waited(&third, "k3s-agent", "50-k3s");

    let nodes = cluster.kubectl(CONFIG, "node1", &["get", "nodes"]).unwrap();
    for (name, address) in THREE {
        let node = named(&nodes, name);
        assert!(is_ready(node), "{node:#}");
        assert_eq!(node["metadata"]["labels"]["tier"], "edge");
        assert_eq!(
            node["spec"]["taints"],
            json!([{"key": "dedicated", "value": "lab", "effect": "NoSchedule"}])
        );
        assert_eq!(node["status"]["addresses"][0]["address"], address);
    }
    let hook = ["get", "configmap", "greeting"];
    let hook = cluster.kubectl(CONFIG, "node1", &hook).unwrap();
    assert_eq!(hook["data"]["text"], "hello");

    // A new card for an agent: the same identity, so it is let in.
    second.cut();
    let two = cluster.card("node2");
    let mut second = two.power_on();
    settle(&mut second);
    let nodes = cluster.kubectl(CONFIG, "node1", &["get", "nodes"]).unwrap();
    assert_eq!(nodes["items"].as_array().unwrap().len(), 3);
    assert!(is_ready(named(&nodes, "node2")));
    second.power_off();
    two.assert_sound();
    first.power_off();
    one.assert_sound();
    third.power_off();
    three.assert_sound();
}

/// `piflash status` has it from the nodes themselves.
fn assert_status(cluster: &Cluster) {
    for (name, address) in THREE {
        let status = cluster.status(name);
        let node = &status["nodes"][0];
        assert_eq!(node["name"], name, "{status:#}");
        assert_eq!(node["address"], address, "{status:#}");
        assert_eq!(node["answered"], true, "{status:#}");
        assert_eq!(node["state"], "done", "{status:#}");
    }
}
