//! The identity of nodes that are built, and what their owner's programs need
//! to know of it: `known_hosts`, `ssh_config` and the kubeconfigs beside
//! `images/`.

use std::{
    cell::OnceCell,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    error::{CommandError, Result},
    secrets::{self, SecretsArgs},
};
use crate::{
    base::whole,
    identity::{
        self, HostKeys, K3s, K8s, Kept, Membership, NodeIdentity, Store,
        StoreError, StoreErrorKind,
    },
    inventory::{Cluster as Kind, Node, RoleKind},
    plan::Cluster,
    ui::Ui,
};

/// The secrets of a build directory, and the files that tell of them.
pub(super) struct Access {
    build_dir: PathBuf,
    store: Store,
    /// Of the build, in seconds since 1970.
    time: i64,
    k3s: OnceCell<K3s>,
    k8s: OnceCell<K8s>,
}

impl Access {
    pub(super) fn new(
        build_dir: &Path,
        secrets: &SecretsArgs,
        time: i64,
    ) -> Result<Self> {
        let dir = secrets.dir(build_dir)?;
        secrets.remember(build_dir)?;
        Ok(Self::of(Store::new(dir), build_dir, time))
    }

    /// Takes the secrets where the last build has left them.
    pub(super) fn noted(build_dir: &Path, time: i64) -> Result<Self> {
        let dir = secrets::noted(build_dir)?;
        Ok(Self::of(Store::new(dir), build_dir, time))
    }

    fn of(store: Store, build_dir: &Path, time: i64) -> Self {
        Self {
            build_dir: build_dir.to_owned(),
            store,
            time,
            k3s: OnceCell::new(),
            k8s: OnceCell::new(),
        }
    }

    /// Takes the secrets as they are: none is ever made.
    pub(super) fn existing(
        build_dir: &Path,
        secrets: &SecretsArgs,
        time: i64,
    ) -> Result<Self> {
        let dir = secrets.dir(build_dir)?;
        Ok(Self::of(Store::complete(dir), build_dir, time))
    }

    /// Loads a node's identity, and of its cluster what it may know; makes
    /// what is missing of either.
    pub(super) fn identity(
        &self,
        node: &Node,
        cluster: Option<&Cluster>,
    ) -> Result<NodeIdentity> {
        let failed = |error| store_error(&node.name, &error);
        let mut identity =
            NodeIdentity::load_or_make(&self.store, node).map_err(failed)?;
        let (Some(role), Some(cluster)) = (node.role, cluster) else {
            return Ok(identity);
        };
        let store = &self.store;
        let membership = match (role.cluster, role.kind) {
            (Kind::K3s, _) if cluster.foreign => {
                Membership::k3s_foreign(store, node).map_err(failed)?
            }
            (Kind::K3s, RoleKind::Master) => {
                Membership::k3s_server(store, node, self.k3s()?)
                    .map_err(failed)?
            }
            (Kind::K3s, RoleKind::Worker) => {
                Membership::k3s_agent(store, node, self.k3s()?)
                    .map_err(failed)?
            }
            (Kind::K8s, RoleKind::Master) => {
                Membership::k8s_master(self.k8s()?)
            }
            (Kind::K8s, RoleKind::Worker) => {
                Membership::k8s_worker(self.k8s()?)
            }
        };
        identity.membership = Some(membership);
        if !cluster.foreign {
            let dir = cluster.kind.to_string();
            identity.cluster_seen = store.seen(&dir).map_err(failed)?;
        }
        Ok(identity)
    }

    /// Forgets that a cluster was ever seen at work; returns whether it was.
    pub(super) fn forget_seen(&self, cluster: Kind) -> Result<bool> {
        let whose = format!("the {cluster} cluster");
        self.store
            .forget_seen(&cluster.to_string())
            .map_err(|error| store_error(&whose, &error))
    }

    /// Notes that a cluster was seen at work: from now on no card begins it
    /// anew. That it cannot be noted is worth a word, and no more.
    pub(super) fn note_seen(&self, cluster: Kind, ui: &Ui) {
        let noted = self.store.note_seen(&cluster.to_string(), self.time);
        if let Err(error) = noted {
            ui.warn(&format!(
                "cannot note that the {cluster} cluster is at work ({error}): \
                 a new card of its first master might begin another one"
            ));
        }
    }

    fn k3s(&self) -> Result<&K3s> {
        self.kept(&self.k3s, "the k3s cluster")
    }

    fn k8s(&self) -> Result<&K8s> {
        self.kept(&self.k8s, "the k8s cluster")
    }

    fn kept<'a, K: Kept>(
        &self,
        cell: &'a OnceCell<K>,
        whose: &str,
    ) -> Result<&'a K> {
        if let Some(kept) = cell.get() {
            return Ok(kept);
        }
        let kept = K::load_or_make(&self.store, self.time)
            .map_err(|error| store_error(whose, &error))?;
        Ok(cell.get_or_init(|| kept))
    }

    /// Writes the kubeconfig of a cluster, for its owner alone.
    pub(super) fn write_kubeconfig(&self, cluster: &Cluster) -> Result<()> {
        if cluster.foreign {
            return Ok(());
        }
        let name = cluster.kind.to_string();
        let (authority, admin) = match cluster.kind {
            Kind::K3s => {
                let k3s = self.k3s()?;
                (k3s.server_ca(), k3s.admin())
            }
            Kind::K8s => {
                let k8s = self.k8s()?;
                (k8s.ca(), k8s.admin())
            }
        };
        let server = format!("https://{}", cluster.endpoint());
        let text = identity::kubeconfig(&name, &server, authority, admin);
        let path = secrets::kubeconfig_path(&self.build_dir, cluster.kind)?;
        whole::write(&path, text.reveal().as_bytes()).map_err(|e| {
            CommandError::failed(format!("cannot write {}", path.display()), &e)
        })
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
