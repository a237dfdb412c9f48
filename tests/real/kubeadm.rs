//! Clusters of kubeadm.

use super::{Real, pods, power_on, power_on_at};
use crate::{
    cluster::{is_ready, named, settle_all},
    expect::settle,
};
use std::{thread, time::Duration};

const CONFIG: &str = "build/k8s-config.yml";
const NODES: [(&str, &str); 3] = [
    ("node5", "192.168.71.25"),
    ("node6", "192.168.71.26"),
    ("node7", "192.168.71.27"),
];
const ROLE: &str = "node-role.kubernetes.io/control-plane";

/// A master and two workers, all powered up at once: nobody puts a hand on
/// one. A pod on each reaches a pod on every other, and a service by name.
#[test]
#[ignore = "boots virtual machines, and needs PIFLASH_REAL"]
fn kubeadm_master_and_two_workers() {
    let real = Real::plan(
        &NODES,
        &[
            "k8s_master: {hosts: {node5: }}",
            "k8s_worker: {hosts: {node6: , node7: }}",
        ],
        &["node_labels: {tier: edge}"],
    );
    let nodes = NODES.map(|(name, _)| real.card(name));
    let [mut master, mut second, mut third] =
        [0, 1, 2].map(|index| power_on(&nodes[index]));
    settle_all(&mut [&mut master, &mut second, &mut third]);

    let list = real.cluster.kubectl(CONFIG, "node5", &["get", "nodes"]);
    let list = list.unwrap();
    for (name, address) in NODES {
        let node = named(&list, name);
        assert!(is_ready(node), "{node:#}");
        assert_eq!(node["metadata"]["labels"]["tier"], "edge");
        assert_eq!(node["status"]["addresses"][0]["address"], address);
        let labels = &node["metadata"]["labels"];
        assert_eq!(labels[ROLE].is_string(), name == "node5", "{labels}");
        let status = &real.cluster.status(name)["nodes"][0];
        assert_eq!(status["state"], "done", "{status:#}");
    }
    pods::assert_reach(&mut master, &real.programs.image(), NODES.len());

    // A worker is taken out, and its card, flashed again, comes back.
    let down = real.cluster.piflash(&["down", "node7", "--yes"]);
    let said = String::from_utf8_lossy(&down.stderr);
    assert!(down.status.success(), "{said}");
    third.sh("test ! -e /etc/kubernetes && test ! -e /var/lib/kubelet");
    let list = real.cluster.kubectl(CONFIG, "node5", &["get", "nodes"]);
    assert_eq!(list.unwrap()["items"].as_array().unwrap().len(), 2);
    third.power_off();
    let again = real.card("node7");
    let mut third = power_on(&again);
    settle(&mut third);
    pods::assert_reach(&mut master, &real.programs.image(), NODES.len());
    for guest in [third, second, master] {
        guest.power_off();
    }
    for node in &nodes[..2] {
        node.assert_sound();
    }
    again.assert_sound();
}

/// Power goes in the middle of init and of join.
#[test]
#[ignore = "boots virtual machines, and needs PIFLASH_REAL"]
fn kubeadm_power_goes_in_init_and_join() {
    let real = Real::plan(
        &NODES[..2],
        &["k8s_master: {hosts: {node5: }}", "k8s_worker: {hosts: {node6: }}"],
        &[],
    );
    let (one, two) = (real.card("node5"), real.card("node6"));
    let mut worker = power_on(&two);
    for text in ["[certs] Generating", "[wait-control-plane] Waiting"] {
        let mut master = power_on(&one);
        master.wait_for_console(text);
        thread::sleep(Duration::from_secs(2));
        master.cut();
    }
    let mut master = power_on(&one);
    for text in ["[preflight] Running", "[kubelet-start]"] {
        worker.wait_for_console(text);
        worker.cut();
        worker = power_on(&two);
    }
    settle_all(&mut [&mut master, &mut worker]);
    pods::assert_reach(&mut master, &real.programs.image(), 2);
    worker.power_off();
    two.assert_sound();
    master.power_off();
    one.assert_sound();
}

/// Three masters, of cards that lay in a drawer for a year; the third is
/// taken out, flashed again, and joins once more.
#[test]
#[ignore = "boots virtual machines, and needs PIFLASH_REAL"]
fn kubeadm_three_masters() {
    let real = Real::plan(
        &NODES,
        &["k8s_master: {hosts: {node5: , node6: , node7: }}"],
        &["node_taints: []"],
    );
    let nodes = NODES.map(|(name, _)| real.card(name));
    let [mut first, mut second, mut third] =
        [0, 1, 2].map(|index| power_on_at(&nodes[index], "+1 year"));
    settle_all(&mut [&mut first, &mut second, &mut third]);
    pods::assert_reach(&mut first, &real.programs.image(), NODES.len());
    assert_eq!(pods::etcd_members(&mut first), 3);

    let down = real.cluster.piflash(&["down", "node7", "--yes"]);
    let said = String::from_utf8_lossy(&down.stderr);
    assert!(down.status.success(), "{said}");
    assert_eq!(pods::etcd_members(&mut first), 2);
    third.power_off();
    let again = real.card("node7");
    let mut third = power_on_at(&again, "+1 year");
    settle(&mut third);
    assert_eq!(pods::etcd_members(&mut first), 3);
    for guest in [third, second, first] {
        guest.power_off();
    }
}
