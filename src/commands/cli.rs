//! The command line, as typed. No logic.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Init(super::init::InitArgs),
    Plan(super::plan::PlanArgs),
    Build(super::build::BuildArgs),
    Images(super::images::ImagesArgs),
}

/// Which base image.
#[derive(Args, Clone, Debug)]
pub(super) struct ImageArgs {
    /// The base image: `demo`, or the path of a raw .img [default: the
    /// node's `image` in the inventory]
    #[arg(long, value_name = "IMAGE")]
    pub(super) image: Option<String>,

    /// Use no network
    #[arg(long)]
    pub(super) offline: bool,
}
