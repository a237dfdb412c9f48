//! Takes nodes out of their cluster: first all that is to be done is
//! planned from what is seen, then it is shown or done.
//!
//! ```text
//! hooks, cordon ──> workers ──> masters ──> the first master
//!                   each: drain, delete the node, uninstall, look again
//! ```

mod order;
mod plan;
mod run;
mod seen;
mod step;

pub use plan::{NodePlan, Options, Plan, Verdict};
pub use run::{Outcome, StepError, run};
pub use seen::{Seen, look};
pub use step::{Step, StepKind};
