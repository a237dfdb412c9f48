//! What is to be done, from what is seen. Pure: nothing is asked or changed.

use std::{collections::BTreeSet, time::Duration};

use super::{
    super::{
        answer::{Answer, Trouble},
        ssh::Failure,
    },
    order::{is_master, sort},
    seen::Seen,
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
        let whole = masters().next().is_some()
            && masters().all(|node| targets.contains(&node.name));
        let mut order: Vec<&Node> = members
            .iter()
            .filter(|node| targets.contains(&node.name))
            .copied()
            .collect();
        sort(&mut order);
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

struct Planner<'p> {
    cluster: Cluster,
    order: Vec<&'p Node>,
    targets: &'p BTreeSet<String>,
    seen: &'p Seen,
    options: &'p Options,
    whole: bool,
}

impl Planner<'_> {
    /// Says whether a node is registered, and then whether it is ready.
    fn registered(&self, node: &Node) -> Option<bool> {
        self.seen.registered.as_ref()?.get(&node.name).copied()
    }

    /// The master that speaks to the cluster while `node` goes down: one
    /// that stays, or else one that goes later.
    fn helper(&self, node: &Node) -> Option<&str> {
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
        NodePlan { node: name, master, verdict, steps }
    }

    fn decide(&self, node: &Node) -> (Verdict, Vec<Step>) {
        let name = &node.name;
        let blocked = |why: String, hint: String| {
            (Verdict::Blocked(why, hint), Vec::new())
        };
        let nothing =
            |why: &str| (Verdict::Nothing(why.to_owned()), Vec::new());
        let absent = match self.seen.answers.get(name) {
            None => return nothing("was not asked"),
            Some(Answer::Told(status)) => {
                if status.state == "down" && self.registered(node).is_none() {
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
                return blocked(trouble.to_string(), hint);
            }
        };
        if let Some((why, hint)) = self.obstacle(node) {
            return blocked(why, hint);
        }
        let steps = self.steps(node, absent.is_none());
        (absent.map_or(Verdict::Go, Verdict::Absent), steps)
    }

    /// What is in the way, and what to do about it.
    fn obstacle(&self, node: &Node) -> Option<(String, String)> {
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
        None
    }

    /// Without an endpoint of its own, a cluster is reached by the master
    /// that began it.
    fn is_endpoint(&self, node: &Node) -> bool {
        match &self.options.endpoint {
            Some(host) => *host == node.reach() || *host == node.name,
            None => node.first_master,
        }
    }

    fn steps(&self, node: &Node, present: bool) -> Vec<Step> {
        let name = &node.name;
        let registered = self.registered(node);
        let mut steps = Vec::new();
        let helper = self.helper(node);
        // The last one speaks for itself, as long as it is there.
        let own = || self.seen.helpers.contains(name).then_some(&**name);
        let speaker = helper.or_else(own);
        if let Some(on) = speaker
            && let Some(ready) = registered
        {
            // Pods of a node that is gone would never end.
            if ready {
                steps.push(self.drain(on, name));
            }
            // The last one takes the list with it.
            if helper.is_some() || !self.whole {
                steps.push(Step::delete(on, name));
            }
        }
        let down = matches!(
            self.seen.answers.get(name),
            Some(Answer::Told(status)) if status.state == "down"
        );
        if present && !down {
            steps.push(Step::uninstall(name));
            // Its kubelet may have registered it anew meanwhile.
            steps.extend(helper.map(|on| Step::delete(on, name)));
        }
        if self.cluster == Cluster::K8s
            && is_master(node)
            && let Some(on) = helper
        {
            let must = !self.whole && !self.options.force;
            let step = Step::etcd_members(on, name);
            steps.push(Step { must, ..step });
        }
        steps
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
