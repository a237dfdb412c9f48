//! Clusters of k3s.

use super::{Cluster, is_ready, named};
use crate::{
    expect::settle,
    guest::{Guest, Weather},
};
use serde_json::json;
use std::sync::Arc;

const CONFIG: &str = "build/k3s-config.yml";
const THREE: [(&str, &str); 3] = [
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

/// A card of another build directory, whose cluster has other authorities.
#[test]
#[ignore = "boots virtual machines"]
fn k3s_agent_refuses_another_cluster() {
    let groups =
        ["k3s_master: {hosts: {node1: }}", "k3s_worker: {hosts: {node2: }}"];
    let ours = Cluster::plan(&THREE[..2], &groups, &[]);
    let one = ours.card("node1");
    let mut first = one.power_on();
    let switch = Arc::clone(ours.switch());
    let other = Cluster::on(switch, &THREE[..2], &groups, &[]);
    let two = other.card("node2");
    let mut second = two.power_on();
    settle(&mut first);
    second.wait_for_ssh();
    second.wait("refused", |guest| {
        let log = guest.sh("sudo journalctl -b -u k3s-agent -o cat");
        log.contains("token CA hash does not match").then_some(())
    });
    let nodes = ours.kubectl(CONFIG, "node1", &["get", "nodes"]).unwrap();
    assert_eq!(nodes["items"].as_array().unwrap().len(), 1);
    // The owner of the other one is not let in either.
    let config = other.site.path(CONFIG);
    let config = config.to_str().unwrap();
    let said = ours.kubectl(config, "node1", &["get", "nodes"]).unwrap_err();
    assert!(said.contains("x509") || said.contains("certificate"), "{said}");
}

/// Three servers, of cards that lay in a drawer for a year; then one of them
/// is taken out, and becomes an agent.
#[test]
#[ignore = "boots virtual machines"]
fn k3s_three_servers_a_year_later() {
    let mut cluster = Cluster::plan(
        &THREE,
        &["k3s_master: {hosts: {node1: , node2: , node3: }}"],
        &[],
    );
    let [one, two, three] =
        ["node1", "node2", "node3"].map(|name| cluster.card(name));
    let later = Weather { clock: Some(in_a_year()), ..Weather::default() };
    let (mut first, mut second, mut third) = (
        one.power_on_in(&later),
        two.power_on_in(&later),
        three.power_on_in(&later),
    );
    settle_all(&mut [&mut first, &mut second, &mut third]);
    let role = "node-role.kubernetes.io/control-plane";
    for server in ["node1", "node3"] {
        // By any of them.
        let nodes = cluster.kubectl(CONFIG, server, &["get", "nodes"]).unwrap();
        for (name, _) in THREE {
            let node = named(&nodes, name);
            assert!(is_ready(node), "{node:#}");
            assert_eq!(node["metadata"]["labels"][role], "true");
        }
    }
    let year = first.sh("date +%Y");
    assert_eq!(Some(year.as_str()), later.clock.as_deref().map(|c| &c[..4]));

    let down = cluster.piflash(&["down", "node3", "--yes"]);
    let said = String::from_utf8_lossy(&down.stderr);
    assert!(down.status.success(), "{said}");
    let nodes = cluster.kubectl(CONFIG, "node1", &["get", "nodes"]).unwrap();
    assert_eq!(nodes["items"].as_array().unwrap().len(), 2, "{nodes:#}");
    third.sh("test ! -e /var/lib/rancher && test ! -e /etc/rancher");
    third.sh("test ! -e /usr/local/bin/k3s");
    third.power_off();
    three.assert_sound();

    cluster.set_groups(&[
        "k3s_master: {hosts: {node1: , node2: }}",
        "k3s_worker: {hosts: {node3: }}",
    ]);
    let three = cluster.card("node3");
    let mut third = three.power_on_in(&later);
    settle(&mut third);
    let nodes = cluster.kubectl(CONFIG, "node2", &["get", "nodes"]).unwrap();
    let node = named(&nodes, "node3");
    assert!(is_ready(node), "{node:#}");
    assert!(node["metadata"]["labels"][role].is_null(), "{node:#}");
    for (guest, card) in [(first, &one), (second, &two), (third, &three)] {
        guest.power_off();
        card.assert_sound();
    }
}

/// Waits for several, which come up side by side.
fn settle_all(guests: &mut [&mut Guest<'_>]) {
    for guest in guests {
        settle(guest);
    }
}

/// For `-rtc base=`.
fn in_a_year() -> String {
    let date = ["-u", "-d", "+1 year", "+%Y-%m-%dT%H:%M:%S"];
    let date = crate::support::oracle::run("date", &date).unwrap();
    String::from_utf8(date).unwrap().trim().to_owned()
}
