//! k3s's config.yaml: keys are the flags that the release has.

use crate::{Result, tls::read};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

/// May be given several times: a list.
const LISTS: &[&str] = &[
    "node-ip",
    "node-external-ip",
    "node-label",
    "node-taint",
    "kubelet-arg",
    "kube-proxy-arg",
];

const BOTH: &[&str] = &[
    "debug",
    "v",
    "token",
    "token-file",
    "server",
    "data-dir",
    "node-name",
    "with-node-id",
    "private-registry",
    "pause-image",
    "snapshotter",
    "docker",
    "container-runtime-endpoint",
    "flannel-iface",
    "flannel-conf",
    "flannel-cni-conf",
    "resolv-conf",
    "selinux",
    "lb-server-port",
    "protect-kernel-defaults",
    "image-credential-provider-bin-dir",
    "image-credential-provider-config",
    "rootless",
    "prefer-bundled-bin",
    "vpn-auth",
    "vpn-auth-file",
];

const SERVER_LISTS: &[&str] = &[
    "tls-san",
    "cluster-cidr",
    "service-cidr",
    "cluster-dns",
    "disable",
    "kube-apiserver-arg",
    "etcd-arg",
    "kube-scheduler-arg",
    "kube-controller-manager-arg",
    "kube-cloud-controller-manager-arg",
];

const SERVER: &[&str] = &[
    "bind-address",
    "https-listen-port",
    "advertise-address",
    "advertise-port",
    "tls-san-security",
    "service-node-port-range",
    "cluster-domain",
    "flannel-backend",
    "flannel-ipv6-masq",
    "flannel-external-ip",
    "egress-selector-mode",
    "servicelb-namespace",
    "write-kubeconfig",
    "write-kubeconfig-mode",
    "write-kubeconfig-group",
    "helm-job-image",
    "agent-token",
    "agent-token-file",
    "cluster-init",
    "cluster-reset",
    "cluster-reset-restore-path",
    "datastore-endpoint",
    "datastore-cafile",
    "datastore-certfile",
    "datastore-keyfile",
    "etcd-expose-metrics",
    "etcd-disable-snapshots",
    "etcd-snapshot-name",
    "etcd-snapshot-schedule-cron",
    "etcd-snapshot-retention",
    "etcd-snapshot-dir",
    "etcd-snapshot-compress",
    "default-local-storage-path",
    "disable-scheduler",
    "disable-cloud-controller",
    "disable-kube-proxy",
    "disable-network-policy",
    "disable-helm-controller",
    "embedded-registry",
    "secrets-encryption",
    "system-default-registry",
];

pub struct Config(BTreeMap<String, Vec<String>>);

impl Config {
    /// Reads config.yaml and config.yaml.d. An unknown key is an error, as
    /// an unknown flag is.
    pub fn read(dir: &Path, is_server: bool) -> Result<Self> {
        let mut files = vec![dir.join("config.yaml")];
        if let Ok(entries) = fs::read_dir(dir.join("config.yaml.d")) {
            let mut more: Vec<_> =
                entries.flatten().map(|e| e.path()).collect();
            more.sort();
            files.extend(more);
        }
        let mut config = BTreeMap::new();
        for file in files {
            let text = read(&file)?;
            let at = |why: String| format!("{}: {why}", file.display());
            let map: BTreeMap<String, Value> = serde_saphyr::from_str(&text)
                .map_err(|error| at(error.to_string()))?;
            for (key, value) in map {
                let (key, appends) = match key.strip_suffix('+') {
                    Some(key) => (key.to_owned(), true),
                    None => (key, false),
                };
                let values = values(&key, &value, is_server).map_err(at)?;
                if !appends {
                    config.remove(&key);
                }
                config.entry(key).or_insert_with(Vec::new).extend(values);
            }
        }
        Ok(Self(config))
    }

    pub fn list(&self, key: &str) -> Vec<String> {
        self.0.get(key).cloned().unwrap_or_default()
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.first().map(String::as_str)
    }

    pub fn flag(&self, key: &str) -> bool {
        self.text(key) == Some("true")
    }

    /// A secret that stands here, or in a file named here.
    pub fn secret(&self, key: &str) -> Result<Option<String>> {
        let file = self.text(&format!("{key}-file"));
        match (self.text(key), file) {
            (Some(text), _) => Ok(Some(text.to_owned())),
            (None, Some(file)) => {
                let path = Path::new(file);
                closed(path)?;
                Ok(Some(read(path)?.trim_end().to_owned()))
            }
            (None, None) => Ok(None),
        }
    }
}

/// Nobody but root reads a secret. k3s itself is not that strict.
pub fn closed(path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    if metadata.mode() & 0o077 != 0 || metadata.uid() != 0 {
        let mode = metadata.mode();
        let why = format!("{}: mode {mode:o}, open to others", path.display());
        return Err(why.into());
    }
    Ok(())
}

fn values(
    key: &str,
    value: &Value,
    is_server: bool,
) -> std::result::Result<Vec<String>, String> {
    let is_list =
        LISTS.contains(&key) || (is_server && SERVER_LISTS.contains(&key));
    let is_known =
        is_list || BOTH.contains(&key) || (is_server && SERVER.contains(&key));
    if !is_known {
        return Err(format!("flag provided but not defined: -{key}"));
    }
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err(format!("{key}: neither text nor number")),
    };
    match value {
        Value::Array(values) if is_list => values.iter().map(text).collect(),
        Value::Array(_) => Err(format!("{key}: not a list")),
        // A list in one text, as on a command line.
        Value::String(all) if is_list => {
            Ok(all.split(',').map(str::to_owned).collect())
        }
        one => Ok(vec![text(one)?]),
    }
}
