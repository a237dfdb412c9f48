//! Who goes first.

use crate::inventory::{Node, RoleKind};

/// Sorts nodes of one cluster as they go down: workers, then masters, and
/// last the one that began it. Among equals the inventory's order stays.
pub(super) fn sort(nodes: &mut [&Node]) {
    nodes.sort_by_key(|node| (is_master(node), node.first_master));
}

pub(super) fn is_master(node: &Node) -> bool {
    node.role.is_some_and(|role| role.kind == RoleKind::Master)
}
