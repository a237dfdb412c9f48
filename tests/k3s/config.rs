//! `config.yaml`, `registries.yaml`, the unit and its environment.

use serde_json::{Value, json};

use super::{inventory, plan, pyyaml, single};
use crate::support::{
    image::Case,
    plan::{content, plan_of},
};
use piflash::plan::{Action, Plan};

const CONFIG: &str = "/etc/rancher/k3s/config.yaml";
const REGISTRIES: &str = "/etc/rancher/k3s/registries.yaml";

fn config(inventory: &str, node: &str) -> Value {
    pyyaml(&content(&plan(inventory, node).unwrap(), CONFIG))
}

fn paths(plan: &Plan) -> Vec<&str> {
    plan.edits.iter().map(|edit| edit.path.as_str()).collect()
}

fn names() -> Value {
    json!([
        "192.168.71.21",
        "node1",
        "node2",
        "192.168.71.22",
        "node3",
        "192.168.71.23"
    ])
}

#[test]
fn the_first_of_several_servers_begins_and_the_others_join() {
    let inventory = inventory("");
    let tokens = |mut config: Value| {
        let own = json!({
            "token-file": "/etc/rancher/k3s/token",
            "agent-token-file": "/etc/rancher/k3s/agent-token",
            "tls-san": names(),
        });
        let config = config.as_object_mut().unwrap();
        config.extend(own.as_object().unwrap().clone());
        Value::Object(config.clone())
    };
    assert_eq!(
        config(&inventory, "node1"),
        tokens(json!({
            "node-name": "node1",
            "node-ip": "192.168.71.21",
            "cluster-init": true,
        }))
    );
    for (node, address) in
        [("node2", "192.168.71.22"), ("node3", "192.168.71.23")]
    {
        assert_eq!(
            config(&inventory, node),
            tokens(json!({
                "node-name": node,
                "node-ip": address,
                "server": "https://192.168.71.21:6443",
            }))
        );
    }
    assert_eq!(
        config(&inventory, "node4"),
        json!({
            "node-name": "node4",
            "node-ip": "192.168.71.24",
            "token-file": "/etc/rancher/k3s/token",
            "server": "https://192.168.71.21:6443",
        })
    );
    // It could find the cluster there already.
    let first = plan(&inventory, "node1").unwrap();
    assert_eq!(
        content(&first, "/etc/piflash/k3s/servers"),
        "https://192.168.71.22:6443\nhttps://192.168.71.23:6443\n"
    );
    let second = plan(&inventory, "node2").unwrap();
    assert!(!paths(&second).contains(&"/etc/piflash/k3s/servers"));
}

#[test]
fn a_single_server_has_no_etcd_unless_it_is_asked_for() {
    let alone = config(&single(""), "node1");
    assert!(alone.get("cluster-init").is_none(), "{alone}");
    assert!(alone.get("server").is_none(), "{alone}");
    let vars = "    k3s_config: {cluster-init: yes}\n";
    assert_eq!(config(&single(vars), "node1")["cluster-init"], true);
    // Of all masters only the first begins one.
    let joining = config(&inventory(vars), "node2");
    assert!(joining.get("cluster-init").is_none(), "{joining}");
    let agent = config(&inventory(vars), "node4");
    assert!(agent.get("cluster-init").is_none(), "{agent}");
}

#[test]
fn the_endpoint_of_all_servers_is_where_the_others_join() {
    let inventory =
        inventory("    control_plane_endpoint: '[fd00::11]:7443'\n");
    for node in ["node2", "node4"] {
        let config = config(&inventory, node);
        assert_eq!(config["server"], "https://[fd00::11]:7443");
    }
    let first = config(&inventory, "node1");
    assert!(first.get("server").is_none());
    assert_eq!(first["tls-san"][0], "fd00::11");
}

#[test]
fn what_k3s_config_says_counts_and_lists_are_added() {
    let vars = r#"
    node_labels: {tier: edge, "on": "yes"}
    node_taints: ["a=b:NoSchedule"]
    k3s_config:
      node-ip: 10.9.9.9
      tls-san: [k3s.lan]
      node-label+: [x=y]
      node-taint: "c=d:NoExecute"
      disable: [traefik, servicelb]
      write-kubeconfig-mode: "0644"
      secrets-encryption: yes
      etcd-snapshot-retention: 3
      kubelet-arg: ["a=: {b}, #c", "yes", "0x1F", "1_000", "~"]
"#;
    let server = config(&inventory(vars), "node1");
    assert_eq!(server["node-ip"], "10.9.9.9");
    let mut san = names();
    san.as_array_mut().unwrap().push(json!("k3s.lan"));
    assert_eq!(server["tls-san"], san);
    assert_eq!(server["node-label"], json!(["on=yes", "tier=edge", "x=y"]));
    assert!(server.get("node-label+").is_none());
    let taints = json!(["a=b:NoSchedule", "c=d:NoExecute"]);
    assert_eq!(server["node-taint"], taints);
    assert_eq!(server["disable"], json!(["traefik", "servicelb"]));
    assert_eq!(server["write-kubeconfig-mode"], "0644");
    assert_eq!(server["secrets-encryption"], true);
    assert_eq!(server["etcd-snapshot-retention"], 3);
    let args = json!(["a=: {b}, #c", "yes", "0x1F", "1_000", "~"]);
    assert_eq!(server["kubelet-arg"], args);
    // Agents are not told what only servers understand.
    let agent = config(&inventory(vars), "node4");
    let known: Vec<&String> = agent.as_object().unwrap().keys().collect();
    assert_eq!(
        known,
        [
            "kubelet-arg",
            "node-ip",
            "node-label",
            "node-name",
            "node-taint",
            "server",
            "token-file"
        ]
    );
}

#[test]
fn expressions_see_the_facts_of_the_image() {
    let vars = "    k3s_config:\n      node-label:\n        \
                - \"os={{ ansible_lsb.codename }}\"\n";
    let agent = config(&inventory(vars), "node4");
    assert_eq!(agent["node-label"], json!(["os=trixie"]));
}

#[test]
fn an_address_of_dhcp_is_not_written_down() {
    let inventory = inventory("").replace("    gateway: 192.168.71.1\n", "");
    let server = config(&inventory, "node1");
    assert!(server.get("node-ip").is_none(), "{server}");
    // The others know where it is all the same.
    let agent = config(&inventory, "node4");
    assert_eq!(agent["server"], "https://192.168.71.21:6443");
}

#[test]
fn registries_are_those_of_the_inventory_and_the_mirror() {
    let vars = "    docker_registry_mirror_url: https://mirror.lan/\n";
    let text = |inventory: &str| {
        let plan = plan(inventory, "node4").unwrap();
        let edit = plan.edits.iter().find(|edit| edit.path == REGISTRIES);
        let edit = edit.unwrap();
        let Action::Write { content, access } = &edit.action else { panic!() };
        assert_eq!((access.mode, access.uid, access.gid), (0o600, 0, 0));
        (content.as_text().unwrap().to_owned(), edit.secret)
    };
    let (mirror, secret) = text(&inventory(vars));
    assert_eq!(
        pyyaml(&mirror),
        json!({"mirrors": {"docker.io": {"endpoint": ["https://mirror.lan/"]}}})
    );
    assert!(!secret);

    let both = format!(
        "{vars}{}",
        r#"    k3s_registries:
      mirrors:
        "*": {endpoint: ["https://all.lan:5000"], rewrite: {"^(.*)$": "x/$1"}}
        "on": {endpoint: ["no"]}
        "0x1": {rewrite: {"a: b": "{c}", "~": "d"}}
      configs:
        "all.lan:5000":
          auth: {username: "u", password: "p: #\"x"}
          tls: {insecure_skip_verify: yes}
"#
    );
    let (both, secret) = text(&inventory(&both));
    assert_eq!(
        pyyaml(&both),
        json!({
            "mirrors": {
                "docker.io": {"endpoint": ["https://mirror.lan/"]},
                "*": {
                    "endpoint": ["https://all.lan:5000"],
                    "rewrite": {"^(.*)$": "x/$1"},
                },
                "on": {"endpoint": ["no"]},
                "0x1": {"rewrite": {"a: b": "{c}", "~": "d"}},
            },
            "configs": {"all.lan:5000": {
                "auth": {"username": "u", "password": "p: #\"x"},
                "tls": {"insecure_skip_verify": true},
            }},
        })
    );
    assert!(secret, "a password would be shown");

    let own = format!(
        "{vars}    k3s_registries: {{mirrors: {{docker.io: {{endpoint: \
         [https://own.lan]}}}}}}\n"
    );
    let own = pyyaml(&text(&inventory(&own)).0);
    let endpoint = &own["mirrors"]["docker.io"]["endpoint"];
    assert_eq!(*endpoint, json!(["https://own.lan"]));
    let plain = plan(&inventory(""), "node4").unwrap();
    assert!(!paths(&plain).contains(&REGISTRIES));
}

#[test]
fn the_proxy_is_not_for_what_is_in_the_cluster() {
    let vars = "    proxy_url: http://10.0.0.1:3128/\n    \
                no_proxy: [10.0.0.0/8, nas.lan]\n    \
                k3s_config: {cluster-cidr: 10.50.0.0/16}\n";
    for (node, unit) in [("node1", "k3s"), ("node4", "k3s-agent")] {
        let plan = plan(&inventory(vars), node).unwrap();
        let path = format!("/etc/systemd/system/{unit}.service.env");
        let env = content(&plan, &path);
        assert!(env.contains("\nHTTP_PROXY=http://10.0.0.1:3128/\n"), "{env}");
        assert!(env.contains("\nHTTPS_PROXY=http://10.0.0.1:3128/\n"));
        let direct = env.lines().find_map(|l| l.strip_prefix("NO_PROXY="));
        let direct: Vec<&str> = direct.unwrap().split(',').collect();
        for needed in [
            "10.0.0.0/8",
            "nas.lan",
            "10.50.0.0/16",
            "10.43.0.0/16",
            ".svc",
            ".cluster.local",
            "192.168.71.21",
            "192.168.71.24",
            "node1",
        ] {
            assert!(direct.contains(&needed), "{needed}: {env}");
        }
        // As it is for whoever calls kubectl.
        let shell = content(&plan, "/etc/environment");
        let line = format!("\nNO_PROXY={}\n", direct.join(","));
        assert!(shell.contains(&line), "{shell}");
        let unit =
            content(&plan, &format!("/etc/systemd/system/{unit}.service"));
        assert!(unit.contains(&format!("EnvironmentFile=-{path}\n")), "{unit}");
    }
    let secret = vars.replace("10.0.0.1", "u:secret@10.0.0.1");
    let plan = plan(&inventory(&secret), "node4").unwrap();
    assert!(!plan.text().contains("secret@"));
    assert!(!plan.json().to_string().contains("secret@"));
}

#[test]
fn the_units_are_those_of_the_installer() {
    for (node, unit, command, kind) in [
        ("node1", "k3s", "server", "notify"),
        ("node4", "k3s-agent", "agent", "notify"),
    ] {
        let plan = plan(&inventory(""), node).unwrap();
        let unit =
            content(&plan, &format!("/etc/systemd/system/{unit}.service"));
        let lines: Vec<&str> = unit.lines().collect();
        for line in [
            &*format!("Type={kind}"),
            &format!("ExecStart=/usr/local/bin/k3s {command}"),
            "Wants=network-online.target",
            "After=network-online.target",
            "KillMode=process",
            "Delegate=yes",
            "LimitNOFILE=1048576",
            "LimitNPROC=infinity",
            "LimitCORE=infinity",
            "TasksMax=infinity",
            "TimeoutStartSec=0",
            "Restart=always",
            "RestartSec=5s",
            "ExecStartPre=-/sbin/modprobe br_netfilter",
            "ExecStartPre=-/sbin/modprobe overlay",
            "WantedBy=multi-user.target",
        ] {
            assert!(lines.contains(&line), "{line}: {unit}");
        }
        // The first boot enables it, when the system is made.
        let wanted = "/etc/systemd/system/multi-user.target.wants/k3s";
        assert!(!paths(&plan).iter().any(|path| path.starts_with(wanted)));
    }
}

#[test]
fn docker_is_installed_where_k3s_is_to_use_it() {
    let vars = "    docker_registry_mirror_url: https://mirror.lan/\n    \
                proxy_url: http://10.0.0.1:3128/\n    \
                k3s_config: {docker: yes}\n";
    let with = plan(&inventory(vars), "node4").unwrap();
    let step = "/usr/local/lib/piflash/steps/50-docker";
    assert!(content(&with, step).contains("install docker.io"));
    assert_eq!(
        pyyaml(&content(&with, "/etc/docker/daemon.json")),
        json!({"registry-mirrors": ["https://mirror.lan/"]})
    );
    let drop_in = "/etc/systemd/system/docker.service.d/90-piflash.conf";
    assert!(content(&with, drop_in).contains("k3s-agent.service.env"));
    assert_eq!(pyyaml(&content(&with, CONFIG))["docker"], true);
    let without = plan(&inventory(&vars.replace("yes", "no")), "node4");
    let without = without.unwrap();
    for path in [step, "/etc/docker/daemon.json", drop_in] {
        assert!(!paths(&without).contains(&path), "{path}");
    }
}

#[test]
fn the_images_of_the_release_are_in_the_image_where_asked_for() {
    let plan = plan(&inventory("    k3s_airgap: yes\n"), "node4").unwrap();
    let name = "k3s-airgap-images-arm64.tar.zst";
    let path = format!("/var/lib/rancher/k3s/agent/images/{name}");
    assert_eq!(content(&plan, &path), name);
    assert_eq!(content(&plan, "/usr/local/bin/k3s"), "k3s-arm64");
}

#[test]
fn old_iptables_leave_it_to_those_of_k3s() {
    let vars = "    k3s_version: v1.34.2+k3s1\n";
    let old = plan_of(&Case::load("buster"), &inventory(vars), "node4");
    let old = pyyaml(&content(&old.unwrap(), CONFIG));
    assert_eq!(old["prefer-bundled-bin"], true);
    let new = config(&inventory(vars), "node4");
    assert!(new.get("prefer-bundled-bin").is_none(), "{new}");
}

#[test]
fn a_foreign_cluster_is_joined_with_its_own_token() {
    let vars = "    k3s_url: https://k3s.example:6443\n    \
                k3s_config: {token: K10abc::node:secret}\n";
    // No server of the inventory's is needed.
    let inventory = inventory(vars)
        .replace("    k3s_server: {hosts: {node1: , node2: , node3: }}\n", "");
    let plan = plan(&inventory, "node4").unwrap();
    let found = pyyaml(&content(&plan, CONFIG));
    assert_eq!(
        found,
        json!({
            "node-name": "node4",
            "node-ip": "192.168.71.24",
            "server": "https://k3s.example:6443",
            "token": "K10abc::node:secret",
        })
    );
    assert!(!plan.text().contains("K10abc"));
    assert!(!plan.json().to_string().contains("K10abc"));
    assert!(!paths(&plan).contains(&"/etc/rancher/k3s/token"));
    assert!(plan.cluster.unwrap().foreign);
}
