//! What one node may know: its own secrets, and of its cluster's only those
//! without which it could not do its part.

use super::{
    Files, HostKeys, K3s, K8s, Secret, Store, StoreError, StoreErrorKind,
};
use crate::inventory::Node;

/// What only one node may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeIdentity {
    /// The keys by which the node's sshd proves itself.
    pub host_keys: HostKeys,
    /// What makes it a member of its cluster, where it is one.
    pub membership: Option<Membership>,
    /// The day on which its cluster was first seen at work, where it was.
    pub cluster_seen: Option<String>,
}

/// What makes a node a member of its cluster, by its part in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// A server of k3s.
    K3sServer {
        /// With which servers join.
        server_token: Secret,
        /// With which agents join.
        agent_token: Secret,
        /// What binds the node's name to this card.
        node_password: Secret,
        /// What `/var/lib/rancher/k3s/server/tls` holds before the first
        /// start, by paths below it: only on the server that begins the
        /// cluster, from which the others get it.
        tls: Files,
    },
    /// An agent of k3s.
    K3sAgent {
        /// With which agents join.
        agent_token: Secret,
        /// What binds the node's name to this card.
        node_password: Secret,
    },
    /// A member of a k3s cluster that somebody else began.
    K3sForeign {
        /// What binds the node's name to this card.
        node_password: Secret,
    },
    /// A control-plane node of kubeadm.
    K8sMaster {
        /// With which nodes join.
        bootstrap_token: Secret,
        /// An entry of `caCertHashes`.
        ca_digest: String,
        /// What `/etc/kubernetes/pki` holds before `kubeadm`, by paths below
        /// it.
        pki: Files,
    },
    /// A worker of kubeadm.
    K8sWorker {
        /// With which nodes join.
        bootstrap_token: Secret,
        /// An entry of `caCertHashes`.
        ca_digest: String,
    },
}

impl NodeIdentity {
    /// Loads what `node` has of its own, and makes what it lacks.
    ///
    /// # Errors
    /// Names the file that cannot be read, written or believed.
    pub fn load_or_make(
        store: &Store,
        node: &Node,
    ) -> Result<Self, StoreError> {
        let host_keys = HostKeys::load_or_make(store, &node.name)?;
        Ok(Self { host_keys, membership: None, cluster_seen: None })
    }
}

impl Membership {
    /// Returns what a k3s server may know. The first of them begins the
    /// cluster.
    ///
    /// # Errors
    /// As [`NodeIdentity::load_or_make`].
    pub fn k3s_server(
        store: &Store,
        node: &Node,
        cluster: &K3s,
    ) -> Result<Self, StoreError> {
        Ok(Self::K3sServer {
            server_token: cluster.server_token(),
            agent_token: cluster.agent_token(),
            node_password: node_password(store, &node.name)?,
            tls: match node.first_master {
                true => cluster.server_tls(),
                false => Files::new(),
            },
        })
    }

    /// Returns what a k3s agent may know.
    ///
    /// # Errors
    /// As [`NodeIdentity::load_or_make`].
    pub fn k3s_agent(
        store: &Store,
        node: &Node,
        cluster: &K3s,
    ) -> Result<Self, StoreError> {
        Ok(Self::K3sAgent {
            agent_token: cluster.agent_token(),
            node_password: node_password(store, &node.name)?,
        })
    }

    /// Returns what a member of a foreign k3s cluster has of its own.
    ///
    /// # Errors
    /// As [`NodeIdentity::load_or_make`].
    pub fn k3s_foreign(store: &Store, node: &Node) -> Result<Self, StoreError> {
        let node_password = node_password(store, &node.name)?;
        Ok(Self::K3sForeign { node_password })
    }

    /// Returns what a control-plane node of kubeadm may know.
    #[must_use]
    pub fn k8s_master(cluster: &K8s) -> Self {
        Self::K8sMaster {
            bootstrap_token: cluster.bootstrap_token().clone(),
            ca_digest: cluster.ca_digest(),
            pki: cluster.pki(),
        }
    }

    /// Returns what a worker of kubeadm may know.
    #[must_use]
    pub fn k8s_worker(cluster: &K8s) -> Self {
        Self::K8sWorker {
            bootstrap_token: cluster.bootstrap_token().clone(),
            ca_digest: cluster.ca_digest(),
        }
    }
}

/// The password that a k3s node tells with its name: a server believes
/// nobody else's claim to that name afterwards.
fn node_password(store: &Store, node: &str) -> Result<Secret, StoreError> {
    let name = format!("nodes/{node}/k3s-node-password");
    let content = store.load_or_make(&name, || {
        Ok(format!("{}\n", Secret::random_hex(16).reveal()).into_bytes())
    })?;
    let text = String::from_utf8(content).unwrap_or_default();
    let password = text.trim_end();
    let is_ours = password.len() == 32
        && password.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_ours {
        let what = "it is not 32 digits of hex".to_owned();
        return Err(StoreErrorKind::Damaged(what).at(&store.path(&name)));
    }
    Ok(Secret::new(password))
}
