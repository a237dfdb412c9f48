//! One command on one node.

use std::{fmt, time::Duration};

use super::super::ssh::{Request, quoted};
use crate::inventory::{Hook, Node};

/// An answer that is longer is none: kubectl names every pod that it moves.
const MOST: u64 = 4 << 20;
/// What takes no time by itself takes this long at most.
pub(super) const SHORT: Duration = Duration::from_secs(180);
/// Stopping and removing everything, on a slow card.
const LONG: Duration = Duration::from_secs(1800);
/// By which a member of kubeadm's etcd is asked and removed: etcd's own
/// tool, in its pod, with the certificates that kubeadm gives it.
const ETCDCTL: [&str; 6] = [
    "--",
    "etcdctl",
    "--endpoints=https://127.0.0.1:2379",
    "--cacert=/etc/kubernetes/pki/etcd/ca.crt",
    "--cert=/etc/kubernetes/pki/etcd/server.crt",
    "--key=/etc/kubernetes/pki/etcd/server.key",
];

/// What a step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// Applies a manifest of the user's.
    Hook,
    /// Keeps new pods away.
    Cordon,
    /// Moves pods elsewhere, or ends them.
    Drain,
    /// Takes the node out of the cluster's list.
    Delete,
    /// Takes the node's member out of kubeadm's etcd, where that leaves a
    /// healthy one.
    EtcdMember,
    /// Waits until kubeadm's etcd is healthy without the node.
    EtcdHealth,
    /// Looks whether k3s' servers can do without the node.
    Servers,
    /// Waits until k3s' servers are well without the node.
    ServersHealth,
    /// Waits until the API answers and no longer lists the node.
    Gone,
    /// Takes everything of the cluster off the node.
    Uninstall,
}

/// A command to run on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it is for.
    pub kind: StepKind,
    /// The node that runs it.
    pub on: String,
    /// The node that it is about.
    pub about: String,
    /// Where others reach that node.
    pub address: String,
    /// Its words.
    pub args: Vec<String>,
    /// Its standard input.
    pub input: Option<Hook>,
    /// All of it takes so long at most.
    pub limit: Duration,
    /// If it fails, what comes after it is not done.
    pub must: bool,
}

impl Step {
    /// kubectl on a master, about a node.
    pub(super) fn kubectl<'a>(
        kind: StepKind,
        on: &str,
        about: &str,
        args: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let kubectl = ["sudo", "-n", "piflash-node", "kubectl"];
        let args = kubectl.into_iter().chain(args).map(str::to_owned);
        Self {
            kind,
            on: on.to_owned(),
            about: about.to_owned(),
            address: String::new(),
            args: args.collect(),
            input: None,
            limit: SHORT,
            must: true,
        }
    }

    pub(super) fn hook(on: &str, hook: &Hook) -> Self {
        let args = ["apply", "--filename=-"];
        let step = Self::kubectl(StepKind::Hook, on, on, args);
        Self { input: Some(hook.clone()), ..step }
    }

    pub(super) fn drain(
        on: &str,
        about: &str,
        timeout: Duration,
        more: &[&str],
    ) -> Self {
        let wait = format!("--timeout={}s", timeout.as_secs());
        let args = ["drain", about, "--ignore-daemonsets", &wait];
        let args = args.into_iter().chain(more.iter().copied());
        let step = Self::kubectl(StepKind::Drain, on, about, args);
        // kubectl ends by itself, and says why.
        Self { limit: timeout.saturating_add(SHORT), ..step }
    }

    pub(super) fn delete(on: &str, about: &str) -> Self {
        let args =
            ["delete", "node", about, "--ignore-not-found", "--timeout=120s"];
        Self::kubectl(StepKind::Delete, on, about, args)
    }

    pub(super) fn uninstall(node: &str) -> Self {
        let args = ["sudo", "-n", "piflash-node", "down"];
        Self {
            kind: StepKind::Uninstall,
            on: node.to_owned(),
            about: node.to_owned(),
            address: String::new(),
            args: args.map(str::to_owned).to_vec(),
            input: None,
            limit: LONG,
            must: true,
        }
    }

    /// Lists the members of etcd on a master that stays; [`Step::remove`]
    /// follows if the node is one of them and may leave.
    pub(super) fn etcd_member(on: &str, about: &Node) -> Self {
        let words = ["member", "list", "--write-out=json"];
        let step = Self::etcdctl(StepKind::EtcdMember, on, &about.name, &words);
        Self { address: about.reach(), ..step }
    }

    /// Asks all members of etcd how they are.
    pub(super) fn etcd_health(on: &str, about: &Node) -> Self {
        let step = Self::health(on, &about.name);
        Self { address: about.reach(), ..step }
    }

    /// The list of members, for a step about etcd.
    pub(super) fn members(on: &str) -> Self {
        let words = ["member", "list", "--write-out=json"];
        Self::etcdctl(StepKind::EtcdHealth, on, on, &words)
    }

    /// Their health, likewise.
    pub(super) fn health(on: &str, about: &str) -> Self {
        let words = ["endpoint", "health", "--cluster", "--write-out=json"];
        Self::etcdctl(StepKind::EtcdHealth, on, about, &words)
    }

    /// Removes the member that this step has found.
    pub(super) fn remove(&self, id: &str) -> Self {
        let words = ["member", "remove", id];
        Self::etcdctl(self.kind, &self.on, &self.about, &words)
    }

    /// Asks a master for all Nodes, with all that k3s wrote onto them.
    pub(super) fn servers(kind: StepKind, on: &str, about: &str) -> Self {
        let args = ["get", "nodes", "--output=json", "--request-timeout=20s"];
        Self::kubectl(kind, on, about, args)
    }

    /// Asks a master which nodes are registered.
    pub(super) fn nodes(kind: StepKind, on: &str, about: &str) -> Self {
        let args = ["get", "nodes", "--no-headers", "--request-timeout=20s"];
        Self::kubectl(kind, on, about, args)
    }

    fn etcdctl(kind: StepKind, on: &str, about: &str, words: &[&str]) -> Self {
        let pod = format!("etcd-{on}");
        let args = ["--namespace=kube-system", "exec", &pod];
        let args = args.into_iter().chain(ETCDCTL);
        let args = args.chain(words.iter().copied());
        Self::kubectl(kind, on, about, args)
    }

    /// The command, for a shell.
    pub(super) fn script(&self) -> String {
        let words: Vec<String> =
            self.args.iter().map(|word| quoted(word)).collect();
        words.join(" ")
    }

    pub(super) fn request<'a>(&'a self, script: &'a str) -> Request<'a> {
        let input = self.input.as_ref().map(|hook| hook.content.as_bytes());
        Request {
            script,
            input: input.unwrap_or_default(),
            limit: self.limit,
            most: MOST,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on {}: {}", self.on, self.script())?;
        if let Some(hook) = &self.input {
            write!(f, " <{}", hook.path.display())?;
        }
        match self.kind {
            StepKind::EtcdMember => {
                write!(f, ", and `member remove` of {}", self.about)
            }
            StepKind::EtcdHealth
            | StepKind::Servers
            | StepKind::ServersHealth
            | StepKind::Gone => f.write_str(" (a check)"),
            _ if !self.must => f.write_str(" (whether it works or not)"),
            _ => Ok(()),
        }
    }
}
