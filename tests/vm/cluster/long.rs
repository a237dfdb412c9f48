//! What takes longer than a test run should.

use super::{
    Cluster, is_ready,
    k3s::{CONFIG, THREE},
    named, settle_all,
};
use crate::{
    expect::settle, guest::Guest, machine::Weather, support::oracle::run,
};
use serde_json::Value;

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
    for server in [&first, &third] {
        let nodes = nodes(server);
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
    let nodes_left = nodes(&first);
    assert_eq!(
        nodes_left["items"].as_array().unwrap().len(),
        2,
        "{nodes_left:#}"
    );
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
    let nodes = nodes(&second);
    let node = named(&nodes, "node3");
    assert!(is_ready(node), "{node:#}");
    assert!(node["metadata"]["labels"][role].is_null(), "{node:#}");
    for (guest, card) in [(first, &one), (second, &two), (third, &three)] {
        guest.power_off();
        card.assert_sound();
    }
}

/// What a server says, by its own clock: to the owner's machine, which lives
/// a year before, certificates that were made just now are not valid yet.
fn nodes(server: &Guest<'_>) -> Value {
    let said = server.sh("sudo k3s kubectl get nodes -o json");
    serde_json::from_str(&said).unwrap()
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
    let other = Cluster::on(ours.switch(), &THREE[..2], &groups, &[]);
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

/// For `-rtc base=`.
fn in_a_year() -> String {
    let date = ["-u", "-d", "+1 year", "+%Y-%m-%dT%H:%M:%S"];
    let date = run("date", &date).unwrap();
    String::from_utf8(date).unwrap().trim().to_owned()
}
