//! Certificates of nodes that end soon, and what renews them.

use crate::{
    inventory::{Cluster, Node, RoleKind},
    node::CertificateEnd,
};

/// Days before the end from which people are told.
const SOON: i64 = 60;

/// Says that a node's certificate ends soon, or is over, and what renews it.
pub(super) fn note(node: &Node, first: &CertificateEnd) -> Option<String> {
    if first.days >= SOON {
        return None;
    }
    let when = match first.days {
        ..0 => "is over since".to_owned(),
        days => format!("ends in {days} days, at"),
    };
    Some(format!(
        "{}: {} {when} {}\n    {}",
        node.name,
        first.file,
        first.end,
        renewal(node, &first.file)
    ))
}

fn renewal(node: &Node, file: &str) -> String {
    let name = &node.name;
    if file.ends_with("ca.crt") {
        return "it is an authority of the cluster, with which all of its \
                certificates end: Kubernetes calls what is to be done manual \
                rotation of CA certificates"
            .to_owned();
    }
    if file.starts_with("/var/lib/kubelet/") {
        return format!(
            "the kubelet has failed to renew it: `ssh -F build/ssh_config \
             {name} sudo journalctl -u kubelet` says why"
        );
    }
    let Some(role) = node.role else { return String::new() };
    match (role.cluster, role.kind) {
        (Cluster::K8s, _) => format!(
            "`ssh -F build/ssh_config {name} sudo kubeadm certs renew all` \
             renews it, then reboot the node; one master after the other"
        ),
        (Cluster::K3s, kind) => format!(
            "k3s renews it when it starts: `ssh -F build/ssh_config {name} \
             sudo systemctl restart {}`",
            if kind == RoleKind::Master { "k3s" } else { "k3s-agent" }
        ),
    }
}
