//! Names that stand for the newest image of their kind.

use std::collections::BTreeMap;

use super::{
    Entry, Os,
    release::{Version, older_first},
};
use crate::base::facts::Architecture;

/// At most so many names are proposed for one that is unknown.
const NEAR: usize = 5;

/// No image has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no image `{name}`{}", did_you_mean(.near))]
pub struct UnknownImage {
    /// As it was given, shortened.
    pub name: String,
    /// Ids and aliases like it, the most likely first; may be empty.
    pub near: Vec<String>,
}

fn did_you_mean(near: &[String]) -> String {
    near.first()
        .map(|name| format!(" (did you mean `{name}`?)"))
        .unwrap_or_default()
}

impl UnknownImage {
    /// Looks for names like `name` among `known`.
    pub(super) fn new<'a>(
        name: &str,
        known: impl Iterator<Item = &'a str>,
    ) -> Self {
        let name: String = name.chars().take(80).collect();
        let plain = name.to_lowercase();
        let mut near: Vec<(usize, &str)> = known
            .filter_map(|known| Some((distance(&plain, known)?, known)))
            .collect();
        // Of several that are as likely, the newest first.
        near.sort_unstable_by(|a, b| (a.0, b.1).cmp(&(b.0, a.1)));
        let near = near.into_iter().take(NEAR);
        let near = near.map(|(_, name)| name.to_owned()).collect();
        Self { name, near }
    }
}

/// Returns how far `name` is from one that is known, where it is like it, a
/// part of it, or like one of its words.
fn distance(name: &str, known: &str) -> Option<usize> {
    // Raspberry Pi OS's name until 2020.
    let former = known.replace("raspios", "raspbian");
    let far = |other: &str| strsim::osa_distance(name, other);
    let like = |other: &str| far(other) <= (name.len() / 5).max(1);
    let is_part = |other: &str| name.len() >= 4 && other.contains(name);
    let mut words = known.split('-').filter(|word| word.len() >= 4);
    let found = [known, former.as_str()]
        .iter()
        .any(|other| like(other) || is_part(other));
    (found || words.any(like)).then(|| far(known).min(far(&former)))
}

/// Returns for every alias the place of its entry.
///
/// `raspios` is the newest image of the newest release of Raspberry Pi OS
/// Lite, `raspios-bookworm` the newest of that release, `ubuntu` the newest
/// release with long-term support, `ubuntu-24.04` its newest point release:
/// all for arm64, and with `-armhf` behind it for armhf. No alias is also an
/// id.
pub(super) fn aliases(entries: &[Entry]) -> BTreeMap<String, usize> {
    let mut newest: BTreeMap<String, usize> = BTreeMap::new();
    for (at, entry) in entries.iter().enumerate() {
        for alias in names(entry) {
            let place = newest.entry(alias).or_insert(at);
            let older = entries
                .get(*place)
                .is_some_and(|other| older_first(other, entry).is_lt());
            if older {
                *place = at;
            }
        }
    }
    for entry in entries {
        newest.remove(&entry.id);
    }
    newest
}

/// The aliases that might mean `entry`.
fn names(entry: &Entry) -> Vec<String> {
    let mut names = match entry.os {
        Os::RaspberryPiOs => {
            vec!["raspios".to_owned(), format!("raspios-{}", entry.release)]
        }
        Os::Ubuntu => match Version::parse(&entry.release) {
            Some(version) => {
                let mut names = vec![format!("ubuntu-{}", version.series())];
                if version.is_lts() {
                    names.push("ubuntu".to_owned());
                }
                names
            }
            None => Vec::new(),
        },
    };
    match entry.arch {
        Architecture::Arm64 => names,
        other => {
            for name in &mut names {
                name.push_str(&format!("-{other}"));
            }
            names
        }
    }
}
