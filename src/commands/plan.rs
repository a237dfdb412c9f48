use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::{
    error::{CommandError, Result},
    shelf::ImageArgs,
    workshop::{Job, Workshop},
};
use crate::ui::Ui;

/// Version of what `--all --json` prints around the plans.
const VERSION: u32 = 1;

/// Show every change that a build would make, and why
#[derive(Args, Debug)]
pub(super) struct PlanArgs {
    /// The node, by its name in the inventory
    #[arg(value_name = "NODE", required_unless_present = "all")]
    node: Option<String>,

    /// Every node of the inventory
    #[arg(long, conflicts_with = "node")]
    all: bool,

    /// For programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    image: ImageArgs,
}

/// Prints a node's plan, or all; changes nothing.
pub(super) fn plan(inventory: &Path, args: &PlanArgs, ui: &Ui) -> Result<()> {
    let workshop = Workshop::open(inventory, &args.image, ui)?;
    let given = args.node.as_slice();
    let jobs = workshop.prepare(&workshop.names(given), ui)?;
    let text = match (args.json, args.all) {
        (false, _) => {
            let plans: Vec<_> =
                jobs.iter().map(|job| job.plan.text()).collect();
            plans.join("\n")
        }
        (true, false) => jobs.iter().map(|job| shown(&describe(job))).collect(),
        (true, true) => {
            let nodes: Vec<Value> = jobs.iter().map(describe).collect();
            shown(&json!({ "version": VERSION, "nodes": nodes }))
        }
    };
    ui.print(&text).map_err(|error| CommandError::output(&error))
}

fn describe(job: &Job) -> Value {
    let mut plan = job.plan.json();
    plan["image"] = json!(job.image.name);
    plan
}

fn shown(value: &Value) -> String {
    format!("{value:#}\n")
}
