//! How a cluster is before anything is done to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::atomic::AtomicBool,
    time::Duration,
};

use super::{
    super::{
        answer::{Answer, ask},
        pool::ask_all,
        ssh::{Output, Ssh},
        text::clean,
    },
    etcd::Etcd,
    order::is_master,
    servers::Servers,
    step::{Step, StepKind},
};
use crate::inventory::{Cluster, Node};

/// A node in the cluster's own list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its kubelet says that it is well.
    pub ready: bool,
    /// It has the role of the control plane.
    pub master: bool,
}

/// What a master says of the control plane, before one of its nodes goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ControlPlane {
    /// Nobody was asked: all of it goes, or none.
    #[default]
    NotAsked,
    /// kubeadm's etcd.
    Etcd(Etcd),
    /// k3s' servers.
    Servers(Servers),
    /// Nobody can say how it is, because of this.
    Unknown(String),
}

/// What the nodes of a cluster say of themselves and of each other.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// How far each node is that was asked.
    pub answers: BTreeMap<String, Answer>,
    /// Masters on which kubectl works, in the order in which they were
    /// given.
    pub helpers: Vec<String>,
    /// Nodes that are registered in the cluster; None if no master's kubectl
    /// works.
    pub registered: Option<BTreeMap<String, Registration>>,
    /// Why kubectl does not work on masters that answer.
    pub complaints: Vec<String>,
    /// How the control plane is.
    pub control_plane: ControlPlane,
}

impl Seen {
    /// Says whether a node says that it is down.
    pub(super) fn is_down(&self, name: &str) -> bool {
        self.state(name) == Some("down")
    }

    pub(super) fn state(&self, name: &str) -> Option<&str> {
        match self.answers.get(name) {
            Some(Answer::Told(status)) => Some(&status.state),
            _ => None,
        }
    }
}

/// Asks nodes how far they are, and the masters of them which nodes are
/// registered; all at the same time. If some masters are among `targets`,
/// one is asked how the control plane is, too. Nothing is changed.
#[must_use]
pub fn look(
    ssh: &Ssh,
    cluster: Cluster,
    nodes: &[&Node],
    targets: &BTreeSet<String>,
    limit: Duration,
) -> Seen {
    let mut seen = Seen::default();
    let mut lists = BTreeMap::new();
    let look = |subject: usize, cancelled: &AtomicBool| {
        let node = nodes.get(subject)?;
        let answer = ask(ssh, &node.name, limit, cancelled);
        let told = matches!(answer, Answer::Told(_));
        let list = (told && is_master(node))
            .then(|| registered(ssh, &node.name, cancelled));
        Some((node.name.clone(), answer, list))
    };
    ask_all(nodes.len(), None, look, |subject, found| {
        if let Some((name, answer, list)) = found {
            seen.answers.insert(name.clone(), answer);
            if let Some(list) = list {
                lists.insert(subject, (name, list));
            }
        }
        ControlFlow::Continue(())
    });
    for (name, list) in lists.into_values() {
        match list {
            Ok(list) => {
                seen.helpers.push(name);
                seen.registered.get_or_insert(list);
            }
            Err(why) => seen.complaints.push(format!("{name}: {why}")),
        }
    }
    let goes = |node: &&Node| targets.contains(&node.name);
    let masters = || nodes.iter().copied().filter(|node| is_master(node));
    let some_go = masters().any(|node| goes(&node));
    let some_stay = masters().any(|node| !goes(&node));
    let helpers = || seen.helpers.iter();
    let on = helpers().find(|name| !targets.contains(*name));
    if let Some(on) = on.or_else(|| helpers().next())
        && some_go
        && some_stay
    {
        seen.control_plane = match cluster {
            Cluster::K8s => etcd(ssh, on).map(ControlPlane::Etcd),
            Cluster::K3s => servers(ssh, on).map(ControlPlane::Servers),
        }
        .unwrap_or_else(|why| ControlPlane::Unknown(format!("{on}: {why}")));
    }
    seen
}

/// Asks a master's kubectl which nodes are registered.
pub(super) fn registered(
    ssh: &Ssh,
    master: &str,
    cancelled: &AtomicBool,
) -> Result<BTreeMap<String, Registration>, String> {
    let step = Step::nodes(StepKind::Gone, master, master);
    let output = asked(ssh, &step, cancelled)?;
    match output.code {
        0 => Ok(list(&output.stdout)),
        _ => Err(complaint("kubectl", &output)),
    }
}

/// Asks etcd on a master, by its own tool, for its members and their health.
pub(super) fn etcd(ssh: &Ssh, master: &str) -> Result<Etcd, String> {
    let never = AtomicBool::new(false);
    let list = asked(ssh, &Step::members(master), &never)?;
    if list.code != 0 {
        return Err(complaint("etcdctl", &list));
    }
    // Where one is not healthy it fails, and says who.
    let health = asked(ssh, &Step::health(master, master), &never)?;
    Etcd::read(&list.stdout, &health.stdout).map_err(|why| {
        match health.stderr.trim() {
            "" => why,
            _ => complaint("etcdctl", &health),
        }
    })
}

/// Asks a master of k3s for the servers that have etcd.
pub(super) fn servers(ssh: &Ssh, master: &str) -> Result<Servers, String> {
    let step = Step::servers(StepKind::Servers, master, master);
    let output = asked(ssh, &step, &AtomicBool::new(false))?;
    match output.code {
        0 => Servers::read(&output.stdout),
        _ => Err(complaint("kubectl", &output)),
    }
}

fn asked(
    ssh: &Ssh,
    step: &Step,
    cancelled: &AtomicBool,
) -> Result<Output, String> {
    let script = step.script();
    ssh.run(&step.on, &step.request(&script), cancelled)
        .map_err(|failure| failure.to_string())
}

/// The last line says it best.
fn complaint(program: &str, output: &Output) -> String {
    let said = output.stderr.lines().last().unwrap_or_default();
    format!("{program} fails: {}", clean(said, 200))
}

/// `NAME STATUS ROLES AGE VERSION`, where the status begins with `Ready` or
/// `NotReady`, more may follow after a comma, and roles have commas too.
pub(super) fn list(text: &str) -> BTreeMap<String, Registration> {
    let rows = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, status) = (words.next()?, words.next()?);
        let ready = status.split(',').next() == Some("Ready");
        let mut roles = words.next().unwrap_or_default().split(',');
        let master = roles.any(|role| role == "control-plane");
        Some((name.to_owned(), Registration { ready, master }))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_says_who_is_ready() {
        let text = "node1   Ready   control-plane,etcd   5m   v1.37.1+k3s1\n\
                    node2   Ready,SchedulingDisabled   <none>   5m   v1.37\n\
                    node3   NotReady   <none>   5m   v1.37\n\n";
        let list = list(text);
        let rows: Vec<_> =
            list.iter().map(|(n, r)| (&**n, r.ready, r.master)).collect();
        assert_eq!(
            rows,
            [
                ("node1", true, true),
                ("node2", true, false),
                ("node3", false, false)
            ]
        );
    }
}
