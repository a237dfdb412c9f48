//! What a node's groups make of it.

use std::collections::BTreeMap;

use super::{
    grammar::is_host_name,
    groups::{Graph, Host},
    node::{Cluster, OsGroup, Role, RoleKind},
    problem::{Location, Problem, quoted},
};

/// What a node is by its groups.
#[derive(Clone, Debug, Default)]
pub(super) struct Membership {
    /// Which stock image.
    pub(super) os: Option<OsGroup>,
    /// Pi hardware.
    pub(super) raspberry_pi: bool,
    /// The place in a cluster.
    pub(super) role: Option<Role>,
    /// The first of the cluster's masters.
    pub(super) first_master: bool,
}

impl Membership {
    /// Names the account that users of the OS expect.
    pub(super) fn default_account(&self) -> Option<String> {
        Some(
            match self.os? {
                OsGroup::RaspberryPiOs => "pi",
                OsGroup::Ubuntu => "ubuntu",
            }
            .to_owned(),
        )
    }
}

const RASPBERRY_PI_OS: [&str; 2] = ["raspberry_pi_os", "raspbian"];
const UBUNTU: [&str; 1] = ["ubuntu"];
const HARDWARE: [&str; 2] = ["raspberry_pi", "raspberry_pi_hw"];

/// The groups of every role.
const ROLES: [(Cluster, RoleKind, &[&str]); 4] = [
    (Cluster::K3s, RoleKind::Master, &["k3s_master", "k3s_server"]),
    (Cluster::K3s, RoleKind::Worker, &["k3s_worker", "k3s_agent"]),
    (Cluster::K8s, RoleKind::Master, &["k8s_master"]),
    (Cluster::K8s, RoleKind::Worker, &["k8s_worker"]),
];

/// Where a host was put into a group.
struct Mention<'a> {
    group: &'static str,
    at: &'a Location,
}

/// Says what every node is, in the order of the graph. `elsewhere` says of a
/// host that its k3s server may be none of the inventory's.
pub(super) fn memberships(
    graph: &Graph,
    elsewhere: impl Fn(&str) -> bool,
    problems: &mut Vec<Problem>,
) -> Vec<Membership> {
    let raspberry_pi_os = mentions(graph, &RASPBERRY_PI_OS);
    let ubuntu = mentions(graph, &UBUNTU);
    let hardware = mentions(graph, &HARDWARE);
    let roles: Vec<_> = ROLES
        .iter()
        .map(|(cluster, kind, groups)| {
            let role = Role { cluster: *cluster, kind: *kind };
            (role, mentions(graph, groups))
        })
        .collect();
    let all = graph
        .hosts
        .iter()
        .map(|host| {
            let name = &*host.name;
            let os = match (raspberry_pi_os.get(name), ubuntu.get(name)) {
                (Some(a), Some(b)) => {
                    problems.push(conflict(
                        host,
                        a,
                        b,
                        "a card holds one operating system",
                    ));
                    None
                }
                (Some(_), None) => Some(OsGroup::RaspberryPiOs),
                (None, Some(_)) => Some(OsGroup::Ubuntu),
                (None, None) => None,
            };
            Membership {
                os,
                raspberry_pi: hardware.contains_key(name),
                role: role(host, &roles, problems),
                first_master: first_master(graph, name),
            }
        })
        .collect();
    check_master(graph, Cluster::K3s, elsewhere, problems);
    check_master(graph, Cluster::K8s, |_| false, problems);
    all
}

fn mentions<'a>(
    graph: &'a Graph,
    groups: &[&'static str],
) -> BTreeMap<&'a str, Mention<'a>> {
    let mut found = BTreeMap::new();
    for group in groups {
        if !graph.groups.contains_key(*group) {
            continue;
        }
        for (host, at) in graph.members(group) {
            found.entry(host).or_insert(Mention { group, at });
        }
    }
    found
}

fn conflict(
    host: &Host,
    a: &Mention<'_>,
    b: &Mention<'_>,
    why: &str,
) -> Problem {
    // The later mention is the one that is too many.
    let key = |m: &Mention<'_>| (m.at.line, m.at.column);
    let (first, second) = if key(a) <= key(b) { (a, b) } else { (b, a) };
    Problem::at(
        second.at,
        format!(
            "node {} is in {} and in {}: {why}",
            quoted(&host.name),
            quoted(first.group),
            quoted(second.group)
        ),
    )
    .hint(format!("it is in {} by line {}", first.group, first.at.line))
}

type RoleMentions<'a> = (Role, BTreeMap<&'a str, Mention<'a>>);

fn role(
    host: &Host,
    roles: &[RoleMentions<'_>],
    problems: &mut Vec<Problem>,
) -> Option<Role> {
    let name = &*host.name;
    let held: Vec<(Role, &Mention<'_>)> = roles
        .iter()
        .filter_map(|(role, mentions)| Some((*role, mentions.get(name)?)))
        .collect();
    let (first, rest) = held.split_first()?;
    for other in rest {
        let why = if other.0.cluster == first.0.cluster {
            "a master runs workloads too, so it is not a worker besides"
        } else {
            "a node can be in one cluster"
        };
        problems.push(conflict(host, first.1, other.1, why));
    }
    rest.is_empty().then_some(first.0)
}

/// Gives the hosts of a role, in the order of its groups.
fn of_role(
    graph: &Graph,
    cluster: Cluster,
    kind: RoleKind,
) -> impl Iterator<Item = (&str, &Location)> {
    ROLES
        .iter()
        .filter(move |(c, k, _)| *c == cluster && *k == kind)
        .flat_map(|(_, _, groups)| groups.iter())
        .filter(|group| graph.groups.contains_key(**group))
        .flat_map(|group| graph.members(group))
}

fn first_master(graph: &Graph, host: &str) -> bool {
    [Cluster::K3s, Cluster::K8s]
        .into_iter()
        .filter_map(|cluster| of_role(graph, cluster, RoleKind::Master).next())
        .any(|(first, _)| first == host)
}

fn check_master(
    graph: &Graph,
    cluster: Cluster,
    elsewhere: impl Fn(&str) -> bool,
    problems: &mut Vec<Problem>,
) {
    let mut masters = of_role(graph, cluster, RoleKind::Master);
    if masters.next().is_some() {
        return;
    }
    let mut workers = of_role(graph, cluster, RoleKind::Worker);
    if let Some((host, at)) = workers.find(|(host, _)| !elsewhere(host)) {
        let problem = Problem::at(
            at,
            format!(
                "node {} is a worker of {cluster}, which has no master",
                quoted(host)
            ),
        );
        let hint = format!("put a node into the group {cluster}_master");
        problems.push(problem.hint(match cluster {
            Cluster::K3s => format!("{hint}, or name a server in k3s_url"),
            Cluster::K8s => hint,
        }));
    }
}

/// Longest hostname that Linux takes (`HOST_NAME_MAX`).
const MAX_HOST_NAME: usize = 64;

/// Checks a node's name: it becomes the hostname and, in a cluster, the
/// name of the Kubernetes node.
pub(super) fn check_name(
    host: &Host,
    role: Option<Role>,
    problems: &mut Vec<Problem>,
) {
    let name = &host.name;
    let at = &host.at;
    if name.parse::<std::net::IpAddr>().is_ok() {
        problems.push(
            Problem::at(
                at,
                format!("{} is an address, not a name", quoted(name)),
            )
            .hint(
                "a node's name becomes its hostname: write \
                 `node1: {ansible_host: ADDRESS}`",
            ),
        );
        return;
    }
    if !is_host_name(name) || name.len() > MAX_HOST_NAME {
        let reason = if name.len() > MAX_HOST_NAME {
            "it has more than 64 characters"
        } else if name.split('.').any(|label| label.len() > 63) {
            "a part has more than 63 characters"
        } else {
            "only letters, digits and hyphens inside may be used (RFC 1123)"
        };
        let problem = Problem::at(
            at,
            format!("{} cannot be a hostname: {reason}", quoted(name)),
        );
        let better = name
            .replace(['_', ' '], "-")
            .trim_matches('-')
            .to_ascii_lowercase();
        problems.push(
            if better != *name
                && is_host_name(&better)
                && better.len() <= MAX_HOST_NAME
            {
                problem.hint(format!("for example {}", quoted(&better)))
            } else {
                problem
            },
        );
        return;
    }
    if role.is_some() && name.chars().any(|c| c.is_ascii_uppercase()) {
        problems.push(
            Problem::at(
                at,
                format!(
                    "{} cannot be the name of a Kubernetes node, which has \
                     no capital letters",
                    quoted(name)
                ),
            )
            .hint(format!(
                "for example {}",
                quoted(&name.to_ascii_lowercase())
            )),
        );
    }
}
