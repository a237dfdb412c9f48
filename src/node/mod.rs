//! Talks to nodes that are running: how far they are, and takes them down.
//!
//! ```text
//! build/ssh_config ──> ssh ──> answer ─┐
//! build/*-config.yml ──> api ──────────┴─> pool: all of them at once
//!                        ssh + hooks ────> down: plan, then run
//! ```
//!
//! What a node says is untrusted: it is bounded, and cleaned by [`text`]
//! before anybody sees it.

mod answer;
mod api;
pub mod down;
#[cfg(fuzzing)]
pub mod fuzzing;
mod kubeconfig;
mod node_list;
mod pool;
mod ssh;
pub mod text;

pub use answer::{Answer, CertificateEnd, NodeStatus, Trouble, ask};
pub use api::{Api, ApiError, Registered};
pub use kubeconfig::{Kubeconfig, KubeconfigError};
pub use pool::ask_all;
pub use ssh::{Failure, Output, Request, Ssh, SshConfigError, quoted};
