//! What kubeadm is told.

use serde_json::{Value, json};

use super::{inventory, keys::unknown, plan, pyyaml, single, text};

const CONFIG: &str = "/etc/piflash/k8s/kubeadm.yaml";
const NODES: [&str; 3] = ["node1", "node2", "node4"];

/// The objects of a node's configuration: known to kubeadm, and the same to
/// two readers.
fn objects(inventory: &str, node: &str) -> Vec<Value> {
    let config = text(&plan(inventory, node), CONFIG);
    let objects = pyyaml(&config);
    let ours: Vec<Value> = serde_saphyr::from_multiple(&config).unwrap();
    assert_eq!(objects, ours, "{config}");
    for object in &objects {
        let unknown = unknown(object);
        assert!(unknown.is_empty(), "{node}: {unknown:?}: {config}");
    }
    objects
}

#[test]
fn every_key_is_known_to_its_version() {
    let more = "    node_labels: {tier: edge, on: \"yes\", empty: }\n    \
                node_taints: [a=b:NoSchedule, c:NoExecute]\n";
    for (version, beta) in
        [("1.24", 3), ("1.30.2-1.1", 3), ("1.31", 4), ("1.37.1-1.1", 4)]
    {
        let vars = format!("    k8s_version: \"{version}\"\n{more}");
        for node in NODES {
            let objects = objects(&inventory(&vars), node);
            let api = format!("kubeadm.k8s.io/v1beta{beta}");
            assert_eq!(objects[0]["apiVersion"], api, "{version}");
            // Each node has its own name servers, in either form.
            let arguments = &objects[0]["nodeRegistration"]["kubeletExtraArgs"];
            let own = match beta {
                3 => &arguments["resolv-conf"],
                _ => &arguments[0]["value"],
            };
            assert_eq!(own, "/etc/resolv.conf", "{arguments}");
        }
    }
    objects(&inventory("    node_taints: []\n"), "node4");
}

#[test]
fn the_first_master_begins_the_cluster() {
    let vars = "    k8s_version: 1.37.1-1.1\n    \
                pod_network_cidr: 10.7.0.0/16\n    \
                control_plane_endpoint: api.lan:7443\n";
    let objects = objects(&inventory(vars), "node1");
    let [init, cluster, kubelet] = &objects[..] else { panic!("{objects:?}") };
    assert_eq!(init["kind"], "InitConfiguration");
    assert_eq!(init["bootstrapTokens"][0]["ttl"], "0s");
    assert_eq!(
        init["localAPIEndpoint"],
        json!({"advertiseAddress": "192.168.71.21", "bindPort": 6443})
    );
    let node = &init["nodeRegistration"];
    assert_eq!(node["name"], "node1");
    assert_eq!(node["criSocket"], "unix:///run/containerd/containerd.sock");
    let arguments = json!([
        {"name": "resolv-conf", "value": "/etc/resolv.conf"},
        {"name": "node-ip", "value": "192.168.71.21"},
    ]);
    assert_eq!(node["kubeletExtraArgs"], arguments);
    // On the node it becomes what is left of the authorities' lives.
    assert_eq!(cluster["certificateValidityPeriod"], "8760h0m0s");
    assert!(node.get("taints").is_none(), "kubeadm's own: {node}");
    assert_eq!(cluster["kubernetesVersion"], "v1.37.1");
    assert_eq!(cluster["controlPlaneEndpoint"], "api.lan:7443");
    assert_eq!(
        cluster["networking"],
        json!({
            "podSubnet": "10.7.0.0/16",
            "serviceSubnet": "10.96.0.0/12",
            "dnsDomain": "cluster.local",
        })
    );
    let names = &cluster["apiServer"]["certSANs"];
    for name in
        ["node2", "192.168.71.21", "192.168.71.23", "api.lan", "127.0.0.1"]
    {
        assert!(names.as_array().unwrap().contains(&json!(name)), "{names}");
    }
    assert_eq!(kubelet["cgroupDriver"], "systemd");
}

#[test]
fn others_join_by_token_and_digest() {
    for (name, ip, endpoint) in [
        ("node2", "192.168.71.22", "192.168.71.21:7443"),
        ("node2", "192.168.71.22", "node1:7443"),
        ("node4", "192.168.71.24", "192.168.71.21:7443"),
    ] {
        let vars = format!("    control_plane_endpoint: {endpoint}\n");
        let objects = objects(&inventory(&vars), name);
        let [join] = &objects[..] else { panic!("{objects:?}") };
        assert_eq!(join["kind"], "JoinConfiguration");
        let discovery = &join["discovery"]["bootstrapToken"];
        assert_eq!(discovery["apiServerEndpoint"], endpoint);
        assert_eq!(discovery["caCertHashes"].as_array().unwrap().len(), 1);
        assert_eq!(join["nodeRegistration"]["name"], name);
        // The first master listens at that port itself, so all do.
        let api = json!({"localAPIEndpoint":
            {"advertiseAddress": ip, "bindPort": 7443}});
        match name {
            "node2" => assert_eq!(join["controlPlane"], api),
            _ => assert!(join.get("controlPlane").is_none(), "{join}"),
        }
    }
}

#[test]
fn labels_and_taints_are_those_of_the_inventory() {
    let vars = "    node_labels: {tier: edge, on: \"yes\"}\n    \
                node_taints: [a=b:NoSchedule, c:NoExecute]\n";
    let own = json!([
        {"key": "a", "value": "b", "effect": "NoSchedule"},
        {"key": "c", "effect": "NoExecute"},
    ]);
    for node in NODES {
        let object = &objects(&inventory(vars), node)[0]["nodeRegistration"];
        let labels =
            json!({"name": "node-labels", "value": "on=yes,tier=edge"});
        let arguments = object["kubeletExtraArgs"].as_array().unwrap();
        assert!(arguments.contains(&labels), "{object}");
        let mut taints = object["taints"].as_array().unwrap().clone();
        if node != "node4" {
            // A master stays one.
            let first = taints.remove(0);
            assert_eq!(first["key"], "node-role.kubernetes.io/control-plane");
        }
        assert_eq!(json!(taints), own, "{node}");
    }
    // An empty list says that a master is to run everything.
    let none = &objects(&single("    node_taints: []\n"), "node1")[0];
    assert_eq!(none["nodeRegistration"]["taints"], json!([]));
    let named = "    node_taints: \
                 [node-role.kubernetes.io/control-plane:NoExecute]\n";
    let named = &objects(&single(named), "node1")[0]["nodeRegistration"];
    assert_eq!(named["taints"].as_array().unwrap().len(), 1);
}

/// By DHCP nobody knows the address before.
#[test]
fn without_an_address_none_is_told() {
    let by_name = single("")
        .replace("192.168.71.21", "one.lan")
        .replace("    gateway: 192.168.71.1\n", "");
    let objects = objects(&by_name, "node1");
    assert_eq!(objects[0]["localAPIEndpoint"], json!({"bindPort": 6443}));
    let arguments = json!([
        {"name": "resolv-conf", "value": "/etc/resolv.conf"},
    ]);
    assert_eq!(objects[0]["nodeRegistration"]["kubeletExtraArgs"], arguments);
    assert_eq!(objects[1]["controlPlaneEndpoint"], "one.lan:6443");
}
