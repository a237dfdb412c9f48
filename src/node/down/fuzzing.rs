//! Ways in for `fuzz/`, as in [`crate::node::fuzzing`].

use std::collections::BTreeMap;

use super::{Etcd, Registration, Servers, etcd::Leaver, seen};

/// Reads what etcdctl printed of members and their health, and returns why
/// the member of a node `name` at `address` must not leave.
///
/// # Errors
///
/// It is no list of members.
pub fn etcd(
    list: &str,
    health: &str,
    name: &str,
    address: &str,
) -> Result<Option<String>, String> {
    let etcd = Etcd::read(list, health)?;
    let leaver = Leaver { name, address };
    let _ = (etcd.member(leaver), etcd.mismatch(&[name], &[]));
    Ok(etcd.obstacle(leaver))
}

/// Reads what kubectl printed of k3s' servers, and returns why the server
/// `name` must not leave.
///
/// # Errors
///
/// It is no list of nodes.
pub fn servers(list: &str, name: &str) -> Result<Option<String>, String> {
    Servers::read(list).map(|servers| servers.obstacle(name))
}

/// Reads the table that `kubectl get nodes` printed.
#[must_use]
pub fn registered(table: &str) -> BTreeMap<String, Registration> {
    seen::list(table)
}
