//! Does what was planned.

use std::sync::atomic::AtomicBool;

use super::{
    super::{
        ssh::{Failure, Output, Ssh},
        text::last_lines,
    },
    plan::{NodePlan, Plan, Verdict},
    step::{Step, StepKind},
};

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
/// unless `force`. `say` is told of every step.
pub fn run(
    plan: &Plan,
    ssh: &Ssh,
    force: bool,
    say: &mut dyn FnMut(&str),
) -> Vec<(String, Outcome)> {
    let mut worker = Worker { ssh, say };
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
            Some(other) if node.master && !force && !node.steps.is_empty() => {
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
    say: &'w mut dyn FnMut(&str),
}

impl Worker<'_> {
    fn node(&mut self, node: &NodePlan) -> Outcome {
        match &node.verdict {
            Verdict::Nothing(why) => return Outcome::Nothing(why.clone()),
            Verdict::Blocked(why, hint) => {
                return Outcome::Failed(StepError {
                    what: format!("cannot take down {}", node.node),
                    causes: vec![why.clone()],
                    hint: Some(hint.clone()),
                });
            }
            Verdict::Go | Verdict::Absent(_) => {}
        }
        match (self.all(&node.steps), &node.verdict) {
            (Err(error), _) => Outcome::Failed(error),
            (Ok(()), Verdict::Absent(why)) => Outcome::Absent(why.clone()),
            (Ok(()), _) => Outcome::Down,
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
        let output = self.call(step)?;
        if step.kind == StepKind::EtcdMember
            && let Some(id) = member(&output.stdout, &step.about)
        {
            (self.say)(&format!(
                "{}: removing what is left of it in etcd",
                step.about
            ));
            self.call(&step.remove(id))?;
        }
        Ok(())
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

/// What is being done, for people.
fn doing(step: &Step) -> String {
    let Step { about, on, .. } = step;
    match step.kind {
        StepKind::Hook => {
            let hook = step.input.as_ref();
            let path = hook.map(|hook| hook.path.display().to_string());
            format!("applying {}, on {on}", path.unwrap_or_default())
        }
        StepKind::Cordon => format!(
            "cordoning {}, on {on}",
            step.args.get(5..).unwrap_or_default().join(", ")
        ),
        StepKind::Drain => format!("{about}: draining, on {on}"),
        StepKind::Delete => format!("{about}: deleting the node, on {on}"),
        StepKind::EtcdMember => {
            format!("{about}: looking for it in etcd, on {on}")
        }
        StepKind::Uninstall => format!("{about}: uninstalling"),
    }
}

fn failed(step: &Step) -> String {
    let Step { about, on, .. } = step;
    match step.kind {
        StepKind::Hook => match &step.input {
            Some(hook) => {
                format!("cannot apply {} on {on}", hook.path.display())
            }
            None => format!("cannot apply a hook on {on}"),
        },
        StepKind::Cordon => format!("cannot keep new pods away, on {on}"),
        StepKind::Drain => format!("{about} cannot be drained"),
        StepKind::Delete => format!("cannot delete the node {about}, on {on}"),
        StepKind::EtcdMember => {
            format!("cannot take {about} out of etcd, on {on}")
        }
        StepKind::Uninstall => {
            format!("{about} is out of its cluster, but not uninstalled")
        }
    }
}

fn not_run(step: &Step, failure: &Failure) -> StepError {
    let hint = match failure {
        Failure::Late(_) | Failure::Lost(_)
            if step.kind == StepKind::Uninstall =>
        {
            format!(
                "it may still be at work: `ssh -F build/ssh_config {} sudo \
                 piflash-node status`; then run this again",
                step.on
            )
        }
        _ => "run this again: it goes on from there".to_owned(),
    };
    let causes = vec![format!("{}: {failure}", step.on)];
    StepError { what: failed(step), causes, hint: Some(hint) }
}

/// What kubectl, sudo and piflash-node say, and what to do about it.
fn refused(step: &Step, output: &Output) -> StepError {
    let said = |text: &str| output.stderr.contains(text);
    let mut causes = last_lines(&output.stderr, 6);
    if causes.is_empty() {
        causes = last_lines(&output.stdout, 6);
    }
    causes.push(format!("exit code {} of `{}`", output.code, step.script()));
    let about = &step.about;
    let hint = if said("a password is required") || said("not in the sudoers") {
        format!(
            "the account of {} needs sudo without a password, as piflash \
             sets it up",
            step.on
        )
    } else if output.code == 127 || said("piflash-node: command not found") {
        format!("{} has no piflash-node: was its card made here?", step.on)
    } else if step.kind == StepKind::Uninstall {
        format!(
            "`ssh -F build/ssh_config {about} sudo piflash-node logs` has all \
             of it; run this again, or flash the card"
        )
    } else if step.kind == StepKind::Drain {
        drain_hint(about, said)
    } else {
        "run this again: it goes on from there".to_owned()
    };
    StepError { what: failed(step), causes, hint: Some(hint) }
}

/// In the words of `kubectl drain`; the node stays cordoned.
fn drain_hint(node: &str, said: impl Fn(&str) -> bool) -> String {
    let back = format!(
        "`piflash-node kubectl uncordon {node}` on a master takes it back into \
         use"
    );
    if said("disruption budget") {
        format!(
            "a PodDisruptionBudget does not let pods go: give them another \
             node or replicas and run this again, or end them all the same \
             with --force; {back}"
        )
    } else if said("local storage") || said("emptyDir") {
        format!(
            "pods keep data on the node that would be lost: \
             `k3s_delete_emptydir_data: yes` in the inventory, or --force; \
             {back}"
        )
    } else if said("declare no controller") {
        format!(
            "pods that nothing would start again elsewhere: delete them, or \
             use --force; {back}"
        )
    } else {
        format!("run this again, or use --drain-timeout or --force; {back}")
    }
}

/// Finds a member by its name in what `etcdctl member list` writes: `ID,
/// started, NAME, PEER URLS, CLIENT URLS, LEARNER`.
fn member<'l>(list: &'l str, name: &str) -> Option<&'l str> {
    list.lines().find_map(|line| {
        let mut fields = line.split(',').map(str::trim);
        let (id, _, found) = (fields.next()?, fields.next()?, fields.next()?);
        let hex = !id.is_empty()
            && id.len() <= 16
            && id.bytes().all(|b| b.is_ascii_hexdigit());
        (hex && found == name).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_etcd_are_found_by_name() {
        let list = "8e9e05c52164694d, started, node5, https://10.0.0.5:2380, \
                    https://10.0.0.5:2379, false\n\
                    $(reboot), started, node6, x, y, false\n\
                    a1, unstarted, , https://10.0.0.7:2380, , true\n";
        assert_eq!(member(list, "node5"), Some("8e9e05c52164694d"));
        assert_eq!(member(list, "node6"), None);
        assert_eq!(member(list, "node7"), None);
        assert_eq!(member("", "node5"), None);
    }

    #[test]
    fn what_kubectl_says_has_a_way_out() {
        let step =
            Step::drain("node1", "node2", super::super::step::SHORT, &[]);
        for (stderr, hint) in [
            (
                "error when evicting pods/\"db-0\" -n \"default\" (will retry \
                 after 5s): Cannot evict pod as it would violate the pod's \
                 disruption budget.\nerror: drain did not complete within 3s\n",
                "PodDisruptionBudget",
            ),
            (
                "error: cannot delete Pods with local storage (use \
                 --delete-emptydir-data to override): default/x\n",
                "k3s_delete_emptydir_data",
            ),
            (
                "error: cannot delete Pods declare no controller (use --force \
                 to override): default/x\n",
                "nothing would start again",
            ),
            ("sudo: a password is required\n", "without a password"),
            ("boom\x1b[2J\n", "run this again"),
        ] {
            let stderr = stderr.to_owned();
            let output = Output { code: 1, stdout: String::new(), stderr };
            let error = refused(&step, &output);
            assert_eq!(error.what, "node2 cannot be drained");
            let given = error.hint.unwrap();
            assert!(given.contains(hint), "{hint}: {given}");
            let causes = error.causes.join("\n");
            assert!(!causes.contains('\x1b'), "{causes}");
        }
    }
}
