//! What is in the way of taking a node down, and where nobody can say
//! whether all is well.

use super::{
    etcd::Leaver, order::is_master, plan::Planner, seen::ControlPlane,
};
use crate::inventory::{Cluster, Node};

/// Why something is not done, and what to do about it.
pub(super) type Reason = (String, String);

pub(super) fn leaver<'n>(name: &'n str, address: &'n str) -> Leaver<'n> {
    Leaver { name, address }
}

impl Planner<'_> {
    /// What is in the way, and what to do about it.
    pub(super) fn obstacle(&self, node: &Node) -> Option<Reason> {
        let (name, cluster) = (&node.name, self.cluster);
        if self.options.force {
            return None;
        }
        let hooks = &self.options.hooks;
        if let Some(hook) = hooks.first()
            && is_master(node)
            && self.seen.helpers.is_empty()
        {
            let why = format!(
                "{} is to be applied before {name} goes down, and no master \
                 of the {cluster} cluster answers",
                hook.path.display()
            );
            let hint = "--force goes on without it".to_owned();
            return Some((why, hint));
        }
        if self.whole {
            return None;
        }
        if self.helper(node).is_none() {
            let why = format!(
                "no {}master of the {cluster} cluster answers, so that {name} \
                 can be neither drained nor deleted",
                if is_master(node) { "other " } else { "" }
            );
            let hint = format!(
                "`piflash status` shows the masters; --force takes {name} \
                 down all the same"
            );
            return Some((why, hint));
        }
        if self.is_endpoint(node) && cluster == Cluster::K8s {
            let why = format!(
                "every node reaches the {cluster} cluster at the address of \
                 {name}, {}",
                node.reach()
            );
            let hint = "take the whole cluster down with --all, or use \
                        `control_plane_endpoint`; --force does it all the same";
            return Some((why, hint.to_owned()));
        }
        is_master(node).then(|| self.control_plane_obstacle(node)).flatten()
    }

    /// Why those that stay would not have a healthy control plane.
    fn control_plane_obstacle(&self, node: &Node) -> Option<Reason> {
        let name = &node.name;
        // Those that go before it are not there any more.
        let earlier = || {
            let before = self.order.iter().take_while(|n| n.name != *name);
            before.filter(|node| is_master(node))
        };
        let why = match &self.seen.control_plane {
            ControlPlane::NotAsked => return None,
            ControlPlane::Unknown(why) => {
                format!("nobody can say how etcd is ({why})")
            }
            ControlPlane::Etcd(etcd) => {
                let leaving: Vec<&str> =
                    self.targets.iter().map(String::as_str).collect();
                let etcd = earlier().fold(etcd.clone(), |etcd, node| {
                    etcd.without(leaver(&node.name, &node.reach()))
                });
                let masters = self.masters();
                etcd.mismatch(&masters, &leaving)
                    .or_else(|| etcd.obstacle(leaver(name, &node.reach())))?
            }
            ControlPlane::Servers(servers) => {
                let servers = earlier().fold(servers.clone(), |rest, node| {
                    rest.without(&node.name)
                });
                servers.obstacle(name)?
            }
        };
        let hint = format!(
            "without {name} the {} cluster might lose its control plane: see \
             to that first (`piflash status`, `piflash down` of the one that \
             is not well), or wait and run this again; --force does it all \
             the same",
            self.cluster
        );
        Some((why, hint))
    }

    /// The masters in the cluster's own list.
    fn masters(&self) -> Vec<&str> {
        let all = self.seen.registered.iter().flatten();
        all.filter(|(_, registration)| registration.master)
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// Without an endpoint of its own, a cluster is reached by the master
    /// that began it.
    pub(super) fn is_endpoint(&self, node: &Node) -> bool {
        match &self.options.endpoint {
            Some(host) => *host == node.reach() || *host == node.name,
            None => node.first_master,
        }
    }

    /// Why nobody can say whether a cluster is well without a node that is
    /// down, or will be.
    pub(super) fn doubt(&self, node: &Node) -> Option<Reason> {
        if self.whole {
            return None;
        }
        let (name, cluster) = (&node.name, self.cluster);
        let status = "`piflash status` shows the masters: power them on and \
                      run this again";
        if self.helper(node).is_none() {
            let mut why = format!(
                "no {}master of the {cluster} cluster answers: nobody can say \
                 whether it lives and {name} has left it",
                if is_master(node) { "other " } else { "" }
            );
            if !self.seen.complaints.is_empty() {
                why += &format!(" ({})", self.seen.complaints.join("; "));
            }
            return Some((why, status.to_owned()));
        }
        // Where its steps look themselves, they find it out.
        if !is_master(node) || !self.seen.is_down(name) {
            return None;
        }
        let why = match &self.seen.control_plane {
            ControlPlane::NotAsked => return None,
            ControlPlane::Unknown(why) => {
                format!("nobody can say how etcd is ({why})")
            }
            ControlPlane::Etcd(etcd) => {
                etcd.without(leaver(name, &node.reach())).trouble()?
            }
            ControlPlane::Servers(servers) => {
                servers.without(name).trouble()?
            }
        };
        Some((why, status.to_owned()))
    }
}
