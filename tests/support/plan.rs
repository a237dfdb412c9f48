//! Plans of made images, without building.

use super::image::Case;
use piflash::{
    base::probe::probe,
    inventory,
    plan::{Action, Artefacts, Hooks, Inputs, Plan, PlanError},
    profile::Profiles,
};
use std::fs;

/// Plans node3 on the made image `case`; `vars` are lines of YAML with six
/// spaces in front.
pub fn plan(case: &Case, vars: &str) -> Result<Plan, PlanError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("inventory.yml");
    let text = format!(
        "all:\n  hosts:\n    node3:\n      ansible_host: 192.168.71.23\n      \
         ssh_authorized_keys: []\n{vars}"
    );
    fs::write(&path, text).unwrap();
    let inventory = inventory::load(&path, None)
        .unwrap_or_else(|e| panic!("{vars}: {e:?}"));
    let facts = probe(&case.boot, &case.root, &case.table()).unwrap();
    let profiles = Profiles::load(None).unwrap();
    let node = inventory.node("node3").unwrap();
    Plan::new(&Inputs {
        node,
        inventory: &inventory,
        facts: &facts,
        profiles: &profiles,
        identity: None,
        files: &[],
        hooks: &Hooks::default(),
        artefacts: &Artefacts::default(),
        time: super::image::TIME,
    })
}

/// The text that a plan writes at `path`.
pub fn content(plan: &Plan, path: &str) -> String {
    let edit = plan.edits.iter().find(|edit| edit.path == path);
    match edit.map(|edit| &edit.action) {
        Some(Action::Write { content, .. }) => {
            content.as_text().unwrap().to_owned()
        }
        _ => panic!("{path}: not in {}", plan.text()),
    }
}
