//! Takes nodes out of their cluster: first all that is to be done is
//! planned from what is seen, then it is shown or done.
//!
//! ```text
//! hooks, cordon ──> workers ──> masters ──> the first master
//!
//! a worker           drain, delete the node, uninstall, delete again
//! a master of k3s    drain, look at the servers, delete the node, by which
//!                    k3s takes it out of etcd, uninstall, look again
//! one of kubeadm     drain, take it out of etcd, uninstall as long as its
//!                    Node is there (kubeadm looks for it), look at etcd,
//!                    delete the node, look again
//! ```
//!
//! What is seen of a control plane before anything is done decides whether a
//! master may go, and is looked at anew just before it does: never may those
//! that stay be without a quorum. Nothing is done with success of which
//! nobody can say how the cluster is.

mod etcd;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gate;
mod order;
mod plan;
mod run;
mod seen;
mod servers;
mod step;
mod words;

pub use etcd::Etcd;
pub use plan::{NodePlan, Options, Plan, Verdict};
pub use run::{Outcome, Run, StepError, run};
pub use seen::{ControlPlane, Registration, Seen, look};
pub use servers::Servers;
pub use step::{Step, StepKind};
