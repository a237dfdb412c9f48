//! Clusters of kubeadm.

use super::{
    Real, begin, pods, power_off_all, power_on, power_on_at, tell,
    wait_for_kubeadm,
};
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
    let mut master = power_on(&nodes[0]);
    let [mut second, mut third] = [1, 2].map(|index| nodes[index].power_on());
    settle_all(&mut [&mut master, &mut second, &mut third]);
    for guest in [&master, &second, &third] {
        tell(guest);
    }

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
    power_off_all([third, second, master]);
    for node in &nodes {
        node.assert_sound();
    }
}

/// A worker's card is flashed again without any farewell, and comes back as
/// the same node; then it is taken out, and comes back once more.
#[test]
#[ignore = "boots virtual machines, and needs PIFLASH_REAL"]
fn kubeadm_worker_is_flashed_again() {
    let real = Real::plan(
        &NODES[..2],
        &["k8s_master: {hosts: {node5: }}", "k8s_worker: {hosts: {node6: }}"],
        &[],
    );
    let (one, two) = (real.card("node5"), real.card("node6"));
    let (mut master, mut worker) = (power_on(&one), two.power_on());
    settle_all(&mut [&mut master, &mut worker]);
    worker.cut();
    let two = real.card("node6");
    let mut worker = two.power_on();
    settle(&mut worker);
    tell(&worker);
    pods::assert_reach(&mut master, &real.programs.image(), 2);

    let down = real.cluster.piflash(&["down", "node6", "--yes"]);
    let said = String::from_utf8_lossy(&down.stderr);
    assert!(down.status.success(), "{said}");
    worker.sh("test ! -e /etc/kubernetes && test ! -e /var/lib/kubelet");
    let list = real.cluster.kubectl(CONFIG, "node5", &["get", "nodes"]);
    assert_eq!(list.unwrap()["items"].as_array().unwrap().len(), 1);
    worker.power_off();
    two.assert_sound();
    let two = real.card("node6");
    let mut worker = two.power_on();
    settle(&mut worker);
    pods::assert_reach(&mut master, &real.programs.image(), 2);
    power_off_all([worker, master]);
    two.assert_sound();
    one.assert_sound();
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
    let mut worker = two.power_on();
    for text in ["[certs] Generating", "[wait-control-plane] Waiting"] {
        let mut master = power_on(&one);
        wait_for_kubeadm(&mut master, "init", text);
        // Of etcd and the API server some are there by then.
        thread::sleep(Duration::from_secs(2));
        master.cut();
    }
    let mut master = power_on(&one);
    for text in ["[preflight] Running", "[kubelet-start] Starting"] {
        wait_for_kubeadm(&mut worker, "join", text);
        worker.cut();
        worker = two.power_on();
    }
    settle_all(&mut [&mut master, &mut worker]);
    pods::assert_reach(&mut master, &real.programs.image(), 2);
    power_off_all([worker, master]);
    two.assert_sound();
    one.assert_sound();
}

/// A second master joins, is taken out, and joins again with a new card: a
/// member of etcd comes, goes and comes.
#[test]
#[ignore = "boots virtual machines, and needs PIFLASH_REAL"]
fn kubeadm_second_master_comes_and_goes() {
    let real = Real::plan(
        &NODES[..2],
        &["k8s_master: {hosts: {node5: , node6: }}"],
        &[],
    );
    let (one, two) = (real.card("node5"), real.card("node6"));
    let (mut first, mut second) = (power_on(&one), power_on(&two));
    begin(&mut first);
    settle_all(&mut [&mut first, &mut second]);
    for guest in [&first, &second] {
        tell(guest);
    }
    assert_eq!(pods::etcd_members(&mut first), 2);

    let down = real.cluster.piflash(&["down", "node6", "--yes"]);
    let said = String::from_utf8_lossy(&down.stderr);
    assert!(down.status.success(), "{said}");
    assert_eq!(pods::etcd_members(&mut first), 1);
    second.sh("test ! -e /etc/kubernetes && test ! -e /var/lib/etcd");
    let list = real.cluster.kubectl(CONFIG, "node5", &["get", "nodes"]);
    assert_eq!(list.unwrap()["items"].as_array().unwrap().len(), 1);
    second.power_off();
    two.assert_sound();
    let two = real.card("node6");
    let mut second = power_on(&two);
    settle(&mut second);
    assert_eq!(pods::etcd_members(&mut first), 2);
    pods::assert_reach(&mut first, &real.programs.image(), 2);
    power_off_all([second, first]);
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
    begin(&mut first);
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
    power_off_all([third, second, first]);
}
