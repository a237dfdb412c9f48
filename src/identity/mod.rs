//! What must be known before power-on, so that a cluster and its owner trust
//! each other from the first packet: made once, kept in `build/secrets/`.
//!
//! ```text
//! build/secrets/           store: made once, whole, for its owner alone
//!   .gitignore             everything: no secret is ever committed
//!   .lock                  one run makes, the others wait
//!   nodes/NODE/            ssh: the host keys of a node; its k3s password
//!   k3s/, k8s/             cluster: authorities, keys and tokens; and, once
//!     seen-at-work         seen: that it has been seen at work
//! ```
//!
//! A plan gets [`NodeIdentity`] as data. [`known_hosts`] and [`ssh_config`]
//! are what the owner's ssh needs to know of it.

mod authority;
mod cluster;
mod error;
mod files;
mod k3s;
mod k8s;
mod known_hosts;
mod kubeconfig;
mod node;
mod rsa_key;
mod secret;
mod seen;
mod ssh;
mod ssh_config;
mod store;

pub use authority::{Authority, AuthorityError, Certified};
pub use cluster::Kept;
pub use error::{StoreError, StoreErrorKind};
pub use files::{Damaged, Files, Why};
pub use k3s::K3s;
pub use k8s::K8s;
pub use known_hosts::known_hosts;
pub use kubeconfig::kubeconfig;
pub use node::{Membership, NodeIdentity};
pub use secret::Secret;
pub use ssh::{HostKey, HostKeys};
pub use ssh_config::{Unquotable, ssh_config};
pub use store::{Locked, Store};
