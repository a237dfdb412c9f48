//! A cluster's list of its nodes, as far as it matters here: `NodeList` and
//! `Node` of Kubernetes' core/v1, in JSON.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct NodeList {
    pub(super) items: Vec<NodeObject>,
}

#[derive(Deserialize)]
pub(super) struct NodeObject {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) status: Status,
}

#[derive(Deserialize)]
pub(super) struct Metadata {
    pub(super) name: String,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) finalizers: Vec<String>,
}

#[derive(Default, Deserialize)]
pub(super) struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
    #[serde(rename = "nodeInfo", default)]
    pub(super) info: Info,
}

#[derive(Deserialize)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    kind: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) message: String,
}

#[derive(Default, Deserialize)]
pub(super) struct Info {
    #[serde(rename = "kubeletVersion", default)]
    pub(super) version: String,
}

impl Status {
    /// The condition of this type, as `Ready`.
    pub(super) fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }
}
