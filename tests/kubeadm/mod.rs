//! Nodes of kubeadm: what is laid down for them, as others read it.

mod apt;
mod artefacts;
mod card;
mod config;
mod containerd;
mod keys;
mod known_sources;
mod refusals;

use std::{fs, path::Path};

use crate::support::{
    image::Case,
    oracle,
    plan::{content, four_nodes},
    releases::{APT_KEY, MANIFEST},
};
use piflash::{
    base::probe::probe,
    inventory::{self, Hook},
    plan::{Action, Artefacts, CustomFile, Inputs, Plan, PlanError},
    profile::Profiles,
};

/// Three masters and a worker on Raspberry Pi OS; `vars` are lines of YAML
/// with four spaces in front.
pub fn inventory(vars: &str) -> String {
    let groups = "    raspberry_pi: {children: {raspbian: }}
    k8s_master: {hosts: {node1: , node2: , node3: }}
    k8s_worker: {hosts: {node4: }}
";
    four_nodes(groups, vars)
}

/// The same with one master, node1, and a worker, node4.
pub fn single(vars: &str) -> String {
    inventory(vars).replace(
        "{node1: , node2: , node3: }}\n    k8s_w",
        "{node1: }}\n    k8s_w",
    )
}

/// Plans a node with all that could be downloaded for it.
pub fn plan_on(
    case: &Case,
    inventory: &str,
    node: &str,
) -> Result<Plan, PlanError> {
    plan_with_files(case, inventory, node, &[])
}

/// The same with files of the user's.
pub fn plan_with_files(
    case: &Case,
    inventory: &str,
    node: &str,
    files: &[CustomFile],
) -> Result<Plan, PlanError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("inventory.yml");
    fs::write(&path, inventory).unwrap();
    let inventory = inventory::load(&path, None)
        .unwrap_or_else(|e| panic!("{inventory}: {e:?}"));
    let facts = probe(&case.boot, &case.root, &case.table()).unwrap();
    let mut artefacts = Artefacts::default();
    artefacts.add("kubernetes-apt-key", APT_KEY.to_owned().into());
    artefacts.add("kube-flannel.yml", MANIFEST.to_owned().into());
    artefacts.add("cri-dockerd", "tar".to_owned().into());
    let hook = |name: &str, content: &str| Hook {
        path: Path::new("hooks").join(name),
        content: content.to_owned(),
    };
    Plan::new(&Inputs {
        node: inventory.node(node).unwrap(),
        inventory: &inventory,
        facts: &facts,
        profiles: &Profiles::load(None).unwrap(),
        identity: None,
        files,
        hooks: &[
            hook("post-master-up.yml", "a: 1\n"),
            hook("k8s-post-master-up.yml", "b: 2\n"),
        ],
        artefacts: &artefacts,
        time: crate::support::image::TIME,
    })
}

pub fn plan(inventory: &str, node: &str) -> Plan {
    plan_on(&Case::load("trixie"), inventory, node)
        .unwrap_or_else(|e| panic!("{node}: {e}: {inventory}"))
}

/// The paths that a plan writes, or makes links or directories at.
pub fn paths(plan: &Plan) -> Vec<&str> {
    let made = |action: &Action| {
        matches!(
            action,
            Action::Write { .. }
                | Action::Mkdir { .. }
                | Action::Symlink { .. }
        )
    };
    let edits = plan.edits.iter().filter(|edit| made(&edit.action));
    edits.map(|edit| &*edit.path).collect()
}

pub fn text(plan: &Plan, path: &str) -> String {
    content(plan, path)
}

/// What PyYAML, another reader than ours, makes of each document of a text.
pub fn pyyaml(text: &str) -> Vec<serde_json::Value> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it.yaml");
    fs::write(&path, text).unwrap();
    // Debian package python3-yaml.
    let program = "import json, sys, yaml\n\
                   json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), \
                   sys.stdout)";
    let args = ["-c", program, path.to_str().unwrap()];
    let json = oracle::run("python3", &args).unwrap();
    serde_json::from_slice(&json).unwrap()
}
