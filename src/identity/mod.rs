//! What must be known of a cluster before its nodes are powered on.

mod authority;
mod files;
mod k3s;
mod k8s;
mod kubeconfig;
mod rsa_key;
mod secret;

pub use authority::{Authority, AuthorityError, Certified};
pub use files::{Damaged, Files, Why};
pub use k3s::K3s;
pub use k8s::K8s;
pub use kubeconfig::kubeconfig;
pub use secret::Secret;
