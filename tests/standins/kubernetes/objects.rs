//! What etcd would hold: objects by their paths, and what kubectl asks to
//! learn which kinds there are.

use crate::Result;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

/// Group and version, kind, plural, whether in namespaces.
const KINDS: &[(&str, &str, &str, bool)] = &[
    ("v1", "Namespace", "namespaces", false),
    ("v1", "Node", "nodes", false),
    ("v1", "Pod", "pods", true),
    ("v1", "ConfigMap", "configmaps", true),
    ("v1", "Secret", "secrets", true),
    ("v1", "Service", "services", true),
    ("v1", "ServiceAccount", "serviceaccounts", true),
    ("apps/v1", "Deployment", "deployments", true),
    ("apps/v1", "DaemonSet", "daemonsets", true),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", false),
    (
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
        false,
    ),
    ("rbac.authorization.k8s.io/v1", "Role", "roles", true),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", true),
    ("helm.cattle.io/v1", "HelmChart", "helmcharts", true),
    ("helm.cattle.io/v1", "HelmChartConfig", "helmchartconfigs", true),
];

/// Seconds without a heartbeat after which a node is not ready.
const GRACE: u64 = 40;
const HEARTBEAT: &str = "standin/heartbeat";

pub struct Objects {
    file: PathBuf,
    version: u64,
    map: BTreeMap<String, Value>,
    /// Digests of the nodes' passwords, by name.
    pub passwords: BTreeMap<String, String>,
}

impl Objects {
    pub fn open(file: PathBuf) -> Result<Self> {
        let (mut version, mut map, mut passwords) = Default::default();
        if file.exists() {
            let text = fs::read(&file)?;
            (version, map, passwords) = serde_json::from_slice(&text)?;
        }
        Ok(Self { file, version, map, passwords })
    }

    /// Whole or not at all, as etcd's log is.
    pub fn save(&self) -> Result<()> {
        let part = self.file.with_extension("part");
        fs::create_dir_all(part.parent().ok_or("no directory")?)?;
        let mut file = File::create(&part)?;
        let all = (self.version, &self.map, &self.passwords);
        file.write_all(&serde_json::to_vec(&all)?)?;
        file.sync_all()?;
        fs::rename(part, &self.file)?;
        Ok(())
    }

    pub fn get(&self, path: &str) -> Option<Value> {
        self.map.get(path).map(seen)
    }

    /// Adds an object, or replaces the one of its path.
    pub fn put(&mut self, path: &str, mut object: Value) -> Result<Value> {
        self.version += 1;
        let before = self.map.get(path);
        let uid = before.map_or_else(
            || {
                json!(format!(
                    "{:08x}-0000-4000-8000-000000000000",
                    self.version
                ))
            },
            |before| before["metadata"]["uid"].clone(),
        );
        object["metadata"]["uid"] = uid;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if object["metadata"]["creationTimestamp"].is_null() {
            object["metadata"]["creationTimestamp"] =
                json!("2026-01-01T00:00:00Z");
        }
        self.map.insert(path.to_owned(), object.clone());
        self.save()?;
        Ok(object)
    }

    pub fn remove(&mut self, path: &str) -> Result<Option<Value>> {
        let object = self.map.remove(path);
        if let Some(name) = path.strip_prefix("/api/v1/nodes/") {
            // The secret of the node's password belongs to the node.
            self.passwords.remove(name);
        }
        self.save()?;
        Ok(object)
    }

    /// All objects of a collection, in one namespace or in all.
    pub fn list(&self, path: &str) -> Vec<Value> {
        let (base, plural) = path.rsplit_once('/').unwrap_or_default();
        let within = |key: &str| {
            let Some((above, _)) = key.rsplit_once('/') else { return false };
            above == path
                || (above.starts_with(&format!("{base}/namespaces/"))
                    && above.ends_with(&format!("/{plural}")))
        };
        self.map
            .iter()
            .filter(|(k, _)| within(k))
            .map(|(_, v)| seen(v))
            .collect()
    }
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// A node's condition as its controller would have it by now.
fn seen(object: &Value) -> Value {
    let mut object = object.clone();
    let beat = object["metadata"]["annotations"][HEARTBEAT].as_str();
    let beat: Option<u64> = beat.and_then(|text| text.parse().ok());
    if let Some(beat) = beat
        && beat + GRACE < now()
        && let Some(conditions) = object["status"]["conditions"].as_array_mut()
    {
        for condition in conditions {
            condition["status"] = json!("Unknown");
            condition["reason"] = json!("NodeStatusUnknown");
        }
    }
    object
}

/// The part of a Node that says that it is well.
pub fn heartbeat() -> Value {
    json!({
        "metadata": {"annotations": {HEARTBEAT: now().to_string()}},
        "status": {"conditions": [{
            "type": "Ready", "status": "True", "reason": "KubeletReady",
            "lastHeartbeatTime": "2026-01-01T00:00:00Z",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "message": "",
        }]},
    })
}

/// A heartbeat counts by the clock of who receives it.
pub fn receive(body: &mut Value) {
    let annotations = body.pointer_mut("/metadata/annotations");
    if let Some(beat) = annotations.and_then(|all| all.get_mut(HEARTBEAT)) {
        *beat = json!(now().to_string());
    }
}

/// Merges a patch into an object (RFC 7386).
pub fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    for (key, value) in patch {
        // Directives of strategic merge patches.
        if key.starts_with('$') {
            continue;
        }
        if value.is_null() {
            object.as_object_mut().map(|map| map.remove(key));
        } else {
            merge(&mut object[key], value);
        }
    }
}

/// The collection that an object is in, as `/api/v1/namespaces/x/pods`.
pub fn collection(object: &Value) -> Result<String> {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let known = KINDS.iter().find(|k| k.0 == version && k.1 == kind);
    let (.., plural, namespaced) =
        known.ok_or_else(|| format!("no kind {kind} in {version}"))?;
    let root = root(version);
    if !namespaced {
        return Ok(format!("{root}/{plural}"));
    }
    let namespace = object["metadata"]["namespace"].as_str();
    let namespace = namespace.unwrap_or("default");
    Ok(format!("{root}/namespaces/{namespace}/{plural}"))
}

/// The kind of a collection's list.
pub fn list_kind(path: &str) -> Option<(&'static str, String)> {
    let plural = path.rsplit('/').next()?;
    let known =
        KINDS.iter().find(|k| k.2 == plural && path.starts_with(&root(k.0)))?;
    Some((known.0, format!("{}List", known.1)))
}

fn root(version: &str) -> String {
    match version.contains('/') {
        true => format!("/apis/{version}"),
        false => format!("/api/{version}"),
    }
}

/// Which kinds there are (`/api`, `/apis`, `/openapi/v3` and below).
pub fn discovery(path: &str) -> Option<Value> {
    let mut versions: Vec<&str> = KINDS.iter().map(|kind| kind.0).collect();
    versions.dedup();
    let groups = versions.iter().filter_map(|v| v.split_once('/'));
    match path {
        "/api" => Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
        "/apis" => {
            let groups: Vec<Value> = groups
                .map(|(name, version)| {
                    let version = json!({
                        "groupVersion": format!("{name}/{version}"),
                        "version": version,
                    });
                    json!({
                        "name": name, "versions": [version],
                        "preferredVersion": version,
                    })
                })
                .collect();
            Some(json!({
                "kind": "APIGroupList", "apiVersion": "v1", "groups": groups,
            }))
        }
        "/openapi/v3" => {
            let paths: Map<String, Value> = versions
                .iter()
                .map(|version| {
                    let path = root(version);
                    let url = json!({
                        "serverRelativeURL": format!("/openapi/v3{path}?hash=1"),
                    });
                    (path.trim_start_matches('/').to_owned(), url)
                })
                .collect();
            Some(json!({"paths": paths}))
        }
        _ => {
            if let Some(root) = path.strip_prefix("/openapi/v3") {
                return versions
                    .into_iter()
                    .find(|v| self::root(v) == root)
                    .map(openapi);
            }
            versions.into_iter().find(|v| root(v) == path).map(resources)
        }
    }
}

fn resources(version: &str) -> Value {
    let verbs = ["create", "delete", "get", "list", "patch", "update", "watch"];
    let resources: Vec<Value> = KINDS
        .iter()
        .filter(|kind| kind.0 == version)
        .map(|(_, kind, plural, namespaced)| {
            json!({
                "name": plural, "singularName": kind.to_lowercase(),
                "namespaced": namespaced, "kind": kind, "verbs": verbs,
            })
        })
        .collect();
    json!({
        "kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": version, "resources": resources,
    })
}

/// Says that fields are checked here, and not what fields there are.
fn openapi(version: &str) -> Value {
    let (group, number) = version.split_once('/').unwrap_or(("", version));
    let paths: Map<String, Value> = KINDS
        .iter()
        .filter(|kind| kind.0 == version)
        .map(|(_, kind, plural, namespaced)| {
            let above =
                if *namespaced { "/namespaces/{namespace}" } else { "" };
            let path = format!("{}{above}/{plural}/{{name}}", root(version));
            let patch = json!({
                "x-kubernetes-action": "patch",
                "x-kubernetes-group-version-kind":
                    {"group": group, "version": number, "kind": kind},
                "parameters": [{
                    "name": "fieldValidation", "in": "query",
                    "schema": {"type": "string"},
                }],
                "responses": {"200": {"description": "OK"}},
            });
            (path, json!({"patch": patch}))
        })
        .collect();
    json!({
        "openapi": "3.0.0",
        "info": {"title": "stand-in", "version": "1"},
        "paths": paths,
    })
}
