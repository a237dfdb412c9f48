//! Ways in for `fuzz/`: what nodes and clusters say comes over connections,
//! which a fuzz target has not.

use std::collections::BTreeMap;

use super::{NodeStatus, Registered, Trouble, answer, api, ssh::Output};

/// Reads what `piflash-node status` printed.
///
/// # Errors
///
/// It is no answer.
pub fn status(stdout: &str) -> Result<NodeStatus, Trouble> {
    let stdout = stdout.to_owned();
    answer::read(&Output { code: 0, stdout, stderr: String::new() })
}

/// Reads what an API server said of its nodes.
///
/// # Errors
///
/// It is no list of nodes.
pub fn nodes(body: &[u8]) -> Result<BTreeMap<String, Registered>, String> {
    api::read(body)
}
