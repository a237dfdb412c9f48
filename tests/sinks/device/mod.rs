//! Writing to devices: over a target in memory that fails as it is told, and
//! over loop devices.

mod faults;
mod flow;
mod machine;
mod target;
