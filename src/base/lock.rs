//! `piflash.lock`: which base image each node was last built from.
//!
//! It lies beside the inventory and belongs under version control: with
//! `--locked` a build refuses to use anything else.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::{digest::Sha256, whole};
use serde::{Deserialize, Serialize};

/// Raised when a field changes its meaning.
const VERSION: u32 = 1;

/// What is recorded of all nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    nodes: BTreeMap<String, LockedNode>,
}

/// What one node was built from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedNode {
    /// The base image.
    pub image: LockedImage,
}

/// A base image, by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedImage {
    /// A catalogue's id, or the file's name.
    pub name: String,
    /// Size of the raw image in bytes.
    pub size: u64,
    /// SHA-256 of the raw image.
    pub sha256: Sha256,
    /// SHA-256 of the file that it was unpacked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_sha256: Option<Sha256>,
}

/// Why the lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file cannot be read.
    #[error("{} cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no lock.
    #[error("{} is not a lock file that this piflash understands", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<serde_json::Error>,
    },
    /// The file cannot be written.
    #[error("{} cannot be written", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

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
}

impl Default for Lock {
    fn default() -> Self {
        Self { version: VERSION, nodes: BTreeMap::new() }
    }
}

impl Lock {
    /// Returns where the lock of an inventory lies.
    #[must_use]
    pub fn path_for(inventory: &Path) -> PathBuf {
        inventory.with_file_name("piflash.lock")
    }

    /// Reads a lock; one that is not there is empty.
    pub fn load(path: &Path) -> Result<Self, LockError> {
        let parse = |source| LockError::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        };
        match fs::read(path) {
            Ok(bytes) => {
                let lock: Self =
                    serde_json::from_slice(&bytes).map_err(parse)?;
                if lock.version == VERSION {
                    return Ok(lock);
                }
                Err(parse(serde::de::Error::custom(format!(
                    "version {}, not {VERSION}",
                    lock.version
                ))))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(source) => {
                Err(LockError::Read { path: path.to_owned(), source })
            }
        }
    }

    /// Records what a node was built from.
    pub fn record(&mut self, node: &str, image: LockedImage) {
        self.nodes.insert(node.to_owned(), LockedNode { image });
    }

    /// Compares what a node would be built from with what is recorded.
    pub fn check(&self, node: &str, image: &LockedImage) -> Result<(), Drift> {
        match self.nodes.get(node) {
            None => Err(Drift::Unknown { node: node.to_owned() }),
            Some(locked) if locked.image != *image => Err(Drift::Image {
                node: node.to_owned(),
                locked: Box::new(locked.image.clone()),
                now: Box::new(image.clone()),
            }),
            Some(_) => Ok(()),
        }
    }

    /// Writes the lock, whole or not at all; one that would say the same is
    /// not touched.
    pub fn save(&self, path: &Path) -> Result<(), LockError> {
        let error = |source| LockError::Write { path: path.to_owned(), source };
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|e| error(io::Error::other(e)))?;
        text.push(b'\n');
        if fs::read(path).is_ok_and(|old| old == text) {
            return Ok(());
        }
        whole::write(path, &text).map_err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(content: &str) -> LockedImage {
        LockedImage {
            name: "base.img".to_owned(),
            size: 4096,
            sha256: Sha256::of(content.as_bytes()),
            download_sha256: None,
        }
    }

    #[test]
    fn a_lock_is_written_read_and_held() {
        let dir = tempfile::tempdir().unwrap();
        let path = Lock::path_for(&dir.path().join("inventory.yml"));
        let mut lock = Lock::load(&path).unwrap();
        assert_eq!(
            lock.check("node1", &image("aa")),
            Err(Drift::Unknown { node: "node1".to_owned() })
        );
        lock.record("node1", image("aa"));
        lock.save(&path).unwrap();
        let lock = Lock::load(&path).unwrap();
        assert_eq!(lock.check("node1", &image("aa")), Ok(()));
        let drift = lock.check("node1", &image("bb")).unwrap_err();
        let now = Sha256::of(b"bb").to_string();
        assert!(drift.to_string().contains(&now), "{drift}");
    }

    #[test]
    fn a_damaged_lock_is_an_error_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("piflash.lock");
        for text in ["{", "{\"version\":2,\"nodes\":{}}"] {
            fs::write(&path, text).unwrap();
            assert!(matches!(Lock::load(&path), Err(LockError::Parse { .. })));
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
