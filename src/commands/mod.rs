//! One file a command; the only room that knows every other.

mod access;
mod artefacts;
mod bases;
mod build;
mod card;
mod changes;
mod cli;
mod diff;
mod down;
mod downloads;
mod error;
mod fleet;
mod formats;
mod hooks;
mod images;
mod init;
mod inspect;
mod inventory;
mod keys;
mod look;
mod manifest;
mod mask;
mod outputs;
mod plan;
mod record;
mod secrets;
mod shelf;
mod status;
mod summary;
mod usage;
mod verify;
mod view;
mod workshop;
mod write;

use std::{
    env,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use clap::Parser;

use crate::ui::{ProgressMode, Report, Ui};
use cli::{Cli, Command};
use error::{Kind, Result};

/// Parses the command line, runs the command and reports how it went.
///
/// Exit codes: 0 done, 1 failed, 2 bad usage or inventory, 3 what was
/// written does not read back, or what was compared is not the same.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return bad_usage(&error),
    };
    let ui = Ui::new(cli.progress, cli.quiet);
    if let Err(error) = limits_are_errors() {
        ui.warn(&format!("cannot watch for signals: {error}"));
    }
    match run(&cli, &ui) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !matches!(error.kind, Kind::BrokenPipe | Kind::Different) {
                ui.report(&error.report);
            }
            error.exit_code()
        }
    }
}

/// Makes a file that would be larger than may be (`ulimit -f`) an error of
/// whoever writes it, which names the file, instead of the program's end.
fn limits_are_errors() -> std::io::Result<()> {
    use signal_hook::{consts::SIGXFSZ, flag};
    // Who is handled does not end the program; nobody looks at the flag.
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map(drop)
}

/// Says what is wrong with the command line, or shows the help.
fn bad_usage(error: &clap::Error) -> ExitCode {
    // What could not be parsed may still say how it wants to be told.
    let args: Vec<_> = env::args_os().collect();
    let json = args.iter().any(|arg| arg == "--progress=json")
        || args.windows(2).any(|pair| pair == ["--progress", "json"]);
    if !(json && error.use_stderr()) {
        error.exit();
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    Ui::new(ProgressMode::Json, false).report(&Report::new(text));
    ExitCode::from(2)
}

fn run(cli: &Cli, ui: &Ui) -> Result<()> {
    match &cli.command {
        Command::Init(args) => init::init(&cli.inventory, args, ui),
        Command::Plan(args) => plan::plan(&cli.inventory, args, ui),
        Command::Build(args) => build::build(&cli.inventory, args, ui),
        Command::Diff(args) => diff::diff(args, ui),
        Command::Verify(args) => verify::verify(&cli.inventory, args, ui),
        Command::Inspect(args) => inspect::inspect(args, ui),
        Command::Images(args) => images::images(&cli.inventory, args, ui),
        Command::Write(args) => write::write(&cli.inventory, args, ui),
        Command::Status(args) => status::status(&cli.inventory, args, ui),
        Command::Down(args) => down::down(&cli.inventory, args, ui),
        Command::OpenDevice(args) => write::open_device(args),
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
