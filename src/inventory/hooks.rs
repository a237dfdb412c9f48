//! Event hooks: files of manifests beside an inventory, which are applied
//! when a cluster comes up or goes down.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::Cluster;

/// What hooks are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookEvent {
    /// The first master is up.
    PostMasterUp,
    /// The first master goes down.
    PreMasterDown,
}

const EVENTS: [HookEvent; 2] =
    [HookEvent::PostMasterUp, HookEvent::PreMasterDown];
const EXTENSIONS: [&str; 2] = ["yml", "yaml"];
/// Larger files are no manifests that anybody has written, in bytes.
const LARGEST: u64 = 1 << 20;

impl HookEvent {
    /// The usual name, and that of kalaxy's later versions.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::PostMasterUp => ["post-master-up", "post-server-up"],
            Self::PreMasterDown => ["pre-master-down", "pre-server-down"],
        }
    }

    /// The names of its files without their ends, in their order: those for
    /// every cluster, then those for this kind.
    fn stems(self, cluster: Cluster) -> impl Iterator<Item = String> {
        let of = move |prefix: String| {
            self.names().map(|name| format!("{prefix}{name}"))
        };
        [String::new(), format!("{cluster}-")].into_iter().flat_map(of)
    }
}

/// A file of manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Its path.
    pub path: PathBuf,
    /// Its manifests, as they are.
    pub content: String,
}

impl Hook {
    /// The file's name, as `k3s-post-master-up.yml`.
    #[must_use]
    pub fn name(&self) -> &str {
        let name = self.path.file_name().and_then(|name| name.to_str());
        name.unwrap_or_default()
    }
}

/// Why a hook cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// It cannot be read.
    #[error("{} cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a directory, a pipe, or larger than any manifest.
    #[error("{} is no file of up to 1 MiB", .path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
    },
    /// There are two of one name.
    #[error("{} and {other} are one hook: keep one of them", .path.display())]
    Twice {
        /// One of them.
        path: PathBuf,
        /// The name of the other.
        other: String,
    },
    /// It is no list of manifests.
    #[error("{}:{line}:{column}: {problem}", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// What is wrong there.
        problem: String,
    },
}

/// A folder with hooks, and perhaps with other files.
#[derive(Debug)]
pub struct HookFolder {
    path: PathBuf,
    files: Vec<String>,
}

impl HookFolder {
    /// Lists a folder.
    ///
    /// # Errors
    /// If it cannot be read, as when there is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        for entry in fs::read_dir(path)? {
            // Of names that are no text, none is ours.
            files.extend(entry?.file_name().into_string().ok());
        }
        files.sort();
        Ok(Self { path: path.to_owned(), files })
    }

    /// Returns the files that look like hooks, but are none.
    pub fn strange(&self) -> impl Iterator<Item = PathBuf> {
        let known = |stem: &str| {
            [Cluster::K3s, Cluster::K8s].into_iter().any(|cluster| {
                let mut stems = EVENTS.iter().flat_map(|e| e.stems(cluster));
                stems.any(|known| known == stem)
            })
        };
        let strange = move |file: &&String| {
            file.rsplit_once('.').is_some_and(|(stem, end)| {
                EXTENSIONS.contains(&end)
                    && !stem.starts_with('.')
                    && !known(stem)
            })
        };
        self.files.iter().filter(strange).map(|file| self.path.join(file))
    }

    /// Reads the hooks of an event, in the order in which they are applied.
    /// Of a file without any manifest there is nothing to apply.
    ///
    /// # Errors
    /// If one that is there cannot be used.
    pub fn of(
        &self,
        cluster: Cluster,
        event: HookEvent,
    ) -> Result<Vec<Hook>, HookError> {
        let mut hooks = Vec::new();
        for stem in event.stems(cluster) {
            let names = EXTENSIONS.map(|end| format!("{stem}.{end}"));
            let mut found = names.iter().filter(|n| self.files.contains(n));
            let Some(name) = found.next() else { continue };
            let path = self.path.join(name);
            if let Some(other) = found.next() {
                let other = other.clone();
                return Err(HookError::Twice { path, other });
            }
            hooks.extend(read(path)?);
        }
        Ok(hooks)
    }
}

fn read(path: PathBuf) -> Result<Option<Hook>, HookError> {
    let failed = |source| HookError::Read { path: path.clone(), source };
    let metadata = fs::metadata(&path).map_err(failed)?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(HookError::NoFile { path });
    }
    let content = fs::read_to_string(&path).map_err(failed)?;
    let objects = check(&path, &content)?;
    Ok((objects > 0).then_some(Hook { path, content }))
}

/// An object of Kubernetes, as far as every one of them is alike.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    api_version: Option<String>,
    kind: Option<String>,
}

/// Returns how many objects there are.
fn check(path: &Path, content: &str) -> Result<usize, HookError> {
    let wrong = |at: Option<serde_saphyr::Location>, problem: String| {
        let (line, column) = at.map_or((1, 1), |at| (at.line(), at.column()));
        HookError::Form { path: path.to_owned(), line, column, problem }
    };
    let documents =
        serde_saphyr::from_multiple::<Option<Spanned<Object>>>(content)
            .map_err(|error| {
                let said = error.without_snippet().to_string();
                wrong(error.location(), said)
            })?;
    let objects: Vec<_> = documents.into_iter().flatten().collect();
    for object in &objects {
        let is = |text: &Option<String>| {
            text.as_ref().is_some_and(|text| !text.trim().is_empty())
        };
        let missing = match &object.value {
            object if !is(&object.api_version) => "apiVersion",
            object if !is(&object.kind) => "kind",
            _ => continue,
        };
        let problem = format!("an object without `{missing}`");
        return Err(wrong(Some(object.referenced), problem));
    }
    Ok(objects.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "apiVersion: v1\nkind: ConfigMap\n";

    fn down(dir: &Path, cluster: Cluster) -> Result<Vec<Hook>, HookError> {
        let folder = HookFolder::open(dir).unwrap();
        folder.of(cluster, HookEvent::PreMasterDown)
    }

    #[test]
    fn general_hooks_come_first_and_those_of_others_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "k3s-pre-master-down.yml",
            "k8s-pre-master-down.yml",
            "pre-server-down.yaml",
            "pre-master-down.yml",
            "post-master-up.yml",
        ] {
            fs::write(dir.path().join(name), MANIFEST).unwrap();
        }
        let none = dir.path().join("k3s-pre-server-down.yaml");
        fs::write(none, "# none\n---\n").unwrap();
        let names = |cluster| -> Vec<String> {
            let hooks = down(dir.path(), cluster).unwrap();
            hooks.iter().map(|hook| hook.name().to_owned()).collect()
        };
        assert_eq!(
            names(Cluster::K3s),
            [
                "pre-master-down.yml",
                "pre-server-down.yaml",
                "k3s-pre-master-down.yml"
            ]
        );
        assert_eq!(names(Cluster::K8s)[2], "k8s-pre-master-down.yml");
    }

    #[test]
    fn what_is_no_manifest_is_named() {
        for (text, said) in [
            ("a: [", ":1:"),
            ("kind: x\n", "apiVersion"),
            ("---\n- a\n", ":2:"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("pre-master-down.yml");
            fs::write(&path, text).unwrap();
            let error = down(dir.path(), Cluster::K3s).unwrap_err().to_string();
            assert!(error.contains("pre-master-down.yml"), "{error}");
            assert!(error.contains(said), "{error}");
        }
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("pre-master-down.yml")).unwrap();
        assert!(down(dir.path(), Cluster::K3s).is_err());
    }
}
