//! What must be known before power-on, so that a cluster and its owner trust
//! each other from the first packet: made once, kept in `build/secrets/`.
//!
//! ```text
//! build/secrets/           store: made once, whole, for its owner alone
//!   .gitignore             everything: no secret is ever committed
//!   .lock                  one run makes, the others wait
//!   nodes/NODE/            ssh: the host keys of a node
//! ```
//!
//! A plan gets [`NodeIdentity`] as data. [`known_hosts`] and [`ssh_config`]
//! are what the owner's ssh needs to know of it.

mod authority;
mod error;
mod files;
mod k3s;
mod k8s;
mod known_hosts;
mod kubeconfig;
mod rsa_key;
mod secret;
mod ssh;
mod ssh_config;
mod store;

use crate::inventory::Node;

pub use authority::{Authority, AuthorityError, Certified};
pub use error::{StoreError, StoreErrorKind};
pub use files::{Damaged, Files, Why};
pub use k3s::K3s;
pub use k8s::K8s;
pub use known_hosts::known_hosts;
pub use kubeconfig::kubeconfig;
pub use secret::Secret;
pub use ssh::{HostKey, HostKeys};
pub use ssh_config::{Unquotable, ssh_config};
pub use store::{Locked, Store};

/// What only one node may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeIdentity {
    /// The keys by which the node's sshd proves itself.
    pub host_keys: HostKeys,
}

impl NodeIdentity {
    /// Loads what `node` has, and makes what it lacks.
    ///
    /// # Errors
    /// Names the file that cannot be read, written or believed.
    pub fn load_or_make(
        store: &Store,
        node: &Node,
    ) -> Result<Self, StoreError> {
        let host_keys = HostKeys::load_or_make(store, &node.name)?;
        Ok(Self { host_keys })
    }
}
