//! One file a command; the only room that knows every other.

mod access;
mod build;
mod cli;
mod error;
mod images;
mod init;
mod plan;
mod record;
mod shelf;
mod workshop;

use std::process::ExitCode;

use clap::Parser;

use crate::ui::Ui;
use cli::{Cli, Command};
use error::{Kind, Result};

/// Parses the command line, runs the command and reports how it went.
///
/// Exit codes: 0 done, 1 failed, 2 bad usage or inventory, 3 what was
/// written does not read back.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let ui = Ui::new(cli.quiet);
    match run(&cli, &ui) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if error.kind != Kind::BrokenPipe {
                ui.report(&error.report);
            }
            error.exit_code()
        }
    }
}

fn run(cli: &Cli, ui: &Ui) -> Result<()> {
    match &cli.command {
        Command::Init(args) => init::init(&cli.inventory, args, ui),
        Command::Plan(args) => plan::plan(&cli.inventory, args, ui),
        Command::Build(args) => build::build(&cli.inventory, args, ui),
        Command::Images(args) => images::images(args, ui),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        super::Cli::command().debug_assert();
    }
}
