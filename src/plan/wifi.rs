//! What templates see of a wireless network.

use minijinja::{context, value::Value};

use super::PlanError;
use crate::inventory::{Node, WifiKey};

/// Returns the wireless interface, if the node has a wireless network: the
/// `interface` of the inventory, or the usual one where that is a wired one.
pub(super) fn interface(node: &Node) -> Option<&str> {
    node.wifi.as_ref()?;
    // systemd.net-naming-scheme(7): `wl` for wireless, `en` and `eth` wired.
    Some(match node.interface.as_str() {
        name if name.starts_with("wl") => name,
        _ => "wlan0",
    })
}

/// Returns `node.wifi`; none without a wireless network.
pub(super) fn value(node: &Node) -> Result<Value, PlanError> {
    let Some(wifi) = &node.wifi else { return Ok(().into()) };
    let psk = match &wifi.key {
        WifiKey::Psk(psk) => psk,
        WifiKey::Env(name) => return Err(PlanError::WifiKey(name.clone())),
    };
    Ok(context! {
        ssid => &wifi.ssid,
        psk,
        country => &wifi.country,
        hidden => wifi.hidden,
        interface => interface(node),
    })
}
