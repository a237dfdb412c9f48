//! What templates see as `cluster`: the cluster of the node, as its
//! inventory has it.

use std::net::IpAddr;

use minijinja::{Value, context};

use super::settings::{SettingError, Settings};
use crate::{
    base::artefact::minor_number,
    inventory::{Cluster as Kind, Inventory, Node, RoleKind},
};

/// Where the API servers of k3s and kubeadm listen.
const PORT: u16 = 6443;

/// What a card has that joins its cluster and never begins it, though it is
/// the first master's: what to do if the cluster is gone.
pub const JOIN_ONLY: &str = "/etc/piflash/join-only";

/// The cluster that a node is part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// k3s or kubeadm.
    pub kind: Kind,
    /// The name or address by which its API is reached.
    pub host: String,
    /// The port of its API.
    pub port: u16,
    /// Whether its first server is none of the inventory's: then its
    /// secrets are not ours.
    pub foreign: bool,
}

impl Cluster {
    /// Returns host and port, as they stand in a URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        join(&self.host, self.port)
    }
}

/// What a new card of the first master does where the cluster was seen.
pub(super) struct Again {
    /// Where it joins; nothing where there is nobody to be joined.
    pub(super) url: Option<String>,
    /// What the owner should know.
    pub(super) note: String,
}

/// The cluster as templates see it.
pub(super) struct View {
    pub(super) cluster: Cluster,
    /// What its nodes reach without a proxy, with commas between.
    pub(super) no_proxy: String,
    /// How its other masters are reached.
    others: Vec<String>,
    value: Value,
}

impl View {
    /// Looks at the cluster of `node`; there is none without a role. `facts`
    /// are the names that Ansible would know.
    pub(super) fn of(
        node: &Node,
        inventory: &Inventory,
        settings: &Settings,
        facts: &Value,
        no_proxy: &[String],
    ) -> Result<Option<Self>, SettingError> {
        let Some(role) = node.role else { return Ok(None) };
        let kind = role.cluster;
        let of_cluster = inventory.nodes.iter().filter_map(|node| {
            node.role.filter(|role| role.cluster == kind).map(|r| (node, r))
        });
        let members: Vec<_> = of_cluster.collect();
        let masters: Vec<&Node> = members
            .iter()
            .filter(|(_, role)| role.kind == RoleKind::Master)
            .map(|(node, _)| *node)
            .collect();
        let first = masters.iter().copied().find(|node| node.first_master);

        let named = settings.text("control_plane_endpoint");
        let named = named.map(|text| {
            endpoint(text).ok_or_else(|| SettingError::Shape {
                name: "control_plane_endpoint",
                expected: "host or host:port".to_owned(),
            })
        });
        let url = match kind {
            Kind::K3s => settings.text("k3s_url"),
            Kind::K8s => None,
        };
        let url_endpoint = url.map(|url| {
            url_endpoint(url).ok_or_else(|| SettingError::Shape {
                name: "k3s_url",
                expected: "a URL like https://192.168.71.21:6443".to_owned(),
            })
        });
        let (named, url_endpoint) =
            (named.transpose()?, url_endpoint.transpose()?);
        let ours = |host: &str| {
            masters.iter().any(|m| m.reach() == host || m.name == host)
                || named.as_ref().is_some_and(|(named, _)| named == host)
        };
        let foreign = match &url_endpoint {
            Some((host, _)) => !ours(host),
            None => false,
        };
        let (host, port) = match (named.clone(), first, &url_endpoint) {
            (_, _, Some(endpoint)) if foreign => endpoint.clone(),
            (Some(endpoint), ..) => endpoint,
            (None, Some(first), _) => (first.reach(), PORT),
            (None, None, endpoint) => {
                endpoint.clone().unwrap_or_else(|| (node.reach(), PORT))
            }
        };
        let cluster = Cluster { kind, host, port, foreign };

        let (pods, services) = networks(kind, first.unwrap_or(node), facts)?;
        let nodes = members.iter().map(|(node, role)| {
            context! {
                name => &node.name,
                reach => node.reach(),
                address => node.address.map(|a| a.to_string()),
                kind => role.kind.to_string(),
            }
        });
        let nodes: Vec<Value> = nodes.collect();
        let of_masters = members.iter().zip(&nodes);
        let master_values: Vec<Value> = of_masters
            .filter(|((_, role), _)| role.kind == RoleKind::Master)
            .map(|(_, value)| value.clone())
            .collect();
        let endpoint = cluster.endpoint();
        let networks = [&pods, &services];
        let no_proxy =
            reached_directly(no_proxy, &members, &cluster, &networks);
        let value = context! {
            name => kind.to_string(),
            ha => masters.len() > 1,
            masters => master_values,
            nodes => nodes,
            first => first.map(Node::reach),
            url => url.map_or_else(|| format!("https://{endpoint}"),
                |url| url.trim_end_matches('/').to_owned()),
            named => named.is_some(),
            host => &cluster.host,
            port => cluster.port,
            endpoint => endpoint,
            foreign => foreign,
            minor => minor(kind, settings)?,
            pods => pods,
            services => services,
        };
        let others = masters.iter().filter(|other| other.name != node.name);
        let others = others.map(|other| other.reach()).collect();
        Ok(Some(Self { cluster, no_proxy, others, value }))
    }

    /// Returns what the first master of a cluster does that has been seen at
    /// work on the day `seen`.
    pub(super) fn again(&self, node: &Node, seen: &str) -> Again {
        let kind = self.cluster.kind;
        let seen = match seen {
            "" => "before".to_owned(),
            day => format!("since {day}"),
        };
        let name = &node.name;
        let Some(other) = self.others.first() else {
            let note = format!(
                "the {kind} cluster has been seen at work {seen}, and {name} \
                 is its only master: with this card it begins anew, with the \
                 same authorities and tokens, and without what was stored in \
                 it"
            );
            return Again { url: None, note };
        };
        let own =
            self.cluster.host == node.reach() || self.cluster.host == node.name;
        let cannot = match kind {
            Kind::K8s if own => {
                "; kubeadm joins at the cluster's own address, which is this \
                 node's: without another `control_plane_endpoint` from the \
                 beginning it cannot, and waits"
            }
            _ => "",
        };
        let note = format!(
            "the {kind} cluster has been seen at work {seen}: this card joins \
             its other masters, and never begins another cluster{cannot}. \
             `piflash down {name}` first, if it is still listed there; if the \
             cluster is gone: piflash build --new-cluster {name}"
        );
        Again { url: Some(format!("https://{}", join(other, PORT))), note }
    }

    pub(super) fn value(&self) -> Value {
        self.value.clone()
    }
}

/// Returns the minor release of Kubernetes that the node is to run.
fn minor(kind: Kind, settings: &Settings) -> Result<u32, SettingError> {
    let (name, expected) = match kind {
        Kind::K3s => ("k3s_version", "a release of k3s, as v1.36.4+k3s1"),
        Kind::K8s => ("k8s_version", "a version like 1.37.1-1.1 or 1.37"),
    };
    settings.text(name).and_then(minor_number).ok_or_else(|| {
        SettingError::Shape { name, expected: expected.to_owned() }
    })
}

/// Returns the networks of pods and of services. With k3s they are the
/// servers' affair, so what counts is what the first one is told.
fn networks(
    kind: Kind,
    first: &Node,
    facts: &Value,
) -> Result<(String, String), SettingError> {
    let rendered = |name| {
        first
            .rendered(name, facts)
            .map_err(|source| SettingError::Render { name, source })
    };
    let (pods, services) = match kind {
        Kind::K3s => {
            let config = rendered("k3s_config")?.unwrap_or_default();
            let of = |key: &str| {
                let value = config.get_attr(key).unwrap_or_default();
                let list = value.try_iter().ok().filter(|_| {
                    value.kind() == minijinja::value::ValueKind::Seq
                });
                let text = match list {
                    Some(list) => list
                        .map(|item| item.to_string())
                        .collect::<Vec<_>>()
                        .join(","),
                    None => value.to_string(),
                };
                Some(text).filter(|_| !value.is_undefined() && !value.is_none())
            };
            (of("cluster-cidr"), of("service-cidr"))
        }
        Kind::K8s => {
            let pods = rendered("pod_network_cidr")?;
            (pods.map(|value| value.to_string()), None)
        }
    };
    let (usual_pods, usual_services) = match kind {
        Kind::K3s => ("10.42.0.0/16", "10.43.0.0/16"),
        Kind::K8s => ("10.244.0.0/16", "10.96.0.0/12"),
    };
    Ok((
        pods.unwrap_or_else(|| usual_pods.to_owned()),
        services.unwrap_or_else(|| usual_services.to_owned()),
    ))
}

/// Returns what is never behind the proxy, in `NO_PROXY`'s form: what the
/// inventory says, this machine, the cluster's nodes, pods and services.
fn reached_directly(
    no_proxy: &[String],
    members: &[(&Node, crate::inventory::Role)],
    cluster: &Cluster,
    networks: &[&String],
) -> String {
    let mut hosts = no_proxy.to_vec();
    let usual = ["localhost", "127.0.0.0/8", "::1", ".svc", ".cluster.local"];
    hosts.extend(usual.map(str::to_owned));
    hosts.extend(
        networks.iter().flat_map(|net| net.split(',')).map(str::to_owned),
    );
    hosts.push(cluster.host.clone());
    for (node, _) in members {
        hosts.extend([node.name.clone(), node.reach()]);
    }
    let mut seen = std::collections::BTreeSet::new();
    hosts.retain(|host| seen.insert(host.clone()));
    hosts.join(",")
}

/// Splits `host` or `host:port`.
fn endpoint(text: &str) -> Option<(String, u16)> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address.to_string(), PORT));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|p| *p > 0)?),
        None => (text, PORT),
    };
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    match bare {
        Some(address) => {
            let address: IpAddr = address.parse().ok()?;
            Some((address.to_string(), port))
        }
        None => is_host(host).then(|| (host.to_owned(), port)),
    }
}

/// Returns host and port of a URL without a path.
fn url_endpoint(url: &str) -> Option<(String, u16)> {
    endpoint(url.strip_prefix("https://")?.trim_end_matches('/'))
}

fn is_host(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
}

fn join(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_have_a_port() {
        for (text, host, port) in [
            ("10.0.0.1", "10.0.0.1", 6443),
            ("10.0.0.1:443", "10.0.0.1", 443),
            ("api.lan", "api.lan", 6443),
            ("api.lan:7443", "api.lan", 7443),
            ("fd00::1", "fd00::1", 6443),
            ("[fd00::1]:443", "fd00::1", 443),
        ] {
            let expected = Some((host.to_owned(), port));
            assert_eq!(endpoint(text), expected, "{text}");
        }
        for bad in ["", ":1", "a:0", "a:x", "a b", "[x]:1", "a/b", "[::1]"] {
            assert_eq!(endpoint(bad), None, "{bad}");
        }
        let url = url_endpoint("https://[fd00::1]:6443/").unwrap();
        assert_eq!(join(&url.0, url.1), "[fd00::1]:6443");
        for bad in ["http://10.0.0.1:6443", "https://10.0.0.1/x", "https://"] {
            assert_eq!(url_endpoint(bad), None, "{bad}");
        }
    }
}
