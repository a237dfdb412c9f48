//! Event hooks: manifests that are applied when a cluster comes up or goes
//! down.

use minijinja::{Value, context};

/// The hooks of one cluster, in the order in which they are applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Once the first master is up.
    pub post_master_up: Vec<Hook>,
    /// Before the first master goes down.
    pub pre_master_down: Vec<Hook>,
}

/// A file of manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The file's name, as `k3s-post-master-up.yml`.
    pub name: String,
    /// Its content, YAML.
    pub content: String,
}

impl Hooks {
    pub(super) fn value(&self) -> Value {
        let list = |hooks: &[Hook]| -> Vec<Value> {
            let value = |hook: &Hook| {
                context! { name => &hook.name, content => &hook.content }
            };
            hooks.iter().map(value).collect()
        };
        context! {
            post_master_up => list(&self.post_master_up),
            pre_master_down => list(&self.pre_master_down),
        }
    }
}
