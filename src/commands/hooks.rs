//! The folder of event hooks that an inventory's masters have.

use std::{io, path::Path};

use minijinja::Value;

use super::error::{CommandError, Kind, Result};
use crate::{
    base::facts::Facts,
    inventory::{
        Cluster, Hook, HookError, HookEvent, HookFolder, Node, RoleKind,
    },
    plan::ansible_facts,
    ui::{Report, Ui},
};

/// Reads the hooks that a master's card has; those for its end are checked
/// with them. They are in the folder that `hooks_dir` names, from the
/// inventory's `folder`.
pub(super) fn post_master_up(
    node: &Node,
    facts: &Facts,
    folder: &Path,
    ui: &Ui,
) -> Result<Vec<Hook>> {
    let Some(role) = node.role.filter(|role| role.kind == RoleKind::Master)
    else {
        return Ok(Vec::new());
    };
    let Some(hooks) = open(node, &ansible_facts(node, facts), folder)? else {
        return Ok(Vec::new());
    };
    if node.first_master {
        for file in hooks.strange() {
            ui.warn(&format!(
                "{} is not the name of a hook and has no effect: they are \
                 post-master-up.yml and pre-master-down.yml, perhaps with \
                 k3s- or k8s- in front",
                file.display()
            ));
        }
    }
    read(&hooks, role.cluster, HookEvent::PreMasterDown)?;
    read(&hooks, role.cluster, HookEvent::PostMasterUp)
}

/// Reads the hooks that are applied before this master goes down, when
/// nothing is known of its image.
pub(super) fn pre_master_down(
    node: &Node,
    cluster: Cluster,
    folder: &Path,
) -> Result<Vec<Hook>> {
    match open(node, &Value::UNDEFINED, folder)? {
        Some(hooks) => read(&hooks, cluster, HookEvent::PreMasterDown),
        None => Ok(Vec::new()),
    }
}

fn open(
    node: &Node,
    facts: &Value,
    folder: &Path,
) -> Result<Option<HookFolder>> {
    let named = node.rendered("hooks_dir", facts).map_err(|error| {
        let what = format!("`hooks_dir` of {} cannot be worked out", node.name);
        CommandError::new(Kind::Usage, Report::new(what).because(&error))
    })?;
    let named = named.map(|value| value.to_string());
    let dir = folder.join(named.as_deref().unwrap_or("hooks"));
    match HookFolder::open(&dir) {
        Ok(hooks) => Ok(Some(hooks)),
        // Nobody has asked for any.
        Err(e) if e.kind() == io::ErrorKind::NotFound && named.is_none() => {
            Ok(None)
        }
        Err(e) => {
            let what = format!("cannot read the hooks of {}", node.name);
            let report = Report::new(what)
                .cause(dir.display().to_string())
                .because(&e)
                .hint("`hooks_dir` names a folder beside the inventory");
            Err(CommandError::new(Kind::Usage, report))
        }
    }
}

fn read(
    hooks: &HookFolder,
    cluster: Cluster,
    event: HookEvent,
) -> Result<Vec<Hook>> {
    hooks.of(cluster, event).map_err(|error| {
        let what = format!("a hook of the {cluster} cluster is not usable");
        let report = Report::new(what).because(&error);
        let report = match error {
            HookError::Form { .. } | HookError::NoFile { .. } => report.hint(
                "a hook is a file of Kubernetes manifests, as `kubectl apply \
                 -f` takes them",
            ),
            HookError::Read { .. } | HookError::Twice { .. } => report,
        };
        CommandError::new(Kind::Usage, report)
    })
}
