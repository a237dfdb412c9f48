//! piflash turns one inventory into ready-to-boot SD-card images.
//!
//! ```text
//! inventory ─┐
//! identity ──┼─> plan (pure) ──> apply ──> overlay ──> sink
//! facts  <───┘                     │          │
//!   ^                              v          v
//! base image (catalog, fetch, verify, unpack, probe)
//! ```

pub mod base;
pub mod commands;
pub mod disk;
pub mod fs;
pub mod identity;
pub mod inventory;
pub mod node;
pub mod plan;
pub mod profile;
pub mod progress;
pub mod sink;
pub mod ui;
