//! Locale and time zone, as far as the image knows them.

use minijinja::{context, value::Value};

use super::PlanError;
use crate::{base::facts::Facts, inventory::Node};

/// Says whether the C library has the locale without any file.
pub(super) fn is_built_in(locale: &str) -> bool {
    matches!(locale, "C" | "POSIX" | "C.UTF-8" | "C.utf8")
}

/// Returns `node.locale`: its `name`, and as `entry` the line of
/// `/etc/locale.gen` that makes locale-gen(8) make it, where it must be made.
pub(super) fn value(node: &Node, facts: &Facts) -> Result<Value, PlanError> {
    let Some(name) = &node.locale else { return Ok(().into()) };
    let entry = if is_built_in(name) {
        None
    } else {
        Some(entry(name, facts.texts.locales.as_deref())?)
    };
    Ok(context! { name, entry })
}

/// Finds a locale and its character set in the text of
/// `/usr/share/i18n/SUPPORTED`; where there is none, the name tells.
fn entry(name: &str, supported: Option<&str>) -> Result<String, PlanError> {
    let Some(supported) = supported else {
        let charset = name.split_once('.').map(|(_, rest)| rest);
        let charset = charset.and_then(|rest| rest.split('@').next());
        return Ok(format!("{name} {}", charset.unwrap_or("ISO-8859-1")));
    };
    supported
        .lines()
        .map(str::trim)
        .find(|line| line.split_whitespace().next() == Some(name))
        .map(str::to_owned)
        .ok_or_else(|| PlanError::Locale(name.to_owned()))
}

/// Says whether the image has all of tzdata, by that package's own index.
pub(super) fn knows_zones(facts: &Facts) -> bool {
    facts.time_zones.iter().any(|name| name == "zone.tab")
}

/// Checks that the image has the node's time zone. One without tzdata cannot
/// tell, which is said elsewhere.
pub(super) fn check_zone(node: &Node, facts: &Facts) -> Result<(), PlanError> {
    let zones = &facts.time_zones;
    let Some(zone) = &node.timezone else { return Ok(()) };
    if zones.contains(zone) || !knows_zones(facts) {
        return Ok(());
    }
    // Another continent, or another case: `Berlin`, `europe/berlin`.
    let city = |zone: &str| {
        zone.rsplit('/').next().unwrap_or_default().to_ascii_lowercase()
    };
    let near = zones.iter().find(|other| city(other) == city(zone));
    Err(PlanError::TimeZone { zone: zone.clone(), near: near.cloned() })
}

#[cfg(test)]
mod tests {
    use super::entry;

    #[test]
    fn a_locale_has_its_character_set() {
        let supported = "de_DE.UTF-8 UTF-8\nde_DE ISO-8859-1\n\
                         de_DE@euro ISO-8859-15\n";
        for (name, line) in [
            ("de_DE.UTF-8", "de_DE.UTF-8 UTF-8"),
            ("de_DE", "de_DE ISO-8859-1"),
            ("de_DE@euro", "de_DE@euro ISO-8859-15"),
        ] {
            assert_eq!(entry(name, Some(supported)).unwrap(), line);
        }
        assert!(entry("xx_XX.UTF-8", Some(supported)).is_err());
        assert_eq!(entry("xx_XX.UTF-8", None).unwrap(), "xx_XX.UTF-8 UTF-8");
    }
}
