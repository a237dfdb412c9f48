//! Which of two images is newer.

use std::{cmp::Ordering, fmt};

use super::{Entry, Os};

/// An Ubuntu version: `24.04` or `24.04.4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub(super) year: u8,
    pub(super) month: u8,
    pub(super) point: u8,
}

impl Version {
    /// Understands two digits, a dot, two digits and perhaps a point release.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let mut number = |digits: std::ops::RangeInclusive<usize>| {
            let part = parts.next()?;
            let plain = digits.contains(&part.len())
                && part.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| part.parse().ok()).flatten()
        };
        let (year, month) = (number(2..=2)?, number(2..=2)?);
        let point = if text.len() > 5 { number(1..=2)? } else { 0 };
        let this = Self { year, month, point };
        (this.to_string() == text).then_some(this)
    }

    /// `24.04` of `24.04.4`.
    pub(super) fn series(self) -> Self {
        Self { point: 0, ..self }
    }

    /// Whether it has long-term support: April of every even year.
    pub(super) fn is_lts(self) -> bool {
        self.month == 4 && self.year.is_multiple_of(2)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}.{:02}", self.year, self.month)?;
        match self.point {
            0 => Ok(()),
            point => write!(f, ".{point}"),
        }
    }
}

/// Returns what an image shares with those that replace it: Debian's
/// codename, or Ubuntu's version without the point release.
pub(super) fn series(entry: &Entry) -> String {
    match entry.os {
        Os::RaspberryPiOs => entry.release.clone(),
        Os::Ubuntu => Version::parse(&entry.release)
            .map_or_else(|| entry.release.clone(), |v| v.series().to_string()),
    }
}

/// Debian's releases, oldest first: the number of each is its place.
const DEBIAN: [&str; 6] =
    ["buster", "bullseye", "bookworm", "trixie", "forky", "duke"];

/// Compares by release, then by date. A codename that this version of
/// piflash does not know counts as the oldest: profiles do not know it
/// either.
pub(super) fn older_first(a: &Entry, b: &Entry) -> Ordering {
    let debian = |entry: &Entry| match entry.os {
        Os::RaspberryPiOs => {
            DEBIAN.iter().position(|name| *name == entry.release)
        }
        Os::Ubuntu => None,
    };
    let ubuntu = |entry: &Entry| match entry.os {
        Os::RaspberryPiOs => None,
        Os::Ubuntu => Version::parse(&entry.release),
    };
    (a.os.cmp(&b.os))
        .then_with(|| debian(a).cmp(&debian(b)))
        .then_with(|| ubuntu(a).cmp(&ubuntu(b)))
        .then_with(|| a.date.cmp(&b.date))
        .then_with(|| b.arch.to_string().cmp(&a.arch.to_string()))
        .then_with(|| a.id.cmp(&b.id))
}
