//! `piflash.lock`: which base image and artefacts each node was last built
//! from.
//!
//! It lies beside the inventory and belongs under version control: with
//! `--locked` a build refuses to use anything else.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

mod drift;

use super::{
    artefact::{Artefact, ArtefactFile},
    digest::Sha256,
    fetch::redacted,
    whole,
};
pub use drift::Drift;
use serde::{Deserialize, Serialize};

/// Raised when a field changes its meaning, or a new one may not be passed
/// over. 2: with artefacts. Older ones are read: they know of none.
const VERSION: u32 = 2;

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
    /// What else it needs, by name.
    #[serde(default, skip_serializing_if = "LockedArtefacts::is_empty")]
    pub artefacts: LockedArtefacts,
}

/// Artefacts by name.
pub type LockedArtefacts = BTreeMap<String, LockedArtefact>;

/// A file that was put into the image, by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedArtefact {
    /// Its release, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where it came from, without secrets. From elsewhere it is the same.
    pub url: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Sha256,
}

impl From<&ArtefactFile> for LockedArtefact {
    fn from(file: &ArtefactFile) -> Self {
        Self {
            version: file.version.clone(),
            url: file.url.clone(),
            size: file.size,
            sha256: file.sha256,
        }
    }
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
                if (1..=VERSION).contains(&lock.version) {
                    let lock = Self { version: VERSION, ..lock };
                    return Ok(lock);
                }
                Err(parse(serde::de::Error::custom(format!(
                    "version {}, not 1 to {VERSION}",
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

    /// Returns what a node was built from, if it ever was.
    #[must_use]
    pub fn image(&self, node: &str) -> Option<&LockedImage> {
        self.nodes.get(node).map(|locked| &locked.image)
    }

    /// Records what a node was built from.
    fn record(&mut self, node: &str, built: LockedNode) {
        self.nodes.insert(node.to_owned(), built);
    }

    /// Returns the digest that the same release of an artefact had when the
    /// node was built, wherever it came from; of what has no release, the
    /// same URL's.
    #[must_use]
    pub fn pin(&self, node: &str, artefact: &Artefact) -> Option<Sha256> {
        let locked = self.nodes.get(node)?.artefacts.get(&artefact.name)?;
        let same = locked.version == artefact.version
            && (locked.version.is_some()
                || locked.url == redacted(&artefact.url));
        same.then_some(locked.sha256)
    }

    /// Compares what a node would be built from with what is recorded.
    pub fn check(&self, node: &str, now: &LockedNode) -> Result<(), Drift> {
        let Some(locked) = self.nodes.get(node) else {
            return Err(Drift::Unknown { node: node.to_owned() });
        };
        if locked.image != now.image {
            return Err(Drift::Image {
                node: node.to_owned(),
                locked: Box::new(locked.image.clone()),
                now: Box::new(now.image.clone()),
            });
        }
        match drift::first(node, &locked.artefacts, &now.artefacts) {
            Some(drift) => Err(drift),
            None => Ok(()),
        }
    }

    /// Returns the artefacts whose content is another than when the node was
    /// built, though the release is the same.
    #[must_use]
    pub fn replaced(&self, node: &str, now: &LockedArtefacts) -> Vec<Drift> {
        let Some(locked) = self.nodes.get(node) else { return Vec::new() };
        let mut changed = drift::changed(node, &locked.artefacts, now);
        changed.retain(|drift| match drift {
            Drift::Artefact { locked, now, .. } => {
                locked.version == now.version
            }
            _ => false,
        });
        changed
    }

    /// Records what a node was built from in the file, with all that other
    /// processes have recorded there meanwhile; returns what it says now.
    pub fn update(
        path: &Path,
        node: &str,
        built: LockedNode,
    ) -> Result<Self, LockError> {
        let error = |source| LockError::Write { path: path.to_owned(), source };
        // The file itself is replaced by every update.
        let folder = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let folder = fs::File::open(folder.unwrap_or(Path::new(".")));
        let folder = folder.map_err(error)?;
        folder.lock().map_err(error)?;
        let mut lock = Self::load(path)?;
        lock.record(node, built);
        lock.save(path)?;
        Ok(lock)
    }

    /// Writes the lock, whole or not at all; one that would say the same is
    /// not touched.
    fn save(&self, path: &Path) -> Result<(), LockError> {
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

    fn node(content: &str, artefacts: &[(&str, &str)]) -> LockedNode {
        let image = LockedImage {
            name: "base.img".to_owned(),
            size: 4096,
            sha256: Sha256::of(content.as_bytes()),
            download_sha256: None,
        };
        let artefacts = artefacts.iter().map(|(name, content)| {
            let artefact = LockedArtefact {
                version: Some("v1".to_owned()),
                url: "https://host/file".to_owned(),
                size: 7,
                sha256: Sha256::of(content.as_bytes()),
            };
            ((*name).to_owned(), artefact)
        });
        LockedNode { image, artefacts: artefacts.collect() }
    }

    #[test]
    fn a_lock_is_written_read_and_held() {
        let dir = tempfile::tempdir().unwrap();
        let path = Lock::path_for(&dir.path().join("inventory.yml"));
        let mut lock = Lock::load(&path).unwrap();
        assert_eq!(
            lock.check("node1", &node("aa", &[])),
            Err(Drift::Unknown { node: "node1".to_owned() })
        );
        let built = node("aa", &[("k3s", "one"), ("images", "two")]);
        lock.record("node1", built.clone());
        lock.save(&path).unwrap();
        let lock = Lock::load(&path).unwrap();
        assert_eq!(lock.check("node1", &built), Ok(()));
        let two = Sha256::of(b"two").to_string();
        for (now, said) in [
            (node("bb", &[]), Sha256::of(b"bb").to_string()),
            (node("aa", &[("k3s", "one")]), "without it".to_owned()),
            (node("aa", &[("k3s", "two"), ("images", "two")]), two.clone()),
            (
                node("aa", &[("k3s", "one"), ("images", "two"), ("cni", "")]),
                "without cni".to_owned(),
            ),
        ] {
            let drift = lock.check("node1", &now).unwrap_err().to_string();
            assert!(drift.contains(&said), "{said}: {drift}");
        }
        let now = node("aa", &[("k3s", "two"), ("cni", "")]);
        let [replaced] = &lock.replaced("node1", &now.artefacts)[..] else {
            panic!()
        };
        assert!(replaced.to_string().contains(&two), "{replaced}");
    }

    #[test]
    fn updates_side_by_side_are_all_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("piflash.lock");
        std::thread::scope(|scope| {
            for builder in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for number in 0..10 {
                        let name = format!("node{builder}-{number}");
                        Lock::update(path, &name, node("aa", &[])).unwrap();
                    }
                });
            }
        });
        assert_eq!(Lock::load(&path).unwrap().nodes.len(), 40);
    }

    #[test]
    fn a_pin_is_of_the_same_release() {
        let mut lock = Lock::default();
        lock.record("node1", node("aa", &[("k3s", "one")]));
        let mut wanted = Artefact::url("https://mirror/k3s", None);
        assert_eq!(lock.pin("node1", &wanted), None);
        wanted.version = Some("v1".to_owned());
        assert_eq!(lock.pin("node1", &wanted), Some(Sha256::of(b"one")));
        assert_eq!(lock.pin("node2", &wanted), None);
        wanted.version = Some("v2".to_owned());
        assert_eq!(lock.pin("node1", &wanted), None);
    }

    #[test]
    fn a_lock_of_the_first_version_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("piflash.lock");
        let digest = Sha256::of(b"aa");
        let text = format!(
            "{{\"version\":1,\"nodes\":{{\"node1\":{{\"image\":{{\"name\":\
             \"base.img\",\"size\":4096,\"sha256\":\"{digest}\"}}}}}}}}"
        );
        fs::write(&path, text).unwrap();
        let lock = Lock::load(&path).unwrap();
        assert_eq!(lock.check("node1", &node("aa", &[])), Ok(()));
        lock.save(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("\"version\": 2"), "{text}");
    }

    #[test]
    fn a_damaged_lock_is_an_error_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("piflash.lock");
        let newer = "{\"version\":3,\"nodes\":{}}";
        for text in ["{", newer, "{\"version\":0,\"nodes\":{}}"] {
            fs::write(&path, text).unwrap();
            assert!(matches!(Lock::load(&path), Err(LockError::Parse { .. })));
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
