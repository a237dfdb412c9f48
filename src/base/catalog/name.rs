//! What a vendor's file name says: which system, release, architecture, day.

use super::Os;
use crate::base::{date::Date, facts::Architecture};

/// An image as its file name tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileName {
    pub(super) os: Os,
    /// `trixie`, `24.04.4`
    pub(super) release: String,
    /// Raspbian's names of 2019 and 2020 have none.
    pub(super) arch: Option<Architecture>,
    /// Ubuntu's names have none.
    pub(super) date: Option<Date>,
}

impl FileName {
    /// Understands the names of Raspberry Pi OS Lite and of Ubuntu's server
    /// image for the Raspberry Pi; `None` for any other file.
    ///
    /// `2026-10-06-raspios-trixie-arm64-lite.img.xz`,
    /// `2020-02-13-raspbian-buster-lite.zip`,
    /// `ubuntu-24.04.4-preinstalled-server-arm64+raspi.img.xz`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let stem = name
            .strip_suffix(".img.xz")
            .or_else(|| name.strip_suffix(".zip"))?;
        match stem.strip_prefix("ubuntu-") {
            Some(rest) => Self::ubuntu(rest),
            None => Self::raspberry_pi_os(stem),
        }
    }

    fn ubuntu(rest: &str) -> Option<Self> {
        let rest = rest.strip_suffix("+raspi")?;
        let (release, arch) = rest.split_once("-preinstalled-server-")?;
        Some(Self {
            os: Os::Ubuntu,
            release: super::Version::parse(release)?.to_string(),
            arch: Some(architecture(arch)?),
            date: None,
        })
    }

    fn raspberry_pi_os(stem: &str) -> Option<Self> {
        let (date, rest) = stem.split_at_checked(10)?;
        let rest = rest.strip_prefix('-')?.strip_suffix("-lite")?;
        let (release, arch) = match rest.strip_prefix("raspios-") {
            Some(rest) => {
                let (release, arch) = rest.split_once('-')?;
                (release, Some(architecture(arch)?))
            }
            None => (rest.strip_prefix("raspbian-")?, None),
        };
        let codename = !release.is_empty()
            && release.len() <= 20
            && release.bytes().all(|byte| byte.is_ascii_lowercase());
        codename.then_some(())?;
        Some(Self {
            os: Os::RaspberryPiOs,
            release: release.to_owned(),
            arch,
            date: Some(date.parse().ok()?),
        })
    }
}

/// Returns the part of a URL behind the last slash, `%2B` read as `+`.
pub(super) fn file_of(url: &str) -> String {
    let name = url.rsplit('/').next().unwrap_or_default();
    name.replace("%2B", "+").replace("%2b", "+")
}

fn architecture(name: &str) -> Option<Architecture> {
    match name {
        "arm64" => Some(Architecture::Arm64),
        "armhf" => Some(Architecture::Armhf),
        _ => None,
    }
}
