use super::{error::ProbeError, packages::Packages, tree::Tree, units::Units};
use crate::base::facts::{
    CloudInitFacts, CloudInitState, NetworkFacts, NetworkStack,
};

/// Decides by what is installed and enabled, never by the release's name.
pub(super) fn read(
    root: &Tree<'_>,
    packages: &Packages,
    units: &Units<'_>,
    cloud_init: &CloudInitFacts,
) -> Result<NetworkFacts, ProbeError> {
    let mut evidence = Vec::new();
    let mut enabled = |unit: &str| -> Result<bool, ProbeError> {
        let state = units.state(unit)?;
        if state.present {
            let how = if state.enabled { "enabled" } else { "not enabled" };
            evidence.push(format!("{unit} is installed, {how}"));
        }
        Ok(state.enabled)
    };
    let manager = enabled("NetworkManager.service")?;
    let dhcpcd = enabled("dhcpcd.service")?;
    let networkd = enabled("systemd-networkd.service")?;
    let ifupdown = enabled("networking.service")?
        && manages_interfaces(root, &mut evidence)?;
    let netplan = packages.has("netplan.io")
        || root.exists("/usr/sbin/netplan")?
        || root.exists("/usr/libexec/netplan/generate")?;
    let renderer = match netplan {
        true => {
            evidence.push("netplan is installed".to_owned());
            renderer(root, &mut evidence)?
        }
        false => None,
    };
    let to_manager = renderer.as_deref() == Some("NetworkManager");
    let to_networkd = renderer.as_deref() == Some("networkd");
    // cloud-init writes netplan files where netplan is its first renderer.
    let seeded = cloud_init.state == CloudInitState::Active;

    let stack = match (manager, dhcpcd) {
        (true, true) => {
            evidence.push("two network managers are enabled".into());
            NetworkStack::Unknown
        }
        (false, true) => {
            let conf = "/etc/dhcpcd.conf";
            if root.exists(conf)? {
                evidence.push(format!("{conf} is there"));
            }
            NetworkStack::Dhcpcd
        }
        (true, false) if netplan && to_networkd => {
            NetworkStack::NetplanNetworkd
        }
        (true, false) if netplan && to_manager => {
            NetworkStack::NetplanNetworkmanager
        }
        (true, false) if netplan && seeded && !networkd => {
            evidence.push(
                "cloud-init is active, and writes its seed by netplan".into(),
            );
            NetworkStack::NetplanNetworkmanager
        }
        (true, false) => NetworkStack::Networkmanager,
        // netplan's generator starts networkd by itself.
        (false, false) if netplan && !to_manager => {
            if !to_networkd {
                evidence.push(
                    "no renderer is set, and networkd is netplan's own choice"
                        .into(),
                );
            }
            NetworkStack::NetplanNetworkd
        }
        (false, false) if networkd => NetworkStack::Networkd,
        (false, false) if ifupdown => NetworkStack::Ifupdown,
        (false, false) => NetworkStack::Unknown,
    };
    if evidence.is_empty() {
        evidence.push("no network manager is installed".into());
    }
    Ok(NetworkFacts { stack, evidence })
}

/// Returns the renderer that netplan's files name; a later file wins, as
/// netplan(5) says.
fn renderer(
    root: &Tree<'_>,
    evidence: &mut Vec<String>,
) -> Result<Option<String>, ProbeError> {
    let mut files = Vec::new();
    for dir in ["/usr/lib/netplan", "/lib/netplan", "/etc/netplan"] {
        for entry in root.list(dir)? {
            if entry.name.ends_with(".yaml") {
                files.push((
                    entry.name.clone(),
                    format!("{dir}/{}", entry.name),
                ));
            }
        }
    }
    // By name over all directories; the sort is stable, so /etc's twin of a
    // name stays last.
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let mut found = None;
    for (_, path) in files {
        let text = root.text(&path)?.unwrap_or_default();
        for line in text.lines() {
            let Some(value) = line.trim().strip_prefix("renderer:") else {
                continue;
            };
            let value = value.trim().trim_matches(['"', '\'']);
            evidence.push(format!("{path} has the renderer {value}"));
            found = Some(value.to_owned());
        }
    }
    Ok(found)
}

/// Whether interfaces(5) names more than the loopback.
fn manages_interfaces(
    root: &Tree<'_>,
    evidence: &mut Vec<String>,
) -> Result<bool, ProbeError> {
    let main = "/etc/network/interfaces";
    let mut files = vec![main.to_owned()];
    for entry in root.list("/etc/network/interfaces.d")? {
        files.push(format!("/etc/network/interfaces.d/{}", entry.name));
    }
    for path in files {
        let text = root.text(&path)?.unwrap_or_default();
        let named = text.lines().find_map(|line| {
            let name = line.trim().strip_prefix("iface ")?;
            name.split_whitespace().next().filter(|name| *name != "lo")
        });
        if let Some(name) = named {
            evidence.push(format!("{path} configures {name}"));
            return Ok(true);
        }
    }
    Ok(false)
}
