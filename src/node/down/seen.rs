//! How a cluster is before anything is done to it.

use std::{
    collections::BTreeMap, ops::ControlFlow, sync::atomic::AtomicBool,
    time::Duration,
};

use super::{
    super::{
        answer::{Answer, ask},
        pool::ask_all,
        ssh::Ssh,
        text::clean,
    },
    order::is_master,
    step::{Step, StepKind},
};
use crate::inventory::Node;

/// What the nodes of a cluster say of themselves and of each other.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// How far each node is that was asked.
    pub answers: BTreeMap<String, Answer>,
    /// Masters on which kubectl works, in the order in which they were
    /// given.
    pub helpers: Vec<String>,
    /// Nodes that are registered in the cluster, and whether they are ready;
    /// None if no master's kubectl works.
    pub registered: Option<BTreeMap<String, bool>>,
    /// Why kubectl does not work on masters that answer.
    pub complaints: Vec<String>,
}

/// Asks nodes how far they are, and the masters of them which nodes are
/// registered; all at the same time. Nothing is changed.
#[must_use]
pub fn look(ssh: &Ssh, nodes: &[&Node], limit: Duration) -> Seen {
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
    seen
}

/// Asks a master's kubectl.
fn registered(
    ssh: &Ssh,
    master: &str,
    cancelled: &AtomicBool,
) -> Result<BTreeMap<String, bool>, String> {
    let args = ["get", "nodes", "--no-headers", "--request-timeout=20s"];
    let step = Step::kubectl(StepKind::Cordon, master, master, args);
    let script = step.script();
    let output = ssh
        .run(master, &step.request(&script), cancelled)
        .map_err(|failure| failure.to_string())?;
    if output.code == 0 {
        return Ok(list(&output.stdout));
    }
    let said = output.stderr.lines().last().unwrap_or_default();
    Err(format!("kubectl fails: {}", clean(said, 200)))
}

/// `NAME STATUS ROLES AGE VERSION`, where the status begins with `Ready` or
/// `NotReady`, and more may follow after a comma.
fn list(text: &str) -> BTreeMap<String, bool> {
    let rows = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, status) = (words.next()?, words.next()?);
        let ready = status.split(',').next() == Some("Ready");
        Some((name.to_owned(), ready))
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
        let ready: Vec<_> = list.iter().map(|(n, r)| (&**n, *r)).collect();
        assert_eq!(ready, [("node1", true), ("node2", true), ("node3", false)]);
    }
}
