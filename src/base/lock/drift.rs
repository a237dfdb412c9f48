use std::fmt;

use super::{LockedArtefact, LockedArtefacts, LockedImage};

/// How a build differs from the lock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Drift {
    /// The node was never built.
    #[error("{node} is not in the lock")]
    Unknown {
        /// The node.
        node: String,
    },
    /// The image is another.
    #[error(
        "{node} was built from {} (SHA-256 {}), and would now be built from \
         {} (SHA-256 {})", .locked.name, .locked.sha256, .now.name, .now.sha256
    )]
    Image {
        /// The node.
        node: String,
        /// As recorded.
        locked: Box<LockedImage>,
        /// As it would be.
        now: Box<LockedImage>,
    },
    /// An artefact is another.
    #[error(
        "{node} was built with {name} ({locked}), and would now be built with \
         {name} ({now})"
    )]
    Artefact {
        /// The node.
        node: String,
        /// The artefact.
        name: String,
        /// As recorded.
        locked: Box<LockedArtefact>,
        /// As it would be.
        now: Box<LockedArtefact>,
    },
    /// An artefact is new.
    #[error("{node} was built without {name} ({now})")]
    Added {
        /// The node.
        node: String,
        /// The artefact.
        name: String,
        /// As it would be.
        now: Box<LockedArtefact>,
    },
    /// An artefact is gone.
    #[error("{node} was built with {name}, and would now be built without it")]
    Removed {
        /// The node.
        node: String,
        /// The artefact.
        name: String,
    },
}

impl LockedArtefact {
    fn is_same(&self, other: &Self) -> bool {
        (&self.version, self.sha256) == (&other.version, other.sha256)
    }
}

impl fmt::Display for LockedArtefact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(version) = &self.version {
            write!(f, "{version}, ")?;
        }
        write!(f, "SHA-256 {}", self.sha256)
    }
}

/// Returns what is another or new.
pub(super) fn changed(
    node: &str,
    locked: &LockedArtefacts,
    now: &LockedArtefacts,
) -> Vec<Drift> {
    let changes = now.iter().filter_map(|(name, artefact)| {
        let (node, name_owned) = (node.to_owned(), name.clone());
        let now = Box::new(artefact.clone());
        match locked.get(name) {
            None => Some(Drift::Added { node, name: name_owned, now }),
            Some(locked) if locked.is_same(artefact) => None,
            Some(locked) => Some(Drift::Artefact {
                node,
                name: name_owned,
                locked: Box::new(locked.clone()),
                now,
            }),
        }
    });
    changes.collect()
}

/// Returns the first of all differences.
pub(super) fn first(
    node: &str,
    locked: &LockedArtefacts,
    now: &LockedArtefacts,
) -> Option<Drift> {
    let removed = || {
        let name = locked.keys().find(|name| !now.contains_key(*name))?;
        let (node, name) = (node.to_owned(), name.clone());
        Some(Drift::Removed { node, name })
    };
    changed(node, locked, now).into_iter().next().or_else(removed)
}
