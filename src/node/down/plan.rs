//! What is to be done, from what is seen. Pure: nothing is asked or changed.

use std::{collections::BTreeSet, time::Duration};

use super::{
    super::{
        answer::{Answer, Trouble},
        ssh::Failure,
    },
    gate::{Reason, leaver},
    order::{is_master, sort},
    seen::{ControlPlane, Registration, Seen},
    step::{Step, StepKind},
};
use crate::inventory::{Cluster, Hook, Node};

/// What the user wants to be done, beside the names.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where something is in the way, do it all the same.
    pub force: bool,
    /// `k3s_delete_emptydir_data`.
    pub delete_emptydir_data: bool,
    /// Draining one node takes so long at most.
    pub drain_timeout: Duration,
    /// `control_plane_endpoint`, without its port.
    pub endpoint: Option<String>,
    /// What is applied before a master goes.
    pub hooks: Vec<Hook>,
}

/// How nodes of one cluster are taken down.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The cluster.
    pub cluster: Cluster,
    /// No master is left after it.
    pub whole: bool,
    /// What is worth knowing before it is done.
    pub warnings: Vec<String>,
    /// Comes before everything else.
    pub before: Vec<Step>,
    /// The nodes, in their order.
    pub nodes: Vec<NodePlan>,
}

/// How one node is taken down.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// Its name.
    pub node: String,
    /// It runs the control plane.
    pub master: bool,
    /// Whether anything is done.
    pub verdict: Verdict,
    /// What is done.
    pub steps: Vec<Step>,
    /// Why nobody can say whether all is well after it, and what to do about
    /// it: then it is no success.
    pub doubt: Option<(String, String)>,
}

/// What a plan makes of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its steps take it down.
    Go,
    /// There is nothing to be done, because of this.
    Nothing(String),
    /// Its steps take it out of the cluster, but it cannot be reached.
    Absent(String),
    /// It must not be done: why, and what to do about it.
    Blocked(String, String),
}

impl Plan {
    /// Plans for `targets` out of `members`, which are all nodes of the
    /// cluster.
    #[must_use]
    pub fn new(
        cluster: Cluster,
        members: &[&Node],
        targets: &BTreeSet<String>,
        seen: &Seen,
        options: &Options,
    ) -> Self {
        let masters = || members.iter().filter(|node| is_master(node));
        // A master that is down already has nothing left of it.
        let whole = masters().next().is_some()
            && masters().all(|node| {
                targets.contains(&node.name) || seen.is_down(&node.name)
            });
        let mut order: Vec<&Node> = members
            .iter()
            .filter(|node| targets.contains(&node.name))
            .copied()
            .collect();
        sort(&mut order, |node| match &seen.control_plane {
            ControlPlane::Etcd(etcd) => {
                etcd.is_well(leaver(&node.name, &node.reach()))
            }
            ControlPlane::Servers(servers) => servers.is_well(&node.name),
            ControlPlane::NotAsked | ControlPlane::Unknown(_) => true,
        });
        let planner = Planner { cluster, order, targets, seen, options, whole };
        let nodes: Vec<NodePlan> =
            planner.order.iter().map(|node| planner.node(node)).collect();
        Self {
            cluster,
            whole,
            warnings: planner.warnings(members),
            before: planner.before(&nodes),
            nodes,
        }
    }

    /// Says whether anything would be done at all.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.nodes.iter().all(|node| node.steps.is_empty())
    }
}

pub(super) struct Planner<'p> {
    pub(super) cluster: Cluster,
    pub(super) order: Vec<&'p Node>,
    pub(super) targets: &'p BTreeSet<String>,
    pub(super) seen: &'p Seen,
    pub(super) options: &'p Options,
    pub(super) whole: bool,
}

impl Planner<'_> {
    /// What the cluster's list says of a node, if it is there.
    fn registered(&self, node: &Node) -> Option<Registration> {
        self.seen.registered.as_ref()?.get(&node.name).copied()
    }

    /// The master that speaks to the cluster while `node` goes down: one
    /// that stays, or else one that goes later.
    pub(super) fn helper(&self, node: &Node) -> Option<&str> {
        let helpers = || self.seen.helpers.iter().map(String::as_str);
        let stays = helpers().find(|name| !self.targets.contains(*name));
        let later = || {
            let mut later =
                self.order.iter().rev().take_while(|n| n.name != node.name);
            later.find_map(|other| helpers().find(|name| *name == other.name))
        };
        stays.or_else(later)
    }

    fn node(&self, node: &Node) -> NodePlan {
        let (verdict, steps) = self.decide(node);
        let (name, master) = (node.name.clone(), is_master(node));
        let doubt = match verdict {
            Verdict::Blocked(..) => None,
            // It is nobody's.
            Verdict::Nothing(_) if !self.seen.is_down(&name) => None,
            _ => self.doubt(node),
        };
        NodePlan { node: name, master, verdict, steps, doubt }
    }

    fn decide(&self, node: &Node) -> (Verdict, Vec<Step>) {
        let name = &node.name;
        let blocked =
            |(why, hint): Reason| (Verdict::Blocked(why, hint), Vec::new());
        let nothing =
            |why: &str| (Verdict::Nothing(why.to_owned()), Vec::new());
        let absent = match self.seen.answers.get(name) {
            None => return nothing("was not asked"),
            Some(Answer::Told(_)) => {
                if self.seen.is_down(name) && self.has_left(node) {
                    return nothing("is down already");
                }
                None
            }
            Some(Answer::Trouble(Trouble::Ssh(Failure::NeverBuilt))) => {
                return nothing("was never built here");
            }
            Some(Answer::Trouble(trouble)) if trouble.is_absence() => {
                Some(trouble.to_string())
            }
            Some(Answer::Trouble(trouble)) => {
                let hint = trouble.hint(name).unwrap_or_else(|| {
                    format!("ssh to {name} and see; then run this again")
                });
                return blocked((trouble.to_string(), hint));
            }
        };
        if let Some(reason) = self.obstacle(node) {
            return blocked(reason);
        }
        let steps = self.steps(node, absent.is_none());
        (absent.map_or(Verdict::Go, Verdict::Absent), steps)
    }

    /// Says whether nothing in the cluster is left of a node, as far as
    /// anybody says so.
    fn has_left(&self, node: &Node) -> bool {
        let is_member = match &self.seen.control_plane {
            ControlPlane::Etcd(etcd) => {
                etcd.member(leaver(&node.name, &node.reach())).is_some()
            }
            _ => false,
        };
        self.registered(node).is_none() && (self.whole || !is_member)
    }

    fn steps(&self, node: &Node, present: bool) -> Vec<Step> {
        let name = &node.name;
        let state = self.seen.state(name).unwrap_or_default();
        let helper = self.helper(node);
        let uninstall = present && state != "down";
        // The last one speaks for itself, as long as it is there.
        let own = || self.seen.helpers.contains(name).then_some(&**name);
        let drain = helper
            .or_else(own)
            // Pods of a node that is gone would never end.
            .filter(|_| self.registered(node).is_some_and(|node| node.ready))
            .filter(|_| state != "down" && state != "going down")
            .map(|on| self.drain(on, name));
        let mut steps: Vec<Step> = drain.into_iter().collect();
        match (self.cluster, helper) {
            (Cluster::K8s, Some(on)) if is_master(node) => {
                self.leave_kubeadm(node, on, uninstall, &mut steps);
            }
            _ => self.leave(node, helper, uninstall, &mut steps),
        }
        steps
    }

    /// kubeadm looks for the node in the cluster's list and for its member
    /// in etcd, so that both go after the uninstall; but where kubeadm does
    /// not find the way to etcd it wipes the member's data all the same, and
    /// of two members the other has no quorum then. So the member is taken
    /// out of etcd first, by a master that stays.
    fn leave_kubeadm(
        &self,
        node: &Node,
        on: &str,
        uninstall: bool,
        steps: &mut Vec<Step>,
    ) {
        let name = &node.name;
        let must = !self.whole && !self.options.force;
        steps.push(Step { must, ..Step::etcd_member(on, node) });
        if uninstall {
            steps.push(Step::uninstall(name));
        }
        if self.whole {
            steps.push(Step { must, ..Step::delete(on, name) });
            return;
        }
        steps.push(Step { must, ..Step::etcd_health(on, node) });
        steps.push(Step { must, ..Step::delete(on, name) });
        steps.push(Step::etcd_health(on, node));
        steps.push(Step::nodes(StepKind::Gone, on, name));
    }

    /// A worker, or a server of k3s, whose member leaves etcd with its Node,
    /// before the server stops.
    fn leave(
        &self,
        node: &Node,
        helper: Option<&str>,
        uninstall: bool,
        steps: &mut Vec<Step>,
    ) {
        let name = &node.name;
        let server = is_master(node)
            && !self.whole
            && matches!(
                &self.seen.control_plane,
                ControlPlane::Servers(servers) if servers.have_etcd()
            );
        let must = !self.options.force;
        let look = |kind, on: &str| Step::servers(kind, on, name);
        if let Some(on) = helper
            && self.registered(node).is_some()
        {
            if server {
                let step = look(StepKind::Servers, on);
                steps.push(Step { must, ..step });
            }
            steps.push(Step::delete(on, name));
            if server {
                let step = look(StepKind::ServersHealth, on);
                steps.push(Step { must, ..step });
            }
        }
        if uninstall {
            steps.push(Step::uninstall(name));
            // Its kubelet may have registered it anew meanwhile.
            steps.extend(helper.map(|on| Step::delete(on, name)));
        }
        if let Some(on) = helper
            && is_master(node)
            && !self.whole
        {
            steps.extend(server.then(|| look(StepKind::ServersHealth, on)));
            steps.push(Step::nodes(StepKind::Gone, on, name));
        }
    }

    fn drain(&self, on: &str, name: &str) -> Step {
        let rough = self.options.force || self.whole;
        let more: &[&str] = if rough {
            // Pods have nowhere to go, or no choice.
            &["--delete-emptydir-data", "--force", "--disable-eviction"]
        } else if self.options.delete_emptydir_data {
            &["--delete-emptydir-data"]
        } else {
            &[]
        };
        let timeout = self.options.drain_timeout;
        Step { must: !rough, ..Step::drain(on, name, timeout, more) }
    }

    fn before(&self, nodes: &[NodePlan]) -> Vec<Step> {
        // The one that is there the longest.
        let stays =
            self.seen.helpers.iter().find(|name| !self.targets.contains(*name));
        let last = || {
            let mut names = self.order.iter().rev().map(|node| &node.name);
            names.find(|name| self.seen.helpers.contains(name))
        };
        let Some(on) = stays.or_else(last) else { return Vec::new() };
        let busy = |node: &&NodePlan| !node.steps.is_empty();
        let mut steps = Vec::new();
        if nodes.iter().filter(busy).any(|node| node.master) {
            for hook in &self.options.hooks {
                let must = !self.options.force;
                steps.push(Step { must, ..Step::hook(on, hook) });
            }
        }
        // So that no pod moves to a node that goes next.
        let drained: Vec<&str> = nodes
            .iter()
            .filter(|n| n.steps.iter().any(|s| s.kind == StepKind::Drain))
            .map(|node| &*node.node)
            .collect();
        if drained.len() > 1 {
            let args = std::iter::once("cordon").chain(drained);
            let step = Step::kubectl(StepKind::Cordon, on, on, args);
            steps.push(Step { must: !self.whole, ..step });
        }
        steps
    }

    fn warnings(&self, members: &[&Node]) -> Vec<String> {
        let cluster = self.cluster;
        let mut warnings = Vec::new();
        if self.whole {
            let left: Vec<&str> = members
                .iter()
                .map(|node| &*node.name)
                .filter(|name| !self.targets.contains(*name))
                .collect();
            if !left.is_empty() {
                warnings.push(format!(
                    "the {cluster} cluster goes down with its masters, and {} \
                     will have none left",
                    left.join(", ")
                ));
            }
        } else if let Some(node) =
            self.order.iter().find(|n| is_master(n) && self.is_endpoint(n))
        {
            warnings.push(format!(
                "{} is where new nodes and build/{cluster}-config.yml reach \
                 the {cluster} cluster: build them anew with another first \
                 master or a `control_plane_endpoint`",
                node.name
            ));
        }
        if self.seen.registered.is_none() {
            let why = match self.seen.complaints.join("; ") {
                none if none.is_empty() => String::new(),
                why => format!(" ({why})"),
            };
            warnings.push(format!(
                "no master of the {cluster} cluster answers{why}: nothing can \
                 be drained, deleted or applied"
            ));
        }
        warnings
    }
}
