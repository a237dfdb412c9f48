use super::{error::ProbeError, packages::Packages, tree::Tree};
use crate::base::facts::{Flavour, OsFacts};
use std::collections::BTreeMap;

/// Reads os-release(5) and what tells Raspberry Pi OS from Debian.
pub(super) fn read(
    root: &Tree<'_>,
    packages: &Packages,
) -> Result<OsFacts, ProbeError> {
    let path = "/etc/os-release";
    let text = match root.text(path)? {
        Some(text) => text,
        None => root
            .text("/usr/lib/os-release")?
            .ok_or_else(|| ProbeError::Missing(root.place(path)))?,
    };
    let mut release = assignments(&text);
    let id = release.remove("ID").filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| ProbeError::Malformed {
        place: root.place(path),
        what: "no ID in it".into(),
    })?;
    let lsb = root.text("/etc/lsb-release")?.unwrap_or_default();
    let lsb_id = assignments(&lsb)
        .remove("DISTRIB_ID")
        .unwrap_or_else(|| capitalised(&id));
    Ok(OsFacts {
        lsb_id,
        flavour: flavour(root, packages, &id)?,
        id_like: release
            .remove("ID_LIKE")
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        version_id: release.remove("VERSION_ID"),
        codename: release.remove("VERSION_CODENAME"),
        pretty_name: release
            .remove("PRETTY_NAME")
            .unwrap_or_else(|| id.clone()),
        id,
    })
}

/// 64-bit Raspberry Pi OS has Debian's os-release; other files tell.
fn flavour(
    root: &Tree<'_>,
    packages: &Packages,
    id: &str,
) -> Result<Flavour, ProbeError> {
    if matches!(id, "debian" | "raspbian") {
        let sources = "/etc/apt/sources.list.d";
        if root.exists("/etc/rpi-issue")?
            || packages.has("raspberrypi-sys-mods")
            || root.exists(&format!("{sources}/raspi.list"))?
            || root.exists(&format!("{sources}/raspi.sources"))?
        {
            return Ok(Flavour::RaspberryPiOs);
        }
    }
    Ok(match id {
        "ubuntu" => Flavour::Ubuntu,
        "debian" => Flavour::Debian,
        _ => Flavour::Other,
    })
}

/// Parses shell-like assignments; a later one replaces an earlier one.
fn assignments(text: &str) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        }
        if let Some((key, value)) = line.split_once('=') {
            map.insert(key.to_owned(), unquoted(value));
        }
    }
    map
}

/// Undoes the quoting that os-release(5) allows.
fn unquoted(value: &str) -> String {
    let stripped = ['"', '\'']
        .iter()
        .find_map(|&q| value.strip_prefix(q)?.strip_suffix(q));
    let mut plain = String::new();
    let mut chars = stripped.unwrap_or(value).chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.extend(chars.next()),
            c => plain.push(c),
        }
    }
    plain
}

/// As `lsb_release -i` makes a name of an `ID` that it has none for.
fn capitalised(id: &str) -> String {
    let mut chars = id.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
