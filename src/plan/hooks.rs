//! Event hooks, as profiles see them.

use minijinja::{Value, context};

use crate::inventory::Hook;

/// `hooks`, with what is applied once the first master is up.
pub(super) fn value(post_master_up: &[Hook]) -> Value {
    let value = |hook: &Hook| {
        context! { name => hook.name(), content => &hook.content }
    };
    let list: Vec<Value> = post_master_up.iter().map(value).collect();
    context! { post_master_up => list }
}
