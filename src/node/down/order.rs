//! Who goes first.

use crate::inventory::{Node, RoleKind};

/// Sorts nodes of one cluster as they go down: workers, then masters, of
/// these first those that are not well, and last the one that began it.
/// Among equals the inventory's order stays.
pub(super) fn sort(nodes: &mut [&Node], is_well: impl Fn(&Node) -> bool) {
    nodes.sort_by_key(|node| {
        let master = is_master(node);
        (master, master && is_well(node), node.first_master)
    });
}

pub(super) fn is_master(node: &Node) -> bool {
    node.role.is_some_and(|role| role.kind == RoleKind::Master)
}
