use super::{error::ProbeError, tree::Tree};
use crate::{base::facts::LocaleFacts, fs::FileKind};

const ZONES: &str = "/usr/share/zoneinfo";

/// As deep as names go: `America/Argentina/Ushuaia`.
const DEPTH: u32 = 3;

/// Finds out where the locale is set, and whether one can be made.
pub(super) fn read(root: &Tree<'_>) -> Result<LocaleFacts, ProbeError> {
    let debian = "/etc/default/locale";
    let common = "/etc/locale.conf";
    let link = root.link(debian)?;
    let leads = link.is_some_and(|to| to == common || to == "../locale.conf");
    let generator = root.exists("/usr/sbin/locale-gen")?;
    let file = if leads { common } else { debian };
    Ok(LocaleFacts { file: file.to_owned(), generator })
}

/// Returns the names of the time zones, sorted; none without tzdata.
pub(super) fn time_zones(root: &Tree<'_>) -> Result<Vec<String>, ProbeError> {
    let mut zones = Vec::new();
    let mut pending = vec![(String::new(), DEPTH)];
    while let Some((folder, depth)) = pending.pop() {
        for entry in root.list(&format!("{ZONES}/{folder}"))? {
            let name = format!("{folder}{}", entry.name);
            match entry.kind {
                // Twins of all others with and without leap seconds.
                FileKind::Directory
                    if matches!(name.as_str(), "posix" | "right") => {}
                FileKind::Directory => {
                    if let Some(depth) = depth.checked_sub(1) {
                        pending.push((format!("{name}/"), depth));
                    }
                }
                _ => zones.push(name),
            }
        }
    }
    zones.sort();
    Ok(zones)
}
