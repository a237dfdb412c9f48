//! Does what was planned.

use std::{
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use super::{
    super::ssh::{Output, Ssh},
    gate::leaver,
    plan::{NodePlan, Plan, Verdict},
    seen::{etcd as seen_etcd, registered, servers},
    step::{Step, StepKind},
    words::{doing, not_run, refused, unwell},
};

/// How often a check is made that does not pass at once.
const AGAIN: Duration = Duration::from_secs(2);

/// How a plan is done.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Masters go even if a worker could not be taken down.
    pub force: bool,
    /// What stays of a control plane has so long to be well again.
    pub health_timeout: Duration,
}

/// What became of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is down.
    Down,
    /// There was nothing to be done, because of this.
    Nothing(String),
    /// It is out of the cluster, but could not be reached.
    Absent(String),
    /// Something went wrong; the rest of its steps was not done.
    Failed(StepError),
    /// It was left alone, as something before it went wrong.
    HeldBack(String),
}

/// What went wrong. Texts of others are clean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepError {
    /// What was not done.
    pub what: String,
    /// Why.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Takes the nodes of a plan down. A failure ends what is done to a node;
/// masters stay as long as a worker that is there could not be taken down,
/// unless forced. `say` is told of every step.
pub fn run(
    plan: &Plan,
    ssh: &Ssh,
    how: Run,
    say: &mut dyn FnMut(&str),
) -> Vec<(String, Outcome)> {
    let mut worker = Worker { ssh, how, say };
    let mut failed: Option<String> = None;
    let mut outcomes = Vec::new();
    if !plan.is_idle()
        && let Err(error) = worker.all(&plan.before)
    {
        // Nothing was done yet: it is all the first node's.
        let what = error.what.clone();
        for (at, node) in plan.nodes.iter().enumerate() {
            let outcome = match at {
                0 => Outcome::Failed(error.clone()),
                _ => Outcome::HeldBack(what.clone()),
            };
            outcomes.push((node.node.clone(), outcome));
        }
        return outcomes;
    }
    for node in &plan.nodes {
        let outcome = match &failed {
            Some(other)
                if node.master && !how.force && !node.steps.is_empty() =>
            {
                Outcome::HeldBack(format!("{other} is not down"))
            }
            _ => worker.node(node),
        };
        if matches!(outcome, Outcome::Failed(_)) {
            failed.get_or_insert_with(|| node.node.clone());
        }
        outcomes.push((node.node.clone(), outcome));
    }
    outcomes
}

struct Worker<'w> {
    ssh: &'w Ssh,
    how: Run,
    say: &'w mut dyn FnMut(&str),
}

impl Worker<'_> {
    fn node(&mut self, node: &NodePlan) -> Outcome {
        match &node.verdict {
            Verdict::Nothing(why) if node.doubt.is_none() => {
                return Outcome::Nothing(why.clone());
            }
            Verdict::Blocked(why, hint) => {
                return Outcome::Failed(StepError {
                    what: format!("cannot take down {}", node.node),
                    causes: vec![why.clone()],
                    hint: Some(hint.clone()),
                });
            }
            _ => {}
        }
        let done = self.all(&node.steps);
        match (done, &node.verdict, &node.doubt) {
            (Err(error), ..) => Outcome::Failed(error),
            (Ok(()), Verdict::Absent(why), _) => Outcome::Absent(why.clone()),
            (Ok(()), _, Some((why, hint))) => Outcome::Failed(StepError {
                what: format!("{} is down, but is its cluster up?", node.node),
                causes: vec![why.clone()],
                hint: Some(hint.clone()),
            }),
            (Ok(()), ..) => Outcome::Down,
        }
    }

    fn all(&mut self, steps: &[Step]) -> Result<(), StepError> {
        for step in steps {
            (self.say)(&doing(step));
            match self.step(step) {
                Ok(()) => {}
                Err(error) if step.must => return Err(error),
                Err(error) => {
                    let why = error.causes.join("; ");
                    (self.say)(&format!("{}, going on: {why}", error.what));
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), StepError> {
        match step.kind {
            StepKind::EtcdMember => self.leave_etcd(step),
            StepKind::Servers => {
                let seen = servers(self.ssh, &step.on);
                match seen.map(|servers| servers.obstacle(&step.about)) {
                    Ok(None) => Ok(()),
                    Ok(Some(why)) | Err(why) => Err(unwell(step, why)),
                }
            }
            StepKind::EtcdHealth | StepKind::ServersHealth | StepKind::Gone => {
                self.settle(step)
            }
            _ => self.call(step).map(drop),
        }
    }

    /// Takes a node's member out of etcd, if it has one there and those that
    /// stay are well.
    fn leave_etcd(&mut self, step: &Step) -> Result<(), StepError> {
        let node = leaver(&step.about, &step.address);
        let etcd =
            seen_etcd(self.ssh, &step.on).map_err(|why| unwell(step, why))?;
        if let Some(why) = etcd.obstacle(node) {
            if step.must {
                return Err(unwell(step, why));
            }
            // etcd itself refuses to lose its quorum.
            (self.say)(&format!("{why}, going on"));
        }
        let Some(id) = etcd.member(node) else { return Ok(()) };
        (self.say)(&format!("{}: taking it out of etcd", step.about));
        let start = Instant::now();
        // etcd takes nobody out while a member is back only since seconds.
        while let Err(error) = self.call(&step.remove(&id)) {
            let late = start.elapsed() >= self.how.health_timeout;
            if late || !step.must {
                return Err(error);
            }
            thread::sleep(AGAIN);
            // It may have been done, and the answer been lost.
            let etcd = seen_etcd(self.ssh, &step.on);
            if etcd.is_ok_and(|etcd| etcd.member(node).is_none()) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Makes a check until it passes, or for too long. A new leader is
    /// elected in seconds; a server that lost its own starts again.
    fn settle(&self, step: &Step) -> Result<(), StepError> {
        let start = Instant::now();
        loop {
            let Some(why) = self.trouble(step) else { return Ok(()) };
            if start.elapsed() >= self.how.health_timeout {
                return Err(unwell(step, why));
            }
            thread::sleep(AGAIN);
        }
    }

    /// Why a check does not pass.
    fn trouble(&self, step: &Step) -> Option<String> {
        let (on, about) = (&step.on, &step.about);
        let trouble = match step.kind {
            StepKind::EtcdHealth => seen_etcd(self.ssh, on).map(|etcd| {
                match etcd.member(leaver(about, &step.address)) {
                    Some(id) => Some(format!("it still lists {about} ({id})")),
                    None => etcd.trouble(),
                }
            }),
            StepKind::ServersHealth => servers(self.ssh, on).map(|servers| {
                let left = servers.without(about).trouble();
                left.or_else(|| {
                    servers
                        .votes(about)
                        .then(|| format!("{about} is still one of them"))
                })
            }),
            _ => {
                let never = AtomicBool::new(false);
                registered(self.ssh, on, &never).map(|nodes| {
                    nodes
                        .contains_key(about)
                        .then(|| format!("it still lists {about}"))
                })
            }
        };
        trouble.unwrap_or_else(Some)
    }

    fn call(&self, step: &Step) -> Result<Output, StepError> {
        let script = step.script();
        // Ctrl-C ends us and ssh; all steps can be repeated.
        let never = AtomicBool::new(false);
        match self.ssh.run(&step.on, &step.request(&script), &never) {
            Ok(output) if output.code == 0 => Ok(output),
            Ok(output) => Err(refused(step, &output)),
            Err(failure) => Err(not_run(step, &failure)),
        }
    }
}
