//! `known_hosts`, in the format of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".

use super::HostKeys;
use crate::inventory::Node;

/// Returns the text of `known_hosts` with the lines of `nodes` in it. Lines
/// of other nodes stay as they are in `before`, as long as `has_keys` says
/// that a node still has its identity: several inventories may share it.
#[must_use]
pub fn known_hosts(
    before: &str,
    nodes: &[(&Node, &HostKeys)],
    has_keys: impl Fn(&str) -> bool,
) -> String {
    let mut lines: Vec<String> = before
        .lines()
        .filter(|line| {
            let names = line.split_whitespace().next().unwrap_or_default();
            let name = names.split(',').next().unwrap_or_default();
            let ours = nodes.iter().any(|(node, _)| node.name == name);
            !ours && !name.is_empty() && has_keys(name)
        })
        .map(str::to_owned)
        .collect();
    for (node, keys) in nodes {
        let mut names = node.name.clone();
        let address = node.reach();
        if address != node.name {
            names = format!("{names},{address}");
        }
        for key in keys.iter() {
            lines.push(format!("{names} {}", key.public()));
        }
    }
    lines.sort();
    lines.dedup();
    lines.iter().map(|line| format!("{line}\n")).collect()
}
