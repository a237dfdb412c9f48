//! The inventory of a command, and nodes by the names that were typed.

use std::{collections::BTreeSet, env, path::Path, path::PathBuf};

use super::error::{CommandError, Kind, Result};
use crate::{
    inventory::{self, Inventory, Node},
    ui::{Report, Ui},
};

/// Reads the inventory; every problem is said.
pub(super) fn load(path: &Path, ui: &Ui) -> Result<Inventory> {
    let home = env::var_os("HOME").map(PathBuf::from);
    let inventory =
        inventory::load(path, home.as_deref()).map_err(|errors| {
            let mut report = Report::new(format!(
                "{} is not usable as it is",
                path.display()
            ));
            for problem in errors.problems() {
                let excerpt = problem.excerpt().unwrap_or_default();
                report = report.cause(
                    format!("{problem}\n{excerpt}").trim_end().to_owned(),
                );
            }
            CommandError::new(Kind::Usage, report)
        })?;
    for warning in &inventory.warnings {
        ui.warn(&warning.to_string());
    }
    Ok(inventory)
}

/// Finds a node by its name.
pub(super) fn find<'i>(
    inventory: &'i Inventory,
    name: &str,
) -> Result<&'i Node> {
    inventory.node(name).map_err(|error| {
        CommandError::usage(error.to_string())
            .hint(format!("there are: {}", error.known.join(", ")))
    })
}

/// Finds nodes by their names, each once; all where none is given.
pub(super) fn select<'i>(
    inventory: &'i Inventory,
    names: &[String],
) -> Result<Vec<&'i Node>> {
    if names.is_empty() {
        return Ok(inventory.nodes.iter().collect());
    }
    let mut seen = BTreeSet::new();
    let names = names.iter().filter(|name| seen.insert(*name));
    names.map(|name| find(inventory, name)).collect()
}
