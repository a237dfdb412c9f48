//! Inventories that load, and what comes out.

use std::net::IpAddr;

use piflash::inventory::{
    Cluster, KeyOrigin, KeySource, OsGroup, Role, RoleKind, Value, WifiKey,
    load, template,
};

use super::{Lab, repository};

const KEY: &str = "ssh-ed25519 \
     AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ \
     me@laptop";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn role(cluster: Cluster, kind: RoleKind) -> Option<Role> {
    Some(Role { cluster, kind })
}

#[test]
fn the_article_loads_word_for_word() {
    let path = repository("tests/fixtures/article-inventory.yml");
    let inventory = load(&path, None).unwrap();
    assert_eq!(inventory.warnings, []);
    let names: Vec<&str> = inventory.nodes.iter().map(|n| &*n.name).collect();
    assert_eq!(names, ["node1", "node2", "node3", "node4", "node5", "node6"]);
    for (i, node) in inventory.nodes.iter().enumerate() {
        let master = node.name == "node5";
        let kind = if master { RoleKind::Master } else { RoleKind::Worker };
        let address = ip(&format!("192.168.71.{}", 21 + i));
        assert_eq!(node.address, Some(address));
        assert_eq!(node.role, role(Cluster::K8s, kind), "{}", node.name);
        assert_eq!(node.first_master, master);
        assert!(node.raspberry_pi);
        assert_eq!(node.static_network, None);
        assert_eq!(node.interface, "eth0");
        let (os, account, boot, groups) = if master {
            let groups = ["k8s_master", "raspberry_pi", "raspbian"];
            (OsGroup::RaspberryPiOs, "pi", "/boot", groups)
        } else {
            let groups = ["k8s_worker", "raspberry_pi", "ubuntu"];
            (OsGroup::Ubuntu, "ubuntu", "/boot/firmware", groups)
        };
        assert_eq!(node.os, Some(os));
        assert_eq!(node.account.as_deref(), Some(account));
        assert_eq!(node.boot_directory.as_deref(), Some(boot));
        assert_eq!(node.groups, groups);
        assert_eq!(node.ssh_authorized_keys.origin, KeyOrigin::NoneFound);
    }
    let node5 = inventory.node("node5").unwrap();
    let version = node5.var("docker_version").unwrap();
    assert_eq!(
        version.value().as_str(),
        Some("5:18.09.0~3-0~raspbian-stretch")
    );
    assert_eq!((version.at().line, version.at().column), (45, 9));
    assert_eq!(version.from().to_string(), "group raspbian");
    let foreign = node5.var("ansible_python_interpreter").unwrap();
    assert_eq!(foreign.value().as_str(), Some("/usr/bin/python3"));
}

#[test]
fn the_article_with_all_variables_loads() {
    let path = repository("tests/fixtures/article-inventory-all-variables.yml");
    let inventory = load(&path, None).unwrap();
    assert_eq!(inventory.warnings, []);
    let k3s = |kind| role(Cluster::K3s, kind);
    let k8s = |kind| role(Cluster::K8s, kind);
    let expected = [
        ("node1", k3s(RoleKind::Master), OsGroup::Ubuntu),
        ("node2", k3s(RoleKind::Worker), OsGroup::Ubuntu),
        ("node3", k3s(RoleKind::Worker), OsGroup::Ubuntu),
        ("node4", k8s(RoleKind::Worker), OsGroup::Ubuntu),
        ("node5", k8s(RoleKind::Master), OsGroup::RaspberryPiOs),
        ("node6", k8s(RoleKind::Worker), OsGroup::Ubuntu),
    ];
    for (name, role, os) in expected {
        let node = inventory.node(name).unwrap();
        assert_eq!((node.role, node.os), (role, Some(os)), "{name}");
        assert!(node.raspberry_pi, "{name}");
        assert_eq!(node.first_master, matches!(name, "node1" | "node5"));
        assert_eq!(node.timezone.as_deref(), Some("Etc/UTC"));
        assert_eq!(node.locale.as_deref(), Some("en_US.UTF-8"));
        assert!(!node.rpi_update);
        let value = |name| node.var(name).unwrap().value().clone();
        assert_eq!(value("remove_docker_directory"), Value::Bool(true));
        assert_eq!(value("k3s_delete_emptydir_data"), Value::Bool(false));
        assert_eq!(
            value("containerd_version"),
            Value::String("2.2.1-1".into())
        );
    }
    let node2 = inventory.node("node2").unwrap();
    let config = node2.var("k3s_config").unwrap();
    assert_eq!(
        serde_json::to_string(config.value()).unwrap(),
        r#"{"node-label":["tier=edge"]}"#
    );
    let groups =
        ["debian", "k3s_agent", "k3s_node", "raspberry_pi_hw", "ubuntu"];
    assert_eq!(node2.groups, groups);
}

#[test]
fn the_example_loads_without_any_keys() {
    let inventory = load(&repository("examples/homelab.yml"), None).unwrap();
    assert_eq!(inventory.warnings, []);
    let node3 = inventory.node("node3").unwrap();
    let network = node3.static_network.as_ref().unwrap();
    assert_eq!(network.address, ip("192.168.71.23"));
    assert_eq!(network.gateway, ip("192.168.71.1"));
    assert_eq!(network.prefix, 24);
    assert_eq!(network.dns, [ip("192.168.71.1"), ip("9.9.9.9")]);
    assert_eq!(node3.role, role(Cluster::K3s, RoleKind::Worker));
    assert_eq!(node3.os, Some(OsGroup::RaspberryPiOs));
    assert!(node3.raspberry_pi);
    assert_eq!(node3.ssh_authorized_keys.origin, KeyOrigin::NoneFound);
}

#[test]
fn the_template_loads_and_so_does_every_example_in_it() {
    let lab = Lab::new(template());
    assert_eq!(lab.warnings(), "");
    let inventory = lab.good();
    assert_eq!(inventory.nodes.len(), 3);
    assert!(inventory.nodes[0].first_master);

    // Uncommented, every variable is accepted: what the examples name is
    // put there, and what they cut short is written out.
    let full: String = template()
        .replace("$6$nNlbPnEo$Dh…", &format!("$6$salt${}", "a".repeat(86)))
        .replace("9f86d081884c…", &"0a".repeat(32))
        .lines()
        .map(|line| {
            let setting = line.strip_prefix("    # ").filter(|rest| {
                rest.split_once(": ").is_some_and(|(name, _)| {
                    piflash::inventory::variables::variable(name)
                        .is_some_and(|v| v.name == name)
                })
            });
            match setting {
                Some(setting) => format!("    {setting}\n"),
                None => format!("{line}\n"),
            }
        })
        .collect();
    let lab = Lab::new(full)
        .file("motd", "hello")
        .file("home/.ssh/id_ed25519.pub", KEY);
    let node = &lab.good().nodes[0];
    for variable in piflash::inventory::variables::VARIABLES {
        assert!(node.var(variable.name).is_some(), "{}", variable.name);
    }
}

#[test]
fn the_article_in_json_loads_too() {
    let lab = Lab::new(
        "{\n\t\"all\": {\"hosts\": {\"node1\": {\"ansible_host\": \
         \"10.0.0.2\"}}}\n}",
    );
    assert_eq!(lab.good().nodes[0].address, Some(ip("10.0.0.2")));
}

#[test]
fn keys_come_from_the_inventory_or_from_the_builder() {
    let text = "all: {hosts: {a: , b: {ssh_authorized_keys: []}}}";
    let lab = Lab::new(text)
        .file("home/.ssh/id_ed25519.pub", KEY)
        .file("home/.ssh/id_ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----")
        .file("home/.ssh/broken.pub", "nonsense");
    let inventory = lab.good();
    let default = &inventory.nodes[0].ssh_authorized_keys;
    let path = lab.path().join("home/.ssh/id_ed25519.pub");
    assert_eq!(default.origin, KeyOrigin::BuilderDefault(vec![path.clone()]));
    assert_eq!(default.keys.len(), 1);
    assert_eq!(default.keys[0].text, KEY);
    assert_eq!(default.keys[0].comment, "me@laptop");
    assert_eq!(default.keys[0].source, KeySource::File(path));
    let none = &inventory.nodes[1].ssh_authorized_keys;
    assert_eq!(none.origin, KeyOrigin::ExplicitlyNone);
    assert_eq!(
        lab.warnings(),
        "home/.ssh/broken.pub: is not used: it is not a valid public key"
    );

    let text = format!(
        "all:\n  hosts:\n    a:\n      ssh_authorized_keys:\n\
         \x20       - {KEY}\n        - ~/.ssh/other.pub\n        - keys.pub\n"
    );
    let other = KEY.replace("me@laptop", "other");
    let lab = Lab::new(text)
        .file("home/.ssh/other.pub", format!("{other}\n"))
        .file("keys.pub", format!("# two\n{KEY}\n\n{other}\n"));
    let keys = &lab.good().nodes[0].ssh_authorized_keys;
    assert_eq!(keys.origin, KeyOrigin::FromInventory);
    let comments: Vec<&str> = keys.keys.iter().map(|k| &*k.comment).collect();
    assert_eq!(comments, ["me@laptop", "other"]);
}

#[test]
fn versions_stay_as_written_and_booleans_are_of_yaml_1_1() {
    let lab = Lab::new(
        "all:
  hosts:
    a: {k8s_version: 1.30, upgrade: 'yes', rpi_update: off, foreign: 1.30}
  vars:
    kuberneted_cni_version: 0.10
    k3s_apt: nfs-common, open-iscsi
    wifi: {ssid: 0042, psk: 12345678, country: DE, hidden: on}
    config_txt: {gpu_mem: 16, camera: off, dtoverlay: [a, 'b,c=d']}
    files: [{src: motd, dest: /etc/motd, mode: 0600}]
",
    )
    .file("motd", "hello");
    let inventory = lab.good();
    let node = &inventory.nodes[0];
    let text = |name| node.var(name).unwrap().value().clone();
    assert_eq!(text("k8s_version"), Value::String("1.30".into()));
    assert_eq!(text("foreign"), Value::Float(1.3));
    assert_eq!(text("kubernetes_cni_version"), Value::String("0.10".into()));
    assert_eq!(text("upgrade"), Value::Bool(true));
    assert!(node.upgrade && !node.rpi_update);
    assert_eq!(node.packages, ["nfs-common", "open-iscsi"]);
    let wifi = node.wifi.as_ref().unwrap();
    assert_eq!(wifi.ssid, "0042");
    assert_eq!(wifi.key, WifiKey::Psk("12345678".into()));
    assert!(wifi.hidden);
    assert!(!format!("{node:?}").contains("12345678"));
    assert_eq!(node.interface, "wlan0");
    let settings: Vec<String> = node
        .config_txt
        .iter()
        .map(|s| format!("{}={}", s.key, s.value))
        .collect();
    assert_eq!(
        settings,
        ["gpu_mem=16", "camera=0", "dtoverlay=a", "dtoverlay=b,c=d"]
    );
    assert_eq!(node.files[0].mode, 0o600);
    assert_eq!(node.files[0].owner, "root");
    assert_eq!(node.files[0].src, lab.path().join("motd"));
}

#[test]
fn an_ipv6_address_is_accepted_with_a_gateway_of_its_family() {
    let lab = Lab::new(
        "all: {hosts: {a: {ansible_host: 'fd00::21', gateway: 'fe80::1'}}}",
    );
    let network = lab.good().nodes[0].static_network.clone().unwrap();
    assert_eq!(network.prefix, 64);
    assert_eq!(network.dns, [ip("fe80::1")]);
}

#[test]
fn a_group_may_be_mentioned_many_times_and_an_override_of_null_unsets() {
    let lab = Lab::new(
        "k3s_master: {hosts: {a: {ansible_host: 10.0.0.2}}}
all:
  vars: {gateway: 10.0.0.1}
  children:
    k3s_master: {hosts: {b: {ansible_host: 10.0.0.3, gateway: ~}}}
    top: {children: {k3s_worker: {hosts: {'c[1:2]': }}}}
    k3s_worker: {vars: {gateway: null}}
",
    );
    let inventory = lab.good();
    let masters: Vec<&str> = inventory
        .of_role(Role { cluster: Cluster::K3s, kind: RoleKind::Master })
        .map(|n| &*n.name)
        .collect();
    assert_eq!(masters, ["a", "b"]);
    assert!(inventory.nodes[0].static_network.is_some());
    assert!(inventory.nodes[1].static_network.is_none());
    assert_eq!(inventory.nodes[3].name, "c2");
    assert!(inventory.nodes[3].groups.contains(&"top".to_owned()));
}

#[test]
fn an_unknown_node_is_answered_with_the_nearest() {
    let path = repository("examples/homelab.yml");
    let inventory = load(&path, None).unwrap();
    let error = inventory.node("nide3").unwrap_err();
    assert_eq!(error.known, ["node1", "node2", "node3"]);
    assert_eq!(
        error.to_string(),
        "the inventory has no node `nide3` (did you mean `node3`?)"
    );
}

#[test]
fn encrypted_and_unsafe_values_of_others_are_left_alone() {
    let lab = Lab::new(
        "all:
  hosts: {a: }
  vars:
    ansible_become_password: !vault |
      $ANSIBLE_VAULT;1.1;AES256
      6162
    motto: !unsafe '{{ not a template }}'
    use: '{{ motto }}'
",
    );
    let inventory = lab.good();
    let node = &inventory.nodes[0];
    let facts = minijinja::Value::UNDEFINED;
    let var = node.var("ansible_become_password").unwrap();
    assert_eq!(*var.value(), Value::Vault);
    let error = node.render("{{ ansible_become_password }}", &facts);
    assert!(error.unwrap_err().to_string().contains("ansible-vault"));
    let motto = node.render("{{ use }}", &facts).unwrap();
    assert_eq!(motto, "{{ not a template }}");
}
