//! What templates see as `identity`: the secrets that this node may know,
//! and no other. Without an identity they are empty: what is made of them is
//! masked where such a plan is shown.

use std::collections::BTreeMap;

use minijinja::{Value, context};

use crate::{
    identity::{
        Files, HostKey, HostKeys, K3s, K8s, Membership, NodeIdentity, Secret,
    },
    inventory::{Cluster, Node, RoleKind},
};

pub(super) fn value(
    node: &Node,
    foreign: bool,
    identity: Option<&NodeIdentity>,
) -> Value {
    let key = |of: fn(&HostKeys) -> &HostKey| {
        let key = identity.map(|identity| of(&identity.host_keys));
        context! {
            private => key.map(HostKey::private).unwrap_or_default(),
            public => key.map(HostKey::public).unwrap_or_default(),
        }
    };
    let own = context! {
        ssh_host_ed25519 => key(|keys| &keys.ed25519),
        ssh_host_ecdsa => key(|keys| &keys.ecdsa),
    };
    let member = match identity.and_then(|it| it.membership.as_ref()) {
        Some(membership) => of_member(membership),
        None => to_be_made(node, foreign),
    };
    context! { ..own, ..member }
}

fn of_member(membership: &Membership) -> Value {
    let text = Secret::reveal;
    match membership {
        Membership::K3sServer {
            server_token,
            agent_token,
            node_password,
            tls,
        } => context! { k3s => context! {
            server_token => text(server_token),
            agent_token => text(agent_token),
            node_password => text(node_password),
            tls => files(tls),
        } },
        Membership::K3sAgent { agent_token, node_password } => {
            context! { k3s => context! {
                agent_token => text(agent_token),
                node_password => text(node_password),
            } }
        }
        Membership::K3sForeign { node_password } => {
            let node_password = text(node_password);
            context! { k3s => context! { node_password } }
        }
        Membership::K8sMaster { bootstrap_token, ca_digest, pki } => {
            context! { k8s => context! {
                bootstrap_token => text(bootstrap_token),
                ca_digest,
                pki => files(pki),
            } }
        }
        Membership::K8sWorker { bootstrap_token, ca_digest } => {
            context! { k8s => context! {
                bootstrap_token => text(bootstrap_token),
                ca_digest,
            } }
        }
    }
}

fn files(files: &Files) -> BTreeMap<&'static str, String> {
    let text = |(path, text): (&&'static str, &Secret)| {
        (*path, text.reveal().to_owned())
    };
    files.iter().map(text).collect()
}

/// The same names, without what they hold.
fn to_be_made(node: &Node, foreign: bool) -> Value {
    let Some(role) = node.role else { return context! {} };
    let none = Secret::new("");
    let empty = |names: &mut dyn Iterator<Item = &'static str>| {
        names.map(|name| (name, none.clone())).collect::<Files>()
    };
    of_member(&match (role.cluster, role.kind) {
        (Cluster::K3s, _) if foreign => {
            Membership::K3sForeign { node_password: none }
        }
        (Cluster::K3s, RoleKind::Master) => Membership::K3sServer {
            tls: match node.first_master {
                true => empty(&mut K3s::server_tls_names()),
                false => Files::new(),
            },
            server_token: none.clone(),
            agent_token: none.clone(),
            node_password: none,
        },
        (Cluster::K3s, RoleKind::Worker) => Membership::K3sAgent {
            agent_token: none.clone(),
            node_password: none,
        },
        (Cluster::K8s, RoleKind::Master) => Membership::K8sMaster {
            pki: empty(&mut K8s::pki_names()),
            bootstrap_token: none,
            ca_digest: String::new(),
        },
        (Cluster::K8s, RoleKind::Worker) => Membership::K8sWorker {
            bootstrap_token: none,
            ca_digest: String::new(),
        },
    })
}
