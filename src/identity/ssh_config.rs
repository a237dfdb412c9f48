//! `ssh_config`, by which `ssh -F build/ssh_config node3` reaches a node
//! without a question; see ssh_config(5).

use std::{
    collections::BTreeMap,
    fmt::Write,
    path::{Path, PathBuf},
};

use crate::inventory::{KeySource, Node};

const HEAD: &str = "# Written by piflash on every build; use it as\n\
                    #   ssh -F THIS-FILE NODE\n";

/// A path that no ssh_config can hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{}: ssh_config(5) cannot name a path with quotes, backslashes, `${{` or \
     control characters", .0.display()
)]
pub struct Unquotable(
    /// The path.
    pub PathBuf,
);

/// Returns the text of `ssh_config` with the blocks of `nodes` (with the
/// names of their accounts) in it. Blocks of others stay as they are in
/// `before`, as long as `has_keys` says that a node still has its identity.
/// `known_hosts` is absolute: ssh resolves paths against its own directory.
///
/// # Errors
/// If a path cannot be written down.
pub fn ssh_config(
    before: &str,
    nodes: &[(&Node, &str)],
    known_hosts: &Path,
    has_keys: impl Fn(&str) -> bool,
) -> Result<String, Unquotable> {
    let mut blocks: BTreeMap<&str, String> =
        blocks(before).into_iter().filter(|(name, _)| has_keys(name)).collect();
    for (node, account) in nodes {
        let block = block(node, account, known_hosts)?;
        blocks.insert(&node.name, block);
    }
    let mut text = HEAD.to_owned();
    for block in blocks.values() {
        text.push('\n');
        text.push_str(block);
    }
    Ok(text)
}

fn blocks(text: &str) -> BTreeMap<&str, String> {
    let mut blocks: BTreeMap<&str, String> = BTreeMap::new();
    let mut name = None;
    for line in text.lines() {
        if let Some(host) = line.strip_prefix("Host ") {
            name = Some(host);
        }
        if let Some(name) = name
            && !line.is_empty()
        {
            let block = blocks.entry(name).or_default();
            block.push_str(line);
            block.push('\n');
        }
    }
    blocks
}

fn block(
    node: &Node,
    account: &str,
    known_hosts: &Path,
) -> Result<String, Unquotable> {
    let mut text = format!("Host {}\n", node.name);
    let mut line = |key: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    {key} {value}");
    };
    line("HostName", &node.reach());
    line("HostKeyAlias", &node.name);
    line("User", account);
    for path in private_halves(node) {
        line("IdentityFile", &quoted(&path)?);
    }
    line("UserKnownHostsFile", &quoted(known_hosts)?);
    line("StrictHostKeyChecking", "yes");
    Ok(text)
}

/// The private keys beside the `.pub` files that the inventory names.
fn private_halves(node: &Node) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for key in &node.ssh_authorized_keys.keys {
        if let KeySource::File(public) = &key.source
            && public.extension().is_some_and(|e| e == "pub")
        {
            let private = public.with_extension("");
            let private = std::path::absolute(&private).unwrap_or(private);
            if private.is_file() && !paths.contains(&private) {
                paths.push(private);
            }
        }
    }
    paths
}

/// `%` begins a token; quotes hold blanks together.
fn quoted(path: &Path) -> Result<String, Unquotable> {
    let bad = || Unquotable(path.to_owned());
    let text = path.to_str().ok_or_else(bad)?;
    if text.contains(['"', '\\'])
        || text.contains("${")
        || text.contains(char::is_control)
    {
        return Err(bad());
    }
    Ok(format!("\"{}\"", text.replace('%', "%%")))
}
