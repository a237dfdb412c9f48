//! What is said of a step: what is being done, what went wrong, and what to
//! do about it.

use super::{
    super::{
        ssh::{Failure, Output},
        text::last_lines,
    },
    run::StepError,
    step::{Step, StepKind},
};

/// What is being done, for people.
pub(super) fn doing(step: &Step) -> String {
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
        StepKind::EtcdHealth => {
            format!("looking whether etcd is well without {about}, on {on}")
        }
        StepKind::Servers => format!(
            "{about}: looking whether the other servers are well, on {on}"
        ),
        StepKind::ServersHealth => format!(
            "looking whether the servers are well without {about}, on {on}"
        ),
        StepKind::Gone => {
            format!("looking whether {about} has left the cluster, on {on}")
        }
        StepKind::Uninstall => format!("{about}: uninstalling"),
    }
}

pub(super) fn failed(step: &Step) -> String {
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
        StepKind::EtcdHealth => {
            format!("etcd is not well without {about}, as seen on {on}")
        }
        StepKind::Servers => format!("{about} cannot leave the servers of k3s"),
        StepKind::ServersHealth => {
            format!("the servers are not well without {about}, says {on}")
        }
        StepKind::Gone => {
            format!("nobody can say whether {about} has left the cluster")
        }
        StepKind::Uninstall => format!("{about} is not uninstalled"),
    }
}

pub(super) fn not_run(step: &Step, failure: &Failure) -> StepError {
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

/// What a check says that kept saying so, or that nothing may go on with.
pub(super) fn unwell(step: &Step, why: String) -> StepError {
    let Step { about, on, .. } = step;
    let hint = match step.kind {
        StepKind::EtcdMember | StepKind::Servers => format!(
            "{about} was drained and runs on; `piflash-node kubectl uncordon \
             {about}` on a master takes it back into use. See to what is \
             named, or wait, and run this again"
        ),
        StepKind::EtcdHealth => format!(
            "run this again; `ssh -F build/ssh_config {on} sudo piflash-node \
             kubectl get pods --namespace=kube-system` shows the control plane"
        ),
        _ => format!(
            "run this again; `ssh -F build/ssh_config {on} sudo piflash-node \
             kubectl get nodes` shows the cluster"
        ),
    };
    StepError { what: failed(step), causes: vec![why], hint: Some(hint) }
}

/// What kubectl, sudo and piflash-node say, and what to do about it.
pub(super) fn refused(step: &Step, output: &Output) -> StepError {
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

#[cfg(test)]
mod tests {
    use super::*;

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
