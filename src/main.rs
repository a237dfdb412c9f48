//! The `piflash` command.

fn main() {}
