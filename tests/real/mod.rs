//! Clusters of real programs, which are in the directory that `PIFLASH_REAL`
//! names; see README.md.

mod kubeadm;
mod pods;
mod programs;

use crate::{
    cluster::Cluster, guest::Guest, machine::Weather, node::Node,
    repository::publish, site::GATEWAY,
};
use programs::{HOSTS_TOML, Programs};
use std::io::Write;

/// A cluster of kubeadm, and where its programs come from.
pub struct Real {
    pub cluster: Cluster,
    pub programs: Programs,
}

impl Real {
    /// As [`Cluster::plan`].
    pub fn plan(
        hosts: &[(&str, &str)],
        groups: &[&str],
        vars: &[&str],
    ) -> Self {
        let programs = Programs::find();
        let mut cluster = Cluster::of_real(hosts, groups, vars);
        let releases = cluster.releases();
        programs.serve(releases);
        // The archive that the lab image knows has nothing.
        publish(&releases.server, "/lab", &[], None);
        let server = releases.server.url("");
        let (_, port) = server.rsplit_once(':').unwrap();
        let mirror = format!("http://{GATEWAY}:{port}");
        cluster.site.write(
            "hosts.toml",
            &format!(
                "[host.\"{mirror}\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
            ),
        );
        cluster.add_vars(&[
            "docker_apt_repository: none",
            &format!("files: [{{src: hosts.toml, dest: {HOSTS_TOML}}}]"),
        ]);
        // What the builder downloads, which is the same for all nodes, comes
        // by a way of its own; the nodes have a proxy.
        let proxy = [("http_proxy", server.as_str())];
        cluster.site.build_with(&[hosts[0].0], &[], &proxy);
        cluster.add_vars(&[&format!("proxy_url: {mirror}")]);
        Self { cluster, programs }
    }

    /// Builds a node's card, anew where there is one.
    pub fn card(&self, name: &str) -> Node {
        self.cluster.site.build_with(&[name], &["--offline"], &[]);
        self.cluster.node(name)
    }
}

/// Into what is large enough for a control plane, which a worker does not
/// need.
pub fn power_on(node: &Node) -> Guest<'_> {
    node.power_on_in(&large())
}

fn large() -> Weather {
    Weather { large: true, ..Weather::default() }
}

/// The same, but for what the clock says: `date -d` knows the form.
pub fn power_on_at<'n>(node: &'n Node, clock: &str) -> Guest<'n> {
    node.power_on_in(&Weather { clock: Some(clock.to_owned()), ..large() })
}

/// Shuts nodes down side by side: systemd gives each container of a pod as
/// much as 90 seconds.
pub fn power_off_all<const N: usize>(guests: [Guest<'_>; N]) {
    for guest in &guests {
        guest.try_sh("sudo systemctl --no-block poweroff");
    }
    for guest in guests {
        guest.power_off();
    }
}

/// Prints what a node has taken since it was powered up: seconds by its own
/// clock, and memory.
pub fn tell(guest: &Guest<'_>) {
    let said = guest
        .sh("read -r up idle </proc/uptime; free -m | awk -v up=$up \
         '/^Mem:/ { print up \" s, \" $3 \" of \" $2 \" MiB used\" }'");
    let line = format!("{}: {said}\n", guest.node().name);
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// The first master of several does not ask the others for ten minutes
/// whether the cluster is there.
pub fn begin(guest: &mut Guest<'_>) {
    guest.wait_for_ssh();
    guest.sh("sudo piflash-node begin");
}

/// Waits until kubeadm has said so in an attempt since the last power-on.
/// What it says is in the node's log alone.
pub fn wait_for_kubeadm(guest: &mut Guest<'_>, word: &str, text: &str) {
    let attempt = format!("55-k8s-{word}: attempt");
    guest.wait_for_console(&attempt);
    guest.wait_for_ssh();
    let last = format!(
        "sudo awk '/{attempt}/ {{ said = \"\" }} {{ said = said $0 RS }} \
         END {{ print said }}' /var/log/piflash.log"
    );
    guest.wait(&format!("saying {text}"), |guest| {
        guest.sh(&last).contains(text).then_some(())
    });
}
