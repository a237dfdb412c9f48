//! Nodes of k3s: what is laid down for it, as others read it.

mod card;
mod config;
mod examples;
mod hooks;
mod refusals;

use std::fs;

use crate::support::{
    image::Case,
    oracle,
    plan::{four_nodes, plan_of},
};
use piflash::plan::{Plan, PlanError};

/// Three servers and an agent on Raspberry Pi OS; `vars` are lines of YAML
/// with four spaces in front.
pub fn inventory(vars: &str) -> String {
    let groups = "    raspberry_pi: {children: {raspbian: }}
    k3s_server: {hosts: {node1: , node2: , node3: }}
    k3s_agent: {hosts: {node4: }}
";
    four_nodes(groups, vars)
}

/// The same with one server, node1, and an agent, node4.
pub fn single(vars: &str) -> String {
    inventory(vars).replace(
        "{node1: , node2: , node3: }}\n    k3s_a",
        "{node1: }}\n    k3s_a",
    )
}

pub fn plan(inventory: &str, node: &str) -> Result<Plan, PlanError> {
    plan_of(&Case::load("trixie"), inventory, node)
}

/// What PyYAML, another reader than ours and than k3s's, makes of a text.
pub fn pyyaml(text: &str) -> serde_json::Value {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it.yaml");
    fs::write(&path, text).unwrap();
    // Debian package python3-yaml.
    let program = "import json, sys, yaml\n\
                   json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";
    let args = ["-c", program, path.to_str().unwrap()];
    let json = oracle::run("python3", &args).unwrap();
    serde_json::from_slice(&json).unwrap()
}
