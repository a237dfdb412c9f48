//! Clusters of several nodes, with stand-ins for k3s and kubeadm
//! (`tests/standins`) that check what piflash laid down as the real ones
//! would.

mod k3s;
mod kubeadm;
mod long;

use crate::{
    expect::settle,
    guest::Guest,
    lab::Lab,
    machine::Kind,
    node::Node,
    site::{DNS, GATEWAY, Site},
    support::{
        oracle,
        releases::{Releases, sums_path},
        repository,
        server::Server,
        sha256,
    },
    switch::Switch,
};
use piflash::base::facts::Architecture;
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

/// A cluster's owner: inventory, cards, the switch that its nodes share.
pub struct Cluster {
    pub site: Arc<Site>,
    /// Where artefacts are downloaded from.
    releases: Releases,
    hosts: Vec<(String, String)>,
    groups: Vec<String>,
    vars: String,
}

impl Cluster {
    /// Nodes with their addresses; `groups` and `vars` are lines of the
    /// inventory, without indentation.
    pub fn plan(
        hosts: &[(&str, &str)],
        groups: &[&str],
        vars: &[&str],
    ) -> Self {
        Self::on(own_switch(hosts), hosts, groups, vars)
    }

    /// The same of real programs' cards, in a network of their own.
    pub fn of_real(
        hosts: &[(&str, &str)],
        groups: &[&str],
        vars: &[&str],
    ) -> Self {
        Self::of(Lab::Real, own_switch(hosts), hosts, groups, vars)
    }

    /// The same in a network that there is.
    pub fn on(
        switch: Option<Arc<Switch>>,
        hosts: &[(&str, &str)],
        groups: &[&str],
        vars: &[&str],
    ) -> Self {
        Self::of(Lab::Kubernetes, switch, hosts, groups, vars)
    }

    fn of(
        lab: Lab,
        switch: Option<Arc<Switch>>,
        hosts: &[(&str, &str)],
        groups: &[&str],
        vars: &[&str],
    ) -> Self {
        let kind = Kind::of_test();
        let releases = Releases::on(Server::start_on(kind.servers()));
        let k3s = releases.k3s(None, Architecture::Amd64).program();
        let program = fs::read(standin()).unwrap();
        releases.put(&k3s, &program);
        let sums = format!("{}  {}\n", sha256(&program), k3s.name);
        releases.server.put(&sums_path(&k3s), sums.as_bytes());

        let mut text = releases.variables();
        for line in vars {
            text += &format!("    {line}\n");
        }
        let hosts: Vec<(String, String)> = hosts
            .iter()
            .map(|(name, address)| ((*name).into(), (*address).into()))
            .collect();
        let groups: Vec<String> =
            groups.iter().map(|line| (*line).into()).collect();
        let inventory = inventory(&hosts, &groups, &text);
        let mut site = Site::plan(lab, kind, &inventory, &[]);
        site.switch = switch;
        Self { site: Arc::new(site), releases, hosts, groups, vars: text }
    }

    /// Adds lines to the inventory's `vars`.
    pub fn add_vars(&mut self, vars: &[&str]) {
        for line in vars {
            self.vars += &format!("    {line}\n");
        }
        self.write_inventory();
    }

    /// Gives the nodes other roles.
    pub fn set_groups(&mut self, groups: &[&str]) {
        self.groups = groups.iter().map(|line| (*line).into()).collect();
        self.write_inventory();
    }

    fn write_inventory(&self) {
        let text = inventory(&self.hosts, &self.groups, &self.vars);
        self.site.write("inventory.yml", &text);
    }

    /// The network that another cluster may be in as well.
    pub fn switch(&self) -> Option<Arc<Switch>> {
        self.site.switch.clone()
    }

    /// Where nodes and builder find what is downloaded.
    pub fn releases(&self) -> &Releases {
        &self.releases
    }

    /// Builds a node's card, anew where there is one.
    pub fn card(&self, name: &str) -> Node {
        self.site.build_cards(&[name]);
        self.node(name)
    }

    /// A node whose card has been built.
    pub fn node(&self, name: &str) -> Node {
        Node::of(&self.site, name, self.address(name))
    }

    pub fn address(&self, name: &str) -> &str {
        let host = self.hosts.iter().find(|(host, _)| host == name);
        &host.unwrap().1
    }

    /// piflash on the owner's machine; its ssh takes the way to a node that
    /// there is here.
    pub fn piflash(&self, args: &[&str]) -> Output {
        let mut command = self.site.command();
        command.args(args);
        let Some(switch) = &self.site.switch else {
            return command.output().unwrap();
        };
        let mut ports = String::new();
        for (name, address) in &self.hosts {
            let port = switch.ssh_port(address);
            ports += &format!("    {name}) port={port} ;;\n");
        }
        self.site.write(
            "bin/ssh",
            &format!(
                "#!/bin/sh\nfor word; do\n    case $word in\n{ports}    \
                 esac\ndone\nexec /usr/bin/ssh -o HostName=127.0.0.1 \
                 -p \"$port\" \"$@\"\n"
            ),
        );
        let ssh = self.site.path("bin/ssh");
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
        let path = std::env::var("PATH").unwrap();
        let bin = ssh.parent().unwrap().display();
        command.env("PATH", format!("{bin}:{path}"));
        command.output().unwrap()
    }

    /// What `piflash status` says of a node.
    pub fn status(&self, name: &str) -> Value {
        let output = self.piflash(&["status", name, "--json"]);
        let said = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&said).unwrap_or_else(|e| {
            let errors = String::from_utf8_lossy(&output.stderr);
            panic!("{e}: {said}{errors}")
        })
    }

    /// kubectl on the owner's machine, with a kubeconfig that was there
    /// before any power-on.
    pub fn kubectl(
        &self,
        kubeconfig: &str,
        server: &str,
        args: &[&str],
    ) -> Result<Value, String> {
        let address = self.address(server);
        let mut command = Command::new("kubectl");
        command.arg("--kubeconfig").arg(self.site.path(kubeconfig));
        if let Some(switch) = &self.site.switch {
            // The way there is a forwarded port; who is there is proven by
            // its certificate, for the address in the kubeconfig.
            let port = switch.api_port(address);
            command
                .arg(format!("--server=https://127.0.0.1:{port}"))
                .arg(format!("--tls-server-name={address}"));
        } else {
            command.arg(format!("--server=https://{address}:6443"));
        }
        let output = command
            .arg("--request-timeout=60s")
            .args(args)
            .args(["-o", "json"])
            .env("HOME", self.site.path(""))
            .output()
            .unwrap_or_else(|error| {
                panic!("{:?}", oracle::missing("kubectl", &error))
            });
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    }

    /// How many requests the server of downloads has had since the last
    /// time that somebody asked.
    pub fn downloads(&self) -> usize {
        self.releases.server.requests().len()
    }
}

/// What connects nodes in the emulator; User-Mode Linux has a bridge.
fn own_switch(hosts: &[(&str, &str)]) -> Option<Arc<Switch>> {
    let addresses: Vec<&str> = hosts.iter().map(|host| host.1).collect();
    (Kind::of_test() == Kind::Emulator)
        .then(|| Arc::new(Switch::start(&addresses)))
}

/// Waits for several, which come up side by side.
pub fn settle_all(guests: &mut [&mut Guest<'_>]) {
    for guest in guests {
        settle(guest);
    }
}

/// Whether a node of the API's is ready.
pub fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    conditions.is_some_and(|all| {
        all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
    })
}

/// A node in a list of the API's.
pub fn named<'l>(list: &'l Value, name: &str) -> &'l Value {
    let nodes = list["items"].as_array().unwrap();
    nodes
        .iter()
        .find(|node| node["metadata"]["name"] == name)
        .unwrap_or_else(|| panic!("no node {name}: {list:#}"))
}

fn inventory(
    hosts: &[(String, String)],
    groups: &[String],
    vars: &str,
) -> String {
    let mut text = "all:\n  hosts:\n".to_owned();
    for (name, address) in hosts {
        text += &format!("    {name}: {{ansible_host: {address}}}\n");
    }
    text += "  children:\n    raspbian: {hosts: {";
    for (name, _) in hosts {
        text += &format!("{name}: , ");
    }
    text += "}}\n    raspberry_pi: {children: {raspbian: }}\n";
    for line in groups {
        text += &format!("    {line}\n");
    }
    text + &format!(
        "  vars:\n    gateway: {GATEWAY}\n    dns: [{DNS}]\n    \
         ssh_authorized_keys: [key.pub]\n{vars}"
    )
}

/// The stand-in, built with the tests' own cargo.
fn standin() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo tells this test of its package would have it build ring and
    // all above it anew, and the next cargo once more.
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST")
        {
            cargo.env_remove(&key);
        }
    }
    let output = cargo
        .current_dir(repository())
        .args(["build", "--quiet", "--example", "kubernetes", "--target-dir"])
        .arg(target)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    target.join("debug/examples/kubernetes")
}

/// On a node that has started once, a unit was not started before the step
/// that it waits for had allowed it. Both times are of the node's own clock.
pub(super) fn assert_waited(guest: &Guest<'_>, unit: &str, step: &str) {
    let allowed = format!("/var/lib/piflash/allowed/{step}");
    let allowed = guest.sh(&format!("date -d \"$(cat {allowed})\" +%s"));
    let started = guest.sh(&format!(
        "sudo journalctl -u {unit} -o short-unix --no-pager _PID=1 | \
         grep -m 1 ' Starting '"
    ));
    let (seconds, _) = started.split_once('.').unwrap();
    let number = |text: &str| -> i64 { text.trim().parse().unwrap() };
    assert!(number(seconds) >= number(&allowed), "{allowed}: {started}");
}
