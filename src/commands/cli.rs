//! The command line, as typed. No logic.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::ui::ProgressMode;

/// Turns one inventory into ready-to-boot SD-card images for a Raspberry Pi
/// Kubernetes cluster.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub(super) struct Cli {
    /// The inventory: a YAML file as Ansible reads it
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        default_value = "inventory.yml",
        env = "PIFLASH_INVENTORY"
    )]
    pub(super) inventory: PathBuf,

    /// Say nothing but errors and warnings
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,

    /// Progress on standard error: `auto` (bars on a terminal), `none`, or
    /// `json` (only lines of JSON, for programs)
    #[arg(
        long,
        global = true,
        value_name = "HOW",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub(super) progress: ProgressMode,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Init(super::init::InitArgs),
    Plan(super::plan::PlanArgs),
    Build(super::build::BuildArgs),
    Write(super::write::WriteArgs),
    Verify(super::verify::VerifyArgs),
    Inspect(super::inspect::InspectArgs),
    Diff(super::diff::DiffArgs),
    Images(super::images::ImagesArgs),
    Status(super::status::StatusArgs),
    Down(super::down::DownArgs),
    #[command(hide = true)]
    OpenDevice(super::write::OpenDeviceArgs),
}
