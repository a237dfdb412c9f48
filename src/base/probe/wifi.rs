use super::{error::ProbeError, packages::Packages, tree::Tree};
use crate::base::facts::WifiFacts;

/// Where systemd-rfkill(8) keeps what it restores at boot.
const RFKILL: &str = "/var/lib/systemd/rfkill";

/// Finds out what Wi-Fi needs and what holds it back.
pub(super) fn read(
    root: &Tree<'_>,
    packages: &Packages,
) -> Result<WifiFacts, ProbeError> {
    let supplicant = root.exists("/usr/sbin/wpa_supplicant")?
        || root.exists("/sbin/wpa_supplicant")?;
    let rfkill = root
        .list(RFKILL)?
        .into_iter()
        .filter(|entry| entry.name.ends_with(":wlan"))
        .map(|entry| format!("{RFKILL}/{}", entry.name))
        .collect();
    let netplan = packages.get("netplan.io");
    let netplan_country =
        netplan.is_some_and(|package| knows_country(&package.version));
    Ok(WifiFacts { supplicant, rfkill, netplan_country })
}

/// `regulatory-domain` came with netplan 0.105.
fn knows_country(version: &str) -> bool {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next()?.parse::<u32>().ok();
    number().zip(number()).is_some_and(|version| version >= (0, 105))
}

#[cfg(test)]
mod tests {
    use super::knows_country;

    #[test]
    fn netplan_learnt_the_country_with_0_105() {
        for version in ["0.105-0ubuntu2", "0.106.1-7ubuntu0.22.04.4", "1.1.2-7"]
        {
            assert!(knows_country(version), "{version}");
        }
        for version in ["0.104-0ubuntu2~20.04.2", "0.99", "1", ""] {
            assert!(!knows_country(version), "{version}");
        }
    }
}
