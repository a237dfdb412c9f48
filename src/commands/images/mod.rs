//! `piflash images`: the catalogue and the cache.

mod fetch;
mod list;
mod prune;
mod update;
mod verify;

use std::path::Path;

use clap::{Args, Subcommand};

use super::{error::Result, shelf::CacheArgs};
use crate::ui::Ui;

/// List the base images that are known, and what the cache has of them
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ImagesArgs {
    #[command(subcommand)]
    command: Option<Command>,

    /// Only images with this in their id or in an alias
    #[arg(value_name = "NAME")]
    filter: Option<String>,

    /// For programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    cache: CacheArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    Fetch(fetch::FetchArgs),
    Update(update::UpdateArgs),
    Verify(verify::VerifyArgs),
    Prune(prune::PruneArgs),
}

/// Lists the images, or does what the subcommand says.
pub(super) fn images(
    inventory: &Path,
    args: &ImagesArgs,
    ui: &Ui,
) -> Result<()> {
    match &args.command {
        None => list::list(args, ui),
        Some(Command::Fetch(args)) => fetch::fetch(inventory, args, ui),
        Some(Command::Update(args)) => update::update(args, ui),
        Some(Command::Verify(args)) => verify::verify(args, ui),
        Some(Command::Prune(args)) => prune::prune(args, ui),
    }
}
