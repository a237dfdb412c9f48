//! The `piflash` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    piflash::commands::main()
}
