//! Manifests of the user's that are applied before a master goes down.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::inventory::Cluster;

/// No manifest is larger, in bytes: kubectl and etcd take less.
const LARGEST: u64 = 4 << 20;

/// A file of `hooks_dir`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Its path.
    pub path: PathBuf,
    /// Its manifests, as they are.
    pub content: String,
}

/// Why a hook cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// It cannot be read.
    #[error("cannot read {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no YAML.
    #[error("{} is no list of manifests: {why}", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, with the line.
        why: String,
    },
}

/// Reads what is to be applied before masters of `cluster` go down: the
/// general hooks, then those of the kind of cluster. `pre-server-down` is
/// how the playbooks came to call it later.
///
/// # Errors
/// If one that is there cannot be used.
pub fn pre_master_down(
    dir: &Path,
    cluster: Cluster,
) -> Result<Vec<Hook>, HookError> {
    let mut hooks = Vec::new();
    for prefix in [String::new(), format!("{cluster}-")] {
        for event in ["pre-master-down", "pre-server-down"] {
            for suffix in ["yml", "yaml"] {
                let path = dir.join(format!("{prefix}{event}.{suffix}"));
                hooks.extend(read(&path)?);
            }
        }
    }
    Ok(hooks)
}

fn read(path: &Path) -> Result<Option<Hook>, HookError> {
    let io = |source| HookError::Io { path: path.to_owned(), source };
    let form = |why| HookError::Form { path: path.to_owned(), why };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
    };
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(form(format!("it is no file of up to {LARGEST} bytes")));
    }
    let content = fs::read_to_string(path).map_err(io)?;
    let documents: Vec<Option<serde_json::Value>> =
        serde_saphyr::from_multiple(&content)
            .map_err(|error| form(error.to_string()))?;
    let mut objects = 0_usize;
    for document in documents.iter().flatten() {
        let has = |key| document.get(key).is_some_and(|v| v.is_string());
        if !(has("apiVersion") && has("kind")) {
            return Err(form(
                "a document without `apiVersion` and `kind`".to_owned(),
            ));
        }
        objects = objects.saturating_add(1);
    }
    // kubectl takes one without objects for an error.
    let hook = Hook { path: path.to_owned(), content };
    Ok((objects > 0).then_some(hook))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "apiVersion: v1\nkind: ConfigMap\n";

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
        fs::write(dir.path().join("pre-master-down.yaml"), "# none\n").unwrap();
        let names = |cluster| -> Vec<String> {
            let hooks = pre_master_down(dir.path(), cluster).unwrap();
            let names = hooks.iter().map(|hook| hook.path.file_name().unwrap());
            names.map(|name| name.to_str().unwrap().to_owned()).collect()
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
        let none = pre_master_down(&dir.path().join("no"), Cluster::K3s);
        assert_eq!(none.unwrap(), []);
    }

    #[test]
    fn what_is_no_manifest_is_named() {
        for (text, said) in [
            ("a: [", "line"),
            ("kind: x\n", "apiVersion"),
            ("---\n- a\n", "apiVersion"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("pre-master-down.yml");
            fs::write(&path, text).unwrap();
            let error = pre_master_down(dir.path(), Cluster::K3s).unwrap_err();
            let error = error.to_string();
            assert!(error.contains("pre-master-down.yml"), "{error}");
            assert!(error.contains(said), "{error}");
        }
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("pre-master-down.yml")).unwrap();
        assert!(pre_master_down(dir.path(), Cluster::K3s).is_err());
    }
}
