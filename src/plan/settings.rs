//! What templates see as `settings`: the variables of roles, rendered with
//! the facts of the node's image.

use std::collections::BTreeMap;

use minijinja::{Value, context, value::ValueKind};

use super::labels;
use crate::{
    base::artefact::DefaultVersions,
    inventory::{
        Node, RenderError,
        variables::{Shape, VARIABLES, Variable},
    },
};

/// Why a variable cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// An expression in it cannot be evaluated.
    #[error("`{name}`")]
    Render {
        /// The variable.
        name: &'static str,
        /// What is wrong with it.
        source: RenderError,
    },
    /// What came out of its expression is something else. The value is not
    /// shown: it may be a secret.
    #[error("`{name}` must be {expected}")]
    Shape {
        /// The variable.
        name: &'static str,
        /// In words.
        expected: String,
    },
    /// A label that the kubelet may not give to its node: it would not start.
    #[error(
        "`{name}`: no node may label itself with `{label}` (only \
         node.kubernetes.io/ and kubelet.kubernetes.io/ are free of the names \
         below kubernetes.io): leave it out, and run `kubectl label node` \
         when the node is up"
    )]
    Label {
        /// The variable.
        name: &'static str,
        /// The label's key.
        label: String,
    },
}

/// The variables of roles by their first names. What is not set is none;
/// mappings and lists are empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings(BTreeMap<&'static str, Value>);

impl Settings {
    /// Renders them. `facts` are the names that Ansible would know.
    pub(super) fn of(
        node: &Node,
        facts: &Value,
        defaults: &DefaultVersions,
    ) -> Result<Self, SettingError> {
        let mut settings = BTreeMap::new();
        for variable in VARIABLES.iter().filter(|variable| !variable.early) {
            let value = setting(node, facts, variable)?;
            let value = value.or_else(|| default(variable, defaults));
            settings.insert(variable.name, value.unwrap_or(().into()));
        }
        let this = Self(settings);
        let own = this.0.get("node_labels").cloned().unwrap_or_default();
        labels::check("node_labels", &own)?;
        for key in ["node-label", "node-label+"] {
            let config = this.0.get("k3s_config").cloned();
            let config = config.unwrap_or_default();
            let labels = config.get_attr(key).unwrap_or_default();
            labels::check("k3s_config", &labels)?;
        }
        Ok(this)
    }

    /// Returns a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    pub(super) fn value(&self) -> Value {
        Value::from(self.0.clone())
    }
}

/// What holds where the inventory says nothing; see [`VARIABLES`].
fn default(variable: &Variable, versions: &DefaultVersions) -> Option<Value> {
    match variable.shape {
        Shape::Map => return Some(context! {}),
        Shape::Labels | Shape::Taints => return Some(Value::from_iter([0; 0])),
        _ => {}
    }
    let text = match variable.name {
        "k3s_version" => &versions.k3s,
        "k8s_version" => &versions.kubernetes,
        "container_runtime" => "containerd",
        "pod_network_cidr" => "10.244.0.0/16",
        "cni" => "flannel",
        "hooks_dir" => "hooks",
        _ => return None,
    };
    Some(Value::from(text))
}

fn setting(
    node: &Node,
    facts: &Value,
    variable: &Variable,
) -> Result<Option<Value>, SettingError> {
    let name = variable.name;
    let failed = |source| SettingError::Render { name, source };
    if variable.shape == Shape::Bool {
        return node
            .flag(name, facts)
            .map(|flag| Some(flag.into()))
            .map_err(failed);
    }
    let Some(value) = node.rendered(name, facts).map_err(failed)? else {
        return Ok(None);
    };
    let shaped = match variable.shape {
        Shape::Map => Some(value).filter(|v| v.kind() == ValueKind::Map),
        Shape::Labels => pairs(&value).map(Value::from),
        Shape::Taints => texts(&value).map(Value::from),
        Shape::CommaList => match value.as_str() {
            Some(text) => line(text).map(Value::from),
            None => texts(&value).map(|texts| texts.join(",").into()),
        },
        Shape::Choice(words) => Some(value.to_string())
            .filter(|text| words.contains(&text.as_str()))
            .map(Value::from),
        _ => line(&value.to_string()).map(Value::from),
    };
    let expected = || variable.shape.expected();
    shaped
        .map(Some)
        .ok_or_else(|| SettingError::Shape { name, expected: expected() })
}

/// Returns a text that stays on its line, without spaces around it.
fn line(text: &str) -> Option<String> {
    let text = text.trim();
    let good = !text.is_empty() && !text.contains(char::is_control);
    good.then(|| text.to_owned())
}

fn texts(value: &Value) -> Option<Vec<String>> {
    if value.kind() != ValueKind::Seq {
        return None;
    }
    value.try_iter().ok()?.map(|item| line(&item.to_string())).collect()
}

/// Returns labels as `key=value`, sorted where they come from a mapping.
fn pairs(value: &Value) -> Option<Vec<String>> {
    if value.kind() != ValueKind::Map {
        let label = |text: String| match text.contains('=') {
            true => text,
            false => format!("{text}="),
        };
        return Some(texts(value)?.into_iter().map(label).collect());
    }
    let mut labels = Vec::new();
    for key in value.try_iter().ok()? {
        let value = value.get_item(&key).ok()?;
        let value = if value.is_none() { Value::from("") } else { value };
        labels.push(line(&format!("{key}={value}"))?);
    }
    labels.sort();
    Some(labels)
}
