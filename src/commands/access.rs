//! The identity of nodes that are built, and what their owner's ssh needs to
//! know of it: `known_hosts` and `ssh_config` beside `images/`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::error::{CommandError, Result};
use crate::{
    base::whole,
    identity::{
        self, HostKeys, NodeIdentity, Store, StoreError, StoreErrorKind,
    },
    inventory::Node,
};

/// The secrets of a build directory, and the files that tell of them.
pub(super) struct Access {
    build_dir: PathBuf,
    store: Store,
}

impl Access {
    pub(super) fn new(build_dir: &Path) -> Self {
        let store = Store::new(build_dir.join("secrets"));
        Self { build_dir: build_dir.to_owned(), store }
    }

    /// Takes the secrets as they are: none is ever made.
    pub(super) fn existing(build_dir: &Path) -> Self {
        let store = Store::complete(build_dir.join("secrets"));
        Self { build_dir: build_dir.to_owned(), store }
    }

    /// Loads a node's identity; makes what is missing of it.
    pub(super) fn identity(&self, node: &Node) -> Result<NodeIdentity> {
        NodeIdentity::load_or_make(&self.store, node)
            .map_err(|error| store_error(&node.name, &error))
    }

    /// Writes `known_hosts` and `ssh_config` anew, with `nodes` and their
    /// accounts in them. Nodes that are not built now keep their lines.
    pub(super) fn write(
        &self,
        nodes: &[(&Node, &HostKeys, &str)],
    ) -> Result<()> {
        // Two builds at the same time each add theirs.
        let _locked =
            self.store.lock().map_err(|e| store_error("its nodes", &e))?;
        let has_keys =
            |name: &str| self.store.path(&format!("nodes/{name}")).is_dir();

        let path = self.build_dir.join("known_hosts");
        let keys: Vec<_> = nodes.iter().map(|(n, k, _)| (*n, *k)).collect();
        let before = read(&path)?;
        let text = identity::known_hosts(&before, &keys, has_keys);
        replace(&path, &before, &text)?;

        // ssh resolves names against the directory that it is started in.
        let absolute = fs::canonicalize(&path).map_err(|e| {
            CommandError::failed(format!("cannot find {}", path.display()), &e)
        })?;
        let path = self.build_dir.join("ssh_config");
        let users: Vec<_> = nodes.iter().map(|(n, _, a)| (*n, *a)).collect();
        let before = read(&path)?;
        let text = identity::ssh_config(&before, &users, &absolute, has_keys)
            .map_err(|e| {
            let what = format!("cannot write {}", path.display());
            CommandError::failed(what, &e)
                .hint("build in another directory: --build-dir")
        })?;
        replace(&path, &before, &text)
    }
}

fn read(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(e) => {
            let what = format!("cannot read {}", path.display());
            Err(CommandError::failed(what, &e)
                .hint("remove it: a build writes it anew"))
        }
    }
}

fn replace(path: &Path, before: &str, text: &str) -> Result<()> {
    // Written where it is missing, even if there is nothing to say.
    if text == before && path.exists() {
        return Ok(());
    }
    whole::write(path, text.as_bytes()).map_err(|e| {
        CommandError::failed(format!("cannot write {}", path.display()), &e)
    })
}

fn store_error(whose: &str, error: &StoreError) -> CommandError {
    let what = match error.kind {
        StoreErrorKind::Io { .. } | StoreErrorKind::Make(_) => {
            format!("cannot keep the identity of {whose}")
        }
        _ => format!("the identity of {whose} is not usable as it is"),
    };
    CommandError::failed(what, error).hint(error.hint())
}
