//! `piflash down` of masters that kubeadm made: whatever goes wrong, those
//! that stay keep a quorum, or it is no success.

use super::members::Masters;

/// Gives what it says.
fn succeeds(masters: &Masters, args: &[&str]) -> String {
    let outcome = masters.run(args);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    outcome.stderr
}

fn fails(masters: &Masters, args: &[&str], said: &[&str]) {
    let outcome = masters.run(args);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    for said in said {
        assert!(outcome.stderr.contains(said), "{said}: {outcome}");
    }
}

/// Only these are left, everywhere.
fn assert_left(masters: &Masters, names: &[&str]) {
    assert!(masters.is_well("node1"));
    assert_eq!(masters.members("node1"), names);
    assert_eq!(masters.registered("node1"), names);
}

/// Which calls of the nodes' tool change something.
fn changes(masters: &Masters) -> Vec<String> {
    let calls = masters.nodes.calls();
    let looks = ["member list", "endpoint health", "kubectl get"];
    let changes = calls
        .into_iter()
        .filter(|call| !looks.iter().any(|look| call.contains(look)));
    changes.collect()
}

#[test]
fn of_three_masters_two_leave_a_healthy_first() {
    let masters = Masters::start(3);
    for (name, left) in
        [("node3", &["node1", "node2"][..]), ("node2", &["node1"])]
    {
        succeeds(&masters, &["down", name]);
        assert_left(&masters, left);
        assert!(!masters.exists(&format!("{name}/etcd")));
        // The Node is there as long as kubeadm looks for it.
        let changes = changes(&masters);
        let mut kinds: Vec<&str> = changes
            .iter()
            .map(|call| {
                let kinds = ["drain", "member remove", ": down", "delete"];
                *kinds.iter().find(|kind| call.contains(**kind)).unwrap()
            })
            .collect();
        // etcd lets nobody go while a member is back only since seconds: it
        // is asked again.
        kinds.dedup();
        let order = ["drain", "member remove", ": down", "delete"];
        assert_eq!(kinds, order, "{changes:?}");
        let again = succeeds(&masters, &["down", name]);
        assert!(again.contains("is down already"), "{again}");
        assert_left(&masters, left);
    }
}

#[test]
fn two_masters_at_once_leave_a_healthy_first() {
    let masters = Masters::start(3);
    succeeds(&masters, &["down", "node2", "node3"]);
    assert_left(&masters, &["node1"]);
    assert_eq!(
        masters.nodes.calls().iter().filter(|c| c.ends_with(": down")).count(),
        2
    );
}

#[test]
fn a_whole_control_plane_goes() {
    let masters = Masters::start(2);
    succeeds(&masters, &["down", "--all", "--yes"]);
    for name in ["node1", "node2"] {
        assert!(!masters.exists(&format!("{name}/etcd")));
    }
    // Nobody is left who could be asked, and that is known.
    succeeds(&masters, &["down", "--all"]);
    succeeds(&masters, &["down", "node2"]);
}

/// The machine that runs piflash may lose its power after any step.
#[test]
fn a_cut_after_any_step_is_gone_on_from() {
    let mut step = 1;
    loop {
        let masters = Masters::start(2);
        let was_cut = masters.run_cut(&["down", "node2"], step);
        assert!(masters.is_well("node1"), "after step {step}");
        succeeds(&masters, &["down", "node2"]);
        assert_left(&masters, &["node1"]);
        succeeds(&masters, &["down", "node2"]);
        if !was_cut {
            break;
        }
        step += 1;
    }
    assert!(step > 4, "there are only {step} steps");
}

/// And so may the node.
#[test]
fn a_cut_of_the_node_while_it_goes_down_is_gone_on_from() {
    let masters = Masters::start(2);
    masters.nodes.write("node2/cut", "");
    fails(&masters, &["down", "node2"], &["node2 is not uninstalled"]);
    assert!(masters.is_well("node1"));
    succeeds(&masters, &["down", "node2"]);
    assert_left(&masters, &["node1"]);
}

/// kubeadm wipes the data of its member also where it did not find the way
/// to the others.
#[test]
fn a_reset_that_removes_no_member_is_no_loss() {
    for count in [2, 3] {
        let masters = Masters::start(count);
        let name = format!("node{count}");
        masters.nodes.write(&format!("{name}/lost"), "");
        succeeds(&masters, &["down", &name]);
        assert_left(&masters, &["node1", "node2"][..count - 1]);
    }
}

#[test]
fn a_sick_member_goes_before_a_healthy_one() {
    let mut masters = Masters::start(3);
    masters.kill_etcd("node2");
    let said = ["the member node2 of etcd does not answer", "--force"];
    fails(&masters, &["down", "node3"], &said);
    assert_eq!(changes(&masters), [""; 0]);
    assert_eq!(masters.members("node1"), ["node1", "node2", "node3"]);
    // Both: the sick one first.
    succeeds(&masters, &["down", "node3", "node2"]);
    assert_left(&masters, &["node1"]);
    let changes = changes(&masters);
    let at = |call: &str| changes.iter().position(|c| c == call).unwrap();
    assert!(at("node2: down") < at("node3: down"), "{changes:?}");
}

#[test]
fn a_learner_or_a_stranger_is_in_the_way() {
    let masters = Masters::start(2);
    let peer = "--peer-urls=http://127.0.0.9:1";
    let add = ["member", "add", "node9", "--learner", peer];
    masters.change("node1", &add);
    fails(&masters, &["down", "node2"], &["127.0.0.9:1 of etcd has not"]);
    assert_eq!(changes(&masters), [""; 0]);
    let list = masters.ask("node1", &["member", "list"]);
    let line = list.lines().find(|l| l.contains("unstarted")).unwrap();
    let id = line.split(',').next().unwrap();
    masters.change("node1", &["member", "remove", id]);
    succeeds(&masters, &["down", "node2"]);
    assert_left(&masters, &["node1"]);
    // A member whose Node somebody has deleted.
    let masters = Masters::start(3);
    masters.ask("node1", &["del", "/nodes/node2"]);
    let said = ["etcd has a member node2, which is no registered master"];
    fails(&masters, &["down", "node3"], &said);
    assert_eq!(changes(&masters), [""; 0]);
    succeeds(&masters, &["down", "node2"]);
    succeeds(&masters, &["down", "node3"]);
    assert_left(&masters, &["node1"]);
}

#[test]
fn a_master_that_is_off_leaves_etcd_where_a_majority_is_left() {
    let mut masters = Masters::start(3);
    masters.cut("node3");
    let said = ["node3 was not uninstalled", "on again"];
    fails(&masters, &["down", "node3"], &said);
    assert_left(&masters, &["node1", "node2"]);
    fails(&masters, &["down", "node3"], &said);
    assert_left(&masters, &["node1", "node2"]);
}

/// Of two members one alone decides nothing.
#[test]
fn without_a_quorum_nothing_is_done_and_nothing_succeeds() {
    let mut masters = Masters::start(2);
    masters.cut("node1");
    let said = ["no other master of the k8s cluster answers"];
    fails(&masters, &["down", "node2"], &said);
    assert_eq!(changes(&masters), [""; 0]);
    assert!(masters.exists("node2/etcd"));
    let mut masters = Masters::start(2);
    masters.cut("node2");
    fails(&masters, &["down", "node2"], &said);
    assert_eq!(changes(&masters), [""; 0]);

    // What was done wrong by hand is no success either.
    let masters = Masters::start(2);
    masters.ask("node1", &["del", "/nodes/node2"]);
    let tool = masters.nodes.path("node2/bin/piflash-node");
    assert!(
        std::process::Command::new(tool)
            .arg("down")
            .output()
            .unwrap()
            .status
            .success()
    );
    assert!(!masters.is_well("node1"));
    for force in [&[][..], &["--force"]] {
        let args = [&["down", "node2"][..], force].concat();
        let said = ["node2 is down, but is its cluster up?", said[0]];
        fails(&masters, &args, &said);
    }
}

#[test]
fn force_loses_a_quorum_and_says_so() {
    let mut masters = Masters::start(3);
    masters.kill_etcd("node2");
    let args = ["down", "node3", "--force", "--health-timeout", "1"];
    fails(&masters, &args, &["etcd is not well without node3"]);
    fails(&masters, &["down", "node3", "--health-timeout", "1"], &["node3"]);
}
