//! Labels that a kubelet may give to its own node.
//! <https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction>

use minijinja::Value;

use super::SettingError;

/// Of the names below `kubernetes.io` and `k8s.io`.
const ALLOWED: &[&str] = &[
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];
/// These, and what is below them.
const ALLOWED_NAMESPACES: [&str; 2] =
    ["kubelet.kubernetes.io", "node.kubernetes.io"];

/// Checks labels `key=value`: a list, or one text.
pub(super) fn check(
    name: &'static str,
    labels: &Value,
) -> Result<(), SettingError> {
    let texts: Vec<String> = match labels.as_str() {
        Some(text) => text.split(',').map(str::to_owned).collect(),
        None => labels
            .try_iter()
            .into_iter()
            .flatten()
            .map(|label| label.to_string())
            .collect(),
    };
    let keys = texts.iter().map(|text| text.split('=').next());
    match keys.flatten().find(|key| !is_allowed(key.trim())) {
        None => Ok(()),
        Some(key) => {
            let label = key.trim().to_owned();
            Err(SettingError::Label { name, label })
        }
    }
}

fn is_allowed(key: &str) -> bool {
    let Some((namespace, _)) = key.split_once('/') else { return true };
    let is_or_below = |top: &str| {
        namespace
            .strip_suffix(top)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    !["kubernetes.io", "k8s.io"].into_iter().any(is_or_below)
        || ALLOWED.contains(&key)
        || ALLOWED_NAMESPACES.into_iter().any(is_or_below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_kubernetes_are_not_free() {
        for key in [
            "tier",
            "example.com/tier",
            "notk8s.io/x",
            "kubernetes.io/hostname",
            "node.kubernetes.io/speed",
            "my.node.kubernetes.io/speed",
            "topology.kubernetes.io/zone",
        ] {
            assert!(is_allowed(key), "{key}");
        }
        for key in [
            "node-role.kubernetes.io/worker",
            "kubernetes.io/role",
            "x.k8s.io/y",
            "node-restriction.kubernetes.io/x",
        ] {
            assert!(!is_allowed(key), "{key}");
        }
        let labels = Value::from(vec!["a=b", "node-role.kubernetes.io/x="]);
        let error = check("node_labels", &labels).unwrap_err().to_string();
        assert!(error.contains("`node-role.kubernetes.io/x`"), "{error}");
        assert!(check("node_labels", &Value::UNDEFINED).is_ok());
        assert!(check("k3s_config", &Value::from("a=b, k8s.io/x=1")).is_err());
    }
}
