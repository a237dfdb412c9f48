//! What kubeadm knows: the keys of its configuration's public types. Unknown
//! ones it refuses, or worse, leaves aside.
//! <https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/>,
//! <https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta3/>

use std::collections::BTreeSet;

use serde_json::Value;

/// Of both kinds, in both versions. `[]` is any entry of a list, `*` any key.
const NODE: &[&str] = &[
    "nodeRegistration.criSocket",
    "nodeRegistration.ignorePreflightErrors[]",
    "nodeRegistration.imagePullPolicy",
    "nodeRegistration.name",
    "nodeRegistration.taints[]",
    "nodeRegistration.taints[].effect",
    "nodeRegistration.taints[].key",
    "nodeRegistration.taints[].value",
    "patches.directory",
    "skipPhases[]",
];
const NODE_BETA3: &[&str] = &["nodeRegistration.kubeletExtraArgs.*"];
const NODE_BETA4: &[&str] = &[
    "dryRun",
    "nodeRegistration.imagePullSerial",
    "nodeRegistration.kubeletExtraArgs[].name",
    "nodeRegistration.kubeletExtraArgs[].value",
    "timeouts.controlPlaneComponentHealthCheck",
    "timeouts.discovery",
    "timeouts.etcdAPICall",
    "timeouts.kubeletHealthCheck",
    "timeouts.kubernetesAPICall",
    "timeouts.tlsBootstrap",
    "timeouts.upgradeManifests",
];
const INIT: &[&str] = &[
    "bootstrapTokens[].description",
    "bootstrapTokens[].expires",
    "bootstrapTokens[].groups[]",
    "bootstrapTokens[].token",
    "bootstrapTokens[].ttl",
    "bootstrapTokens[].usages[]",
    "certificateKey",
    "localAPIEndpoint.advertiseAddress",
    "localAPIEndpoint.bindPort",
];
const JOIN: &[&str] = &[
    "caCertPath",
    "controlPlane.certificateKey",
    "controlPlane.localAPIEndpoint.advertiseAddress",
    "controlPlane.localAPIEndpoint.bindPort",
    "discovery.bootstrapToken.apiServerEndpoint",
    "discovery.bootstrapToken.caCertHashes[]",
    "discovery.bootstrapToken.token",
    "discovery.bootstrapToken.unsafeSkipCAVerification",
    "discovery.file.kubeConfigPath",
    "discovery.tlsBootstrapToken",
];
const JOIN_BETA3: &[&str] = &["discovery.timeout"];
const CLUSTER: &[&str] = &[
    "apiServer.certSANs[]",
    "certificatesDir",
    "clusterName",
    "controlPlaneEndpoint",
    "dns.imageRepository",
    "dns.imageTag",
    "etcd.local.dataDir",
    "featureGates.*",
    "imageRepository",
    "kubernetesVersion",
    "networking.dnsDomain",
    "networking.podSubnet",
    "networking.serviceSubnet",
];
const CLUSTER_BETA3: &[&str] = &[
    "apiServer.extraArgs.*",
    "apiServer.timeoutForControlPlane",
    "controllerManager.extraArgs.*",
    "scheduler.extraArgs.*",
];
const CLUSTER_BETA4: &[&str] = &[
    "apiServer.extraArgs[].name",
    "apiServer.extraArgs[].value",
    "caCertificateValidityPeriod",
    "certificateValidityPeriod",
    "controllerManager.extraArgs[].name",
    "controllerManager.extraArgs[].value",
    "dns.disabled",
    "encryptionAlgorithm",
    "proxy.disabled",
    "scheduler.extraArgs[].name",
    "scheduler.extraArgs[].value",
];
/// Of the kubelet's, those that have been there for long.
const KUBELET: &[&str] = &["cgroupDriver"];

/// The keys that are known of an object.
fn known(version: &str, kind: &str) -> BTreeSet<&'static str> {
    let beta4 = version == "kubeadm.k8s.io/v1beta4";
    assert!(
        beta4
            || version == "kubeadm.k8s.io/v1beta3"
            || (version, kind)
                == ("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration"),
        "{version} {kind}"
    );
    let by_version = |old, new| if beta4 { new } else { old };
    let none: &[&str] = &[];
    let parts: &[&[&str]] = match kind {
        "InitConfiguration" => {
            &[NODE, INIT, by_version(NODE_BETA3, NODE_BETA4)]
        }
        "JoinConfiguration" => &[
            NODE,
            JOIN,
            by_version(NODE_BETA3, NODE_BETA4),
            by_version(JOIN_BETA3, none),
        ],
        "ClusterConfiguration" => {
            &[CLUSTER, by_version(CLUSTER_BETA3, CLUSTER_BETA4)]
        }
        "KubeletConfiguration" => &[KUBELET],
        _ => panic!("{kind}"),
    };
    parts.iter().copied().flatten().copied().collect()
}

/// The paths of all values in an object.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            assert!(!map.is_empty(), "{at} is empty");
            for (key, value) in map {
                let dot = if at.is_empty() { "" } else { "." };
                leaves(value, &format!("{at}{dot}{key}"), found);
            }
        }
        Value::Array(list) if list.is_empty() => found.push(format!("{at}[]")),
        Value::Array(list) => {
            for value in list {
                leaves(value, &format!("{at}[]"), found);
            }
        }
        Value::Null => panic!("{at} is null"),
        _ => found.push(at.to_owned()),
    }
}

/// What kubeadm does not know of an object.
pub fn unknown(object: &Value) -> Vec<String> {
    let text = |key: &str| object[key].as_str().unwrap();
    let known = known(text("apiVersion"), text("kind"));
    let mut found = Vec::new();
    leaves(object, "", &mut found);
    found.retain(|path| {
        let star = path.rsplit_once('.').map(|(at, _)| format!("{at}.*"));
        !matches!(&**path, "apiVersion" | "kind")
            && !known.contains(&**path)
            && !star.is_some_and(|star| known.contains(&*star))
    });
    found
}

#[test]
fn the_judge_can_say_no() {
    let of = |version: &str, more: Value| {
        let mut object = serde_json::json!({
            "apiVersion": format!("kubeadm.k8s.io/{version}"),
            "kind": "InitConfiguration",
        });
        object
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        unknown(&object)
    };
    let list = serde_json::json!({"nodeRegistration":
        {"kubeletExtraArgs": [{"name": "node-ip", "value": "x"}]}});
    let map = serde_json::json!({"nodeRegistration":
        {"kubeletExtraArgs": {"node-ip": "x"}}});
    assert!(of("v1beta4", list.clone()).is_empty());
    assert!(of("v1beta3", map.clone()).is_empty());
    assert_eq!(of("v1beta3", list).len(), 2);
    assert_eq!(of("v1beta4", map).len(), 1);
    let timeouts = serde_json::json!({"timeouts": {"discovery": "1m"}});
    assert_eq!(of("v1beta3", timeouts.clone()), ["timeouts.discovery"]);
    assert!(of("v1beta4", timeouts).is_empty());
    let wrong = serde_json::json!({"nodeRegistraton": {"name": "x"}});
    assert_eq!(of("v1beta4", wrong), ["nodeRegistraton.name"]);
}
