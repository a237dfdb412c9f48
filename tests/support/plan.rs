//! Plans of made images, without building.

use super::image::Case;
use piflash::{
    base::probe::probe,
    inventory,
    plan::{Action, Artefacts, Inputs, Plan, PlanError},
    profile::Profiles,
};
use std::fs;

/// An inventory of four nodes on Raspberry Pi OS; `groups` and `vars` are
/// lines of YAML with four spaces in front.
pub fn four_nodes(groups: &str, vars: &str) -> String {
    format!(
        "all:
  hosts:
    node1: {{ansible_host: 192.168.71.21}}
    node2: {{ansible_host: 192.168.71.22}}
    node3: {{ansible_host: 192.168.71.23}}
    node4: {{ansible_host: 192.168.71.24}}
  children:
    raspbian: {{hosts: {{node1: , node2: , node3: , node4: }}}}
{groups}  vars:
    gateway: 192.168.71.1
    ssh_authorized_keys: []
{vars}"
    )
}

/// Plans node3 on the made image `case`; `vars` are lines of YAML with six
/// spaces in front.
pub fn plan(case: &Case, vars: &str) -> Result<Plan, PlanError> {
    let inventory = format!(
        "all:\n  hosts:\n    node3:\n      ansible_host: 192.168.71.23\n      \
         ssh_authorized_keys: []\n{vars}"
    );
    plan_of(case, &inventory, "node3")
}

/// Plans a node of an inventory on the made image `case`, with all that a
/// node of k3s could have downloaded.
pub fn plan_of(
    case: &Case,
    inventory: &str,
    node: &str,
) -> Result<Plan, PlanError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("inventory.yml");
    fs::write(&path, inventory).unwrap();
    let inventory = inventory::load(&path, None)
        .unwrap_or_else(|e| panic!("{inventory}: {e:?}"));
    let facts = probe(&case.boot, &case.root, &case.table()).unwrap();
    let profiles = Profiles::load(None).unwrap();
    let mut artefacts = Artefacts::default();
    for architecture in ["arm64", "armhf"] {
        let name = format!("k3s-{architecture}");
        artefacts.add(&name, name.clone().into());
        let suffix = architecture.trim_end_matches("hf");
        let name = format!("k3s-airgap-images-{suffix}.tar.zst");
        artefacts.add(&name, name.clone().into());
    }
    Plan::new(&Inputs {
        node: inventory.node(node).unwrap(),
        inventory: &inventory,
        facts: &facts,
        profiles: &profiles,
        identity: None,
        files: &[],
        hooks: &[],
        artefacts: &artefacts,
        time: super::image::TIME,
    })
}

/// The text that a plan writes at `path`, or adds there.
pub fn content(plan: &Plan, path: &str) -> String {
    let edit = plan.edits.iter().find(|edit| edit.path == path);
    match edit.map(|edit| &edit.action) {
        Some(Action::Write { content, .. }) => {
            content.as_text().unwrap().to_owned()
        }
        Some(Action::Append { text }) => text.clone(),
        _ => panic!("{path}: not in {}", plan.text()),
    }
}
