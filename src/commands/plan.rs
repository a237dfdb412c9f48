use std::{path::Path, slice};

use clap::Args;

use super::{
    error::{CommandError, Result},
    shelf::ImageArgs,
    workshop::Workshop,
};
use crate::ui::Ui;

/// Show every change that a build would make, and why
#[derive(Args, Debug)]
pub(super) struct PlanArgs {
    /// The node, by its name in the inventory
    #[arg(value_name = "NODE")]
    node: String,

    /// For programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    image: ImageArgs,
}

/// Prints a node's plan; changes nothing.
pub(super) fn plan(inventory: &Path, args: &PlanArgs, ui: &Ui) -> Result<()> {
    let workshop = Workshop::open(inventory, &args.image, ui)?;
    for job in workshop.prepare(slice::from_ref(&args.node), ui)? {
        let text = if args.json {
            format!("{:#}\n", job.plan.json())
        } else {
            job.plan.text()
        };
        ui.print(&text).map_err(|error| CommandError::output(&error))?;
    }
    Ok(())
}
