//! kubeadm's configuration: only keys that its types have. Kubernetes' own
//! reference lists them ("kubeadm Configuration (v1beta4)").

use crate::{Result, tls::read};
use serde_json::Value;
use std::path::Path;

const REGISTRATION: &[&str] = &[
    "name",
    "criSocket",
    "taints",
    "kubeletExtraArgs",
    "ignorePreflightErrors",
    "imagePullPolicy",
    "imagePullSerial",
];
const TIMEOUTS: &[&str] = &[
    "controlPlaneComponentHealthCheck",
    "kubeletHealthCheck",
    "kubernetesAPICall",
    "etcdAPICall",
    "tlsBootstrap",
    "discovery",
    "upgradeManifests",
];

/// Kind, and the keys below a path in it.
const KEYS: &[(&str, &str, &[&str])] = &[
    (
        "InitConfiguration",
        "",
        &[
            "bootstrapTokens",
            "nodeRegistration",
            "localAPIEndpoint",
            "certificateKey",
            "skipPhases",
            "patches",
            "timeouts",
        ],
    ),
    ("InitConfiguration", "/nodeRegistration", REGISTRATION),
    ("InitConfiguration", "/timeouts", TIMEOUTS),
    (
        "InitConfiguration",
        "/localAPIEndpoint",
        &["advertiseAddress", "bindPort"],
    ),
    (
        "ClusterConfiguration",
        "",
        &[
            "kubernetesVersion",
            "clusterName",
            "controlPlaneEndpoint",
            "networking",
            "apiServer",
            "controllerManager",
            "scheduler",
            "etcd",
            "dns",
            "proxy",
            "certificatesDir",
            "imageRepository",
            "featureGates",
            "encryptionAlgorithm",
            "certificateValidityPeriod",
            "caCertificateValidityPeriod",
        ],
    ),
    (
        "ClusterConfiguration",
        "/networking",
        &["serviceSubnet", "podSubnet", "dnsDomain"],
    ),
    (
        "ClusterConfiguration",
        "/apiServer",
        &["certSANs", "extraArgs", "extraEnvs", "extraVolumes"],
    ),
    (
        "JoinConfiguration",
        "",
        &[
            "nodeRegistration",
            "caCertPath",
            "discovery",
            "controlPlane",
            "skipPhases",
            "patches",
            "timeouts",
        ],
    ),
    ("JoinConfiguration", "/nodeRegistration", REGISTRATION),
    ("JoinConfiguration", "/timeouts", TIMEOUTS),
    (
        "JoinConfiguration",
        "/discovery",
        &["bootstrapToken", "file", "tlsBootstrapToken"],
    ),
    (
        "JoinConfiguration",
        "/discovery/bootstrapToken",
        &[
            "token",
            "apiServerEndpoint",
            "caCertHashes",
            "unsafeSkipCAVerification",
        ],
    ),
    (
        "JoinConfiguration",
        "/controlPlane",
        &["localAPIEndpoint", "certificateKey"],
    ),
    (
        "JoinConfiguration",
        "/controlPlane/localAPIEndpoint",
        &["advertiseAddress", "bindPort"],
    ),
    (
        "KubeletConfiguration",
        "",
        &["cgroupDriver", "failCgroupV1", "failSwapOn", "clusterDNS"],
    ),
];

/// The documents of one file.
pub struct Documents(Vec<Value>);

impl Documents {
    pub fn read(path: &str) -> Result<Self> {
        let path = Path::new(path);
        crate::config::closed(path)?;
        let documents = serde_saphyr::from_multiple::<Value>(&read(path)?)?;
        for document in &documents {
            check(document)?;
        }
        Ok(Self(documents))
    }

    pub fn get(&self, kind: &str) -> Option<&Value> {
        self.0.iter().find(|document| document["kind"] == kind)
    }

    /// What is said of this node.
    pub fn own(&self) -> Result<&Value> {
        let init = self.get("InitConfiguration");
        let own = init.or_else(|| self.get("JoinConfiguration"));
        Ok(own.ok_or("neither InitConfiguration nor JoinConfiguration")?)
    }
}

fn check(document: &Value) -> Result<()> {
    let kind = text(document, "/kind")?;
    let version = text(document, "/apiVersion")?;
    let wanted = match kind {
        "KubeletConfiguration" => "kubelet.config.k8s.io/v1beta1",
        _ => "kubeadm.k8s.io/v1beta4",
    };
    if version != wanted {
        return Err(format!("{kind}: {version} is not {wanted}").into());
    }
    let mut is_known = false;
    for (_, path, keys) in KEYS.iter().filter(|(k, ..)| *k == kind) {
        is_known = true;
        let Some(part) = document.pointer(path) else { continue };
        let part = part
            .as_object()
            .ok_or_else(|| format!("{kind}{path}: no mapping"))?;
        for key in part.keys() {
            let is_type = path.is_empty()
                && matches!(key.as_str(), "kind" | "apiVersion");
            if !is_type && !keys.contains(&key.as_str()) {
                return Err(format!("strict decoding error: unknown field \"{key}\" in {kind}{path}").into());
            }
        }
    }
    if !is_known {
        return Err(format!("no kind {kind}").into());
    }
    Ok(())
}

/// A text at a JSON pointer.
pub fn text<'v>(value: &'v Value, pointer: &str) -> Result<&'v str> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Ok(found.ok_or_else(|| format!("no text at {pointer}"))?)
}
