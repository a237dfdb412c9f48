//! Flannel's manifest, for the cluster's network of pods.

use serde_json::{Value, json};

/// The object that has the network, and the key in it.
const CONFIG: &str = "kube-flannel-cfg";
const NET_CONF: &str = "net-conf.json";

/// Why the manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FlannelError {
    /// It cannot be read.
    #[error("Flannel's manifest is not YAML: {0}")]
    Yaml(String),
    /// It has another form than what is known of it.
    #[error("Flannel's manifest has no {0}")]
    Form(&'static str),
}

/// Returns the manifest with `network` for the pods, and with `interfaces`,
/// of which the first that a node has is used, where the one with the default
/// route is not the right one.
pub(super) fn adapt(
    manifest: &str,
    network: &str,
    interfaces: &[&str],
) -> Result<String, FlannelError> {
    let documents = serde_saphyr::from_multiple::<Option<Value>>(manifest)
        .map_err(|error| {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            FlannelError::Yaml(line.to_owned())
        })?;
    let mut objects: Vec<Value> = documents.into_iter().flatten().collect();
    set_network(&mut objects, network)?;
    if !interfaces.is_empty() {
        set_interfaces(&mut objects, interfaces)?;
    }
    // As JSON, which is YAML as well: whoever reads it, a `yes` that was a
    // text stays one.
    Ok(objects.iter().map(|object| format!("---\n{object:#}\n")).collect())
}

fn set_network(
    objects: &mut [Value],
    network: &str,
) -> Result<(), FlannelError> {
    let found = objects.iter_mut().find_map(|object| {
        let named = object.get("kind")? == "ConfigMap"
            && object.pointer("/metadata/name")? == CONFIG;
        named.then(|| object.get_mut("data")?.get_mut(NET_CONF)).flatten()
    });
    let found = found.ok_or(FlannelError::Form("net-conf.json"))?;
    let text = found.as_str().unwrap_or_default();
    let mut config: Value = serde_json::from_str(text)
        .map_err(|_| FlannelError::Form("JSON in net-conf.json"))?;
    let slot = config.get_mut("Network");
    *slot.ok_or(FlannelError::Form("Network in net-conf.json"))? =
        json!(network);
    *found = Value::String(format!("{config:#}\n"));
    Ok(())
}

fn set_interfaces(
    objects: &mut [Value],
    interfaces: &[&str],
) -> Result<(), FlannelError> {
    let mut found = false;
    for object in objects.iter_mut() {
        if object.get("kind").is_none_or(|kind| kind != "DaemonSet") {
            continue;
        }
        let containers = object
            .pointer_mut("/spec/template/spec/containers")
            .and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if container.get("name").is_none_or(|it| it != "kube-flannel") {
                continue;
            }
            let args = container.get_mut("args").and_then(Value::as_array_mut);
            if let Some(args) = args {
                let more = interfaces.iter().map(|it| format!("--iface={it}"));
                args.extend(more.map(Value::String));
                found = true;
            }
        }
    }
    found.then_some(()).ok_or(FlannelError::Form("container kube-flannel"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "\
---
kind: Namespace
apiVersion: v1
metadata: {name: kube-flannel}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: kube-flannel-cfg
data:
  cni-conf.json: |
    {\"name\": \"cbr0\"}
  net-conf.json: |
    {
      \"Network\": \"10.244.0.0/16\",
      \"EnableNFTables\": false,
      \"Backend\": {\"Type\": \"vxlan\"}
    }
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: kube-flannel-ds}
spec:
  template:
    spec:
      hostNetwork: true
      initContainers:
      - name: install-cni
        args: [-f, /flannel, /opt/cni/bin/flannel]
      containers:
      - name: kube-flannel
        args: [--ip-masq, --kube-subnet-mgr]
        env:
        - {name: ON, value: \"yes\"}
        - {name: N, value: \"5000\"}
---
";

    fn read(text: &str) -> Vec<Value> {
        serde_saphyr::from_multiple(text).unwrap()
    }

    #[test]
    fn only_the_network_changes() {
        let adapted = adapt(MANIFEST, "10.7.0.0/17", &[]).unwrap();
        let (mut before, after) = (read(MANIFEST), read(&adapted));
        before.retain(|object| !object.is_null());
        assert_eq!(after.len(), 3);
        let conf = |objects: &[Value]| -> Value {
            let text = &objects[1]["data"][NET_CONF];
            serde_json::from_str(text.as_str().unwrap()).unwrap()
        };
        let mut expected = conf(&before);
        expected["Network"] = json!("10.7.0.0/17");
        assert_eq!(conf(&after), expected);
        before[1]["data"][NET_CONF] = after[1]["data"][NET_CONF].clone();
        assert_eq!(before, after);
    }

    #[test]
    fn interfaces_are_named_to_flannel_alone() {
        let names = ["wlan0", "eth0"];
        let adapted = adapt(MANIFEST, "10.244.0.0/16", &names).unwrap();
        let spec = &read(&adapted)[2]["spec"]["template"]["spec"];
        let args = json!([
            "--ip-masq",
            "--kube-subnet-mgr",
            "--iface=wlan0",
            "--iface=eth0"
        ]);
        assert_eq!(spec["containers"][0]["args"], args);
        let init = &spec["initContainers"][0]["args"];
        assert_eq!(init.as_array().unwrap().len(), 3);
    }

    #[test]
    fn another_form_is_refused() {
        for (from, to, said) in [
            ("kube-flannel-cfg", "other", "net-conf.json"),
            ("\"Network\"", "\"Net\"", "Network"),
            ("\"Network\":", "\"Network\"", "JSON"),
            ("kind: Namespace", "kind: [", "not YAML"),
            ("- name: kube-flannel", "- name: f", "container kube-flannel"),
        ] {
            let manifest = MANIFEST.replace(from, to);
            let error = adapt(&manifest, "10.0.0.0/8", &["eth0"]).unwrap_err();
            assert!(error.to_string().contains(said), "{said}: {error}");
        }
    }
}
