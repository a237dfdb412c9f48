use super::{error::ProbeError, packages::Packages, tree::Tree, units::Units};
use crate::base::facts::{BootFacts, CloudInitFacts, CloudInitState};

/// Units of which one must be wanted; later versions renamed the first.
const UNITS: [&str; 5] = [
    "cloud-init.service",
    "cloud-init-network.service",
    "cloud-init-local.service",
    "cloud-init-main.service",
    "cloud-init.target",
];

/// Where NoCloud looks without being told.
const BUILT_IN_SEEDS: [&str; 2] =
    ["/var/lib/cloud/seed/nocloud", "/var/lib/cloud/seed/nocloud-net"];

/// Decides what cloud-init will do: it acts only where it is installed, not
/// switched off, and its data source reaches a seed.
pub(super) fn read(
    boot: &Tree<'_>,
    root: &Tree<'_>,
    label: Option<&str>,
    boot_facts: &BootFacts,
    packages: &Packages,
    units: &Units<'_>,
) -> Result<CloudInitFacts, ProbeError> {
    if !packages.has("cloud-init") && !root.exists("/usr/bin/cloud-init")? {
        return Ok(CloudInitFacts {
            state: CloudInitState::Absent,
            seeds: Vec::new(),
            evidence: vec!["cloud-init is not installed".into()],
        });
    }
    let mut evidence = vec!["cloud-init is installed".to_owned()];
    let seeds = seeds(boot, root, label, boot_facts, &mut evidence)?;
    let off = switched_off(root, boot_facts, units)?;
    let state = match (&off, seeds.is_empty()) {
        (None, false) => CloudInitState::Active,
        _ => CloudInitState::Inert,
    };
    evidence.extend(off);
    if seeds.is_empty() {
        evidence.push("its data sources reach no seed".into());
    }
    Ok(CloudInitFacts { state, seeds, evidence })
}

/// Returns what keeps cloud-init from running, as its generator would.
fn switched_off(
    root: &Tree<'_>,
    boot: &BootFacts,
    units: &Units<'_>,
) -> Result<Option<String>, ProbeError> {
    let file = "/etc/cloud/cloud-init.disabled";
    if root.exists(file)? {
        return Ok(Some(format!("{file} is there")));
    }
    let words = boot.cmdline.as_deref().unwrap_or_default();
    if let Some(word) = words
        .split(' ')
        .find(|word| matches!(*word, "cloud-init=disabled" | "cloud-init=off"))
    {
        return Ok(Some(format!("the kernel command line has {word}")));
    }
    for unit in UNITS {
        if units.enabled(unit)? {
            return Ok(None);
        }
    }
    // The generator enables cloud-init.target at boot, whoever wants it.
    let generator = "system-generators/cloud-init-generator";
    for dir in ["/usr/lib/systemd", "/lib/systemd", "/etc/systemd"] {
        if root.exists(&format!("{dir}/{generator}"))? {
            return Ok(None);
        }
    }
    Ok(Some("none of its units is enabled, and it has no generator".into()))
}

/// Returns the seeds that the configured data sources reach.
fn seeds(
    boot: &Tree<'_>,
    root: &Tree<'_>,
    label: Option<&str>,
    boot_facts: &BootFacts,
    evidence: &mut Vec<String>,
) -> Result<Vec<String>, ProbeError> {
    let on_boot = seed_files(boot, "", "boot")?;
    let mut found = Vec::new();
    for dir in BUILT_IN_SEEDS {
        found.extend(seed_files(root, dir, "root")?);
    }
    let mut labels = vec!["cidata".to_owned()];
    for (path, key, value) in settings(root)? {
        if key == "fs_label" {
            evidence.push(format!("{path} looks for the label {value}"));
            labels = vec![value];
            continue;
        }
        let dir = value.strip_prefix("file://").unwrap_or(&value);
        let dir = dir.trim_end_matches('/');
        if dir == boot_facts.mount {
            evidence.push(format!("{path} looks in {dir}"));
            found.extend(on_boot.iter().cloned());
        } else if dir.starts_with('/') {
            evidence.push(format!("{path} looks in {dir}"));
            found.extend(seed_files(root, dir, "root")?);
        }
    }
    let label = label.unwrap_or_default();
    if labels.iter().any(|wanted| wanted.eq_ignore_ascii_case(label)) {
        evidence.push(format!("the boot partition is labelled {label}"));
        found.extend(on_boot);
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Returns the seed files in `dir`. Without meta-data or user-data NoCloud
/// ignores it.
fn seed_files(
    tree: &Tree<'_>,
    dir: &str,
    partition: &str,
) -> Result<Vec<String>, ProbeError> {
    let mut found = Vec::new();
    for name in ["meta-data", "user-data", "network-config"] {
        if tree.exists(&format!("{dir}/{name}"))? {
            found.push(format!("{partition}:{dir}/{name}"));
        }
    }
    let usable = found.iter().any(|path| !path.ends_with("network-config"));
    Ok(if usable { found } else { Vec::new() })
}

/// Returns every `seedfrom` and `fs_label` of the configuration, with the
/// file that sets it, in the order in which files override each other.
fn settings(
    root: &Tree<'_>,
) -> Result<Vec<(String, String, String)>, ProbeError> {
    let mut files = vec!["/etc/cloud/cloud.cfg".to_owned()];
    let dropins = "/etc/cloud/cloud.cfg.d";
    for entry in root.list(dropins)? {
        if entry.name.ends_with(".cfg") {
            files.push(format!("{dropins}/{}", entry.name));
        }
    }
    let mut settings = Vec::new();
    for path in files {
        let text = root.text(&path)?.unwrap_or_default();
        for (key, value) in
            text.lines().flat_map(|line| keys(line, &["seedfrom", "fs_label"]))
        {
            settings.push((path.clone(), key.to_owned(), value));
        }
    }
    Ok(settings)
}

/// Returns the values that a line of YAML gives to `names`, also inside
/// `{ }`. A whole parser would refuse files that cloud-init accepts.
fn keys<'n>(line: &str, names: &[&'n str]) -> Vec<(&'n str, String)> {
    let line = line.split(" #").next().unwrap_or_default();
    if line.trim_start().starts_with('#') {
        return Vec::new();
    }
    let mut found = Vec::new();
    for part in line.split([',', '{', '}']) {
        let Some((key, value)) = part.split_once(':') else { continue };
        // `NoCloud: {fs_label: x}` is cut at the brace.
        let key = key.trim().trim_start_matches("- ");
        let value = value.trim().trim_matches(['"', '\'']);
        let name = names.iter().find(|name| **name == key);
        if let (Some(name), false) = (name, value.is_empty()) {
            found.push((*name, value.to_owned()));
        }
    }
    found
}
