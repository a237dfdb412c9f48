//! `piflash-node`.

use std::{
    fs,
    process::{Child, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::node::{Node, SHELLS};

const TOOL: &str = "piflash-node";

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Waits for something that must come, so that a test that fails ends.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(120), "no {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn it_tells_before_and_after() {
    for shell in SHELLS {
        let node = Node::new(shell, &[("10-a", "echo worked")]);
        let before = node.run(TOOL, &["status"]);
        let before: serde_json::Value =
            serde_json::from_slice(&before.stdout).unwrap();
        assert_eq!(before["state"], "not started");
        let text = stdout(&node.run(TOOL, &["status", "--text"]));
        assert_eq!(text, "state:   not started\n");
        assert_eq!(node.run(TOOL, &["logs"]).status.code(), Some(1));
        node.provision();
        let after = node.run(TOOL, &["status"]);
        let status: serde_json::Value =
            serde_json::from_slice(&after.stdout).unwrap();
        assert_eq!(status["state"], "done");
        let text = stdout(&node.run(TOOL, &["status", "--text"]));
        assert!(text.starts_with("node:    node3\nstate:   done"), "{text}");
        let logs = stdout(&node.run(TOOL, &["logs"]));
        assert!(logs.contains("worked\n"), "{logs}");
        assert!(logs.ends_with("this node is ready\n"), "{logs}");
    }
}

#[test]
fn wrong_words_are_answered_with_the_right_ones() {
    let wrong: &[&[&str]] = &[
        &[],
        &["dance"],
        &["status", "--json"],
        &["status", "--text", "x"],
        &["logs", "-n"],
        &["logs", ""],
        &["retry", "--all"],
        &["retry", "10-a", "20-b"],
        &["retry", ""],
        &["retry", "30-no"],
        &["retry", "../steps/10-a"],
        &["retry", "."],
        &["down", "now"],
    ];
    for shell in SHELLS {
        let node = Node::new(shell, &[("10-a", ":")]);
        for args in wrong {
            let output = node.run(TOOL, args);
            assert_eq!(output.status.code(), Some(2), "{args:?} {output:?}");
            let error = stderr(&output);
            assert!(error.contains("usage:") || error.contains("10-a"));
        }
    }
}

#[test]
fn what_changes_the_node_is_for_root() {
    for shell in SHELLS {
        let mut node = Node::new(shell, &[("10-a", ":")]);
        node.set("ID", "1000");
        for verb in ["retry", "down"] {
            let output = node.run(TOOL, &[verb]);
            assert_eq!(output.status.code(), Some(1));
            let said = format!("{verb} needs root: sudo piflash-node {verb}");
            assert!(stderr(&output).contains(&said), "{output:?}");
        }
        assert!(!node.exists("systemctl"));
    }
}

pub fn spawn(node: &Node<'_>) -> Child {
    node.command("provision", &[]).stdout(Stdio::null()).spawn().unwrap()
}

/// Without `retry` this would take more than a day.
#[test]
fn retry_wakes_a_node_that_pauses() {
    for shell in SHELLS {
        let mut node =
            Node::new(shell, &[("10-a", "[ -e $PIFLASH_ROOT/mended ]")]);
        node.set("PIFLASH_TICK", "0.05");
        node.set("PIFLASH_PAUSE", "2000000");
        let mut runner = spawn(&node);
        until("pause", || {
            node.exists("var/lib/piflash/status.json")
                && node.status()["state"] == "waiting"
        });
        node.write("mended", "");
        let output = node.run(TOOL, &["retry"]);
        assert!(output.status.success(), "{output:?}");
        until("end", || runner.try_wait().unwrap().is_some());
        assert_eq!(node.status()["state"], "done");
        let log = node.log();
        assert!(log.contains("10-a: again now, as asked"), "{log}");
        let started = node.read("systemctl");
        let said = "start --no-block piflash-firstboot.service";
        assert!(started.contains(said), "{started}");
    }
}

#[test]
fn retry_of_a_step_runs_it_again_alone() {
    let order = "echo ${0##*/} >>$PIFLASH_ROOT/order";
    for shell in SHELLS {
        let node = Node::new(shell, &[("10-a", order), ("20-b", order)]);
        node.provision();
        let ready = node.run(TOOL, &["retry"]);
        assert!(stdout(&ready).contains("this node is ready"), "{ready:?}");
        assert!(!node.exists("systemctl"));
        let output = node.run(TOOL, &["retry", "10-a"]);
        assert!(output.status.success(), "{output:?}");
        assert!(!node.exists("var/lib/piflash/done"));
        node.provision();
        assert_eq!(node.read("order"), "10-a\n20-b\n10-a\n");
        assert!(node.exists("var/lib/piflash/done"));
    }
}

/// A stamp that is taken away while a later step works counts.
#[test]
fn retry_of_an_earlier_step_while_another_works() {
    let again = "echo b >>$PIFLASH_ROOT/order\n\
                 [ -e $PIFLASH_ROOT/asked ] || { : >$PIFLASH_ROOT/asked\n\
                 rm $PIFLASH_ROOT/var/lib/piflash/stamps/10-a; }";
    for shell in SHELLS {
        let a = "echo a >>$PIFLASH_ROOT/order";
        let node = Node::new(shell, &[("10-a", a), ("20-b", again)]);
        node.provision();
        assert_eq!(node.read("order"), "a\nb\na\n");
    }
}

#[test]
fn logs_follow_what_a_step_prints() {
    let slow = "echo 'begun http://a:b@c/'\n\
                while [ ! -e $PIFLASH_ROOT/go ]; do sleep 0.05; done\n\
                echo ended";
    for shell in SHELLS {
        let mut node = Node::new(shell, &[("10-slow", slow)]);
        node.set("PIFLASH_LOG_EVERY", "0.05");
        let mut runner = spawn(&node);
        until("output", || {
            node.exists("var/log/piflash.log") && node.log().contains("begun")
        });
        let logs = stdout(&node.run(TOOL, &["logs"]));
        assert!(logs.ends_with("begun http://***@c/\n"), "{logs}");
        let file = node.path("followed");
        let mut follower = node
            .command(TOOL, &["logs", "-f"])
            .stdout(fs::File::create(&file).unwrap())
            .spawn()
            .unwrap();
        until("begun", || node.read("followed").contains("begun http://***"));
        node.write("go", "");
        until("ready", || node.read("followed").contains("is ready"));
        until("end", || runner.try_wait().unwrap().is_some());
        let group = rustix::process::Pid::from_child(&follower);
        rustix::process::kill_process_group(
            group,
            rustix::process::Signal::KILL,
        )
        .unwrap();
        follower.wait().unwrap();
    }
}

#[test]
fn without_a_role_there_is_nothing_to_take_down() {
    for shell in SHELLS {
        let node = Node::new(shell, &[("10-a", ":")]);
        node.provision();
        let output = node.run(TOOL, &["down"]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains("nothing to take down"));
        assert_eq!(node.status()["state"], "done");
        assert!(!node.exists("systemctl"));
    }
}

#[test]
fn down_runs_backwards_and_retry_builds_again() {
    let order = "echo ${0##*/} >>$PIFLASH_ROOT/order";
    let folder = "usr/local/lib/piflash/down";
    for shell in SHELLS {
        let node = Node::new(shell, &[("50-join", order)]);
        node.provision();
        node.script(&format!("{folder}/10-uninstall"), order);
        node.script(
            &format!("{folder}/20-drain"),
            &format!("{order}\necho http://a:b@c; [ -e $PIFLASH_ROOT/ok ]"),
        );
        let output = node.run(TOOL, &["down"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let error = stderr(&output);
        assert!(error.contains("20-drain failed"), "{error}");
        let status = node.status();
        assert_eq!(status["state"], "going down");
        assert_eq!(status["error"], "http://***@c");
        // Half down it stays: a boot would not start the unit.
        assert!(node.exists("var/lib/piflash/done"));
        node.write("ok", "");
        let output = node.run(TOOL, &["down"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(node.status()["state"], "down");
        let want = "50-join\n20-drain\n20-drain\n10-uninstall\n";
        assert_eq!(node.read("order"), want);
        assert!(node.exists("var/lib/piflash/done"));
        let calls = node.read("systemctl");
        assert!(calls.starts_with("stop piflash-firstboot.service"));

        let output = node.run(TOOL, &["retry"]);
        assert!(output.status.success(), "{output:?}");
        assert!(!node.exists("var/lib/piflash/done"));
        node.provision();
        assert_eq!(node.read("order"), format!("{want}50-join\n"));
        assert!(stdout(&node.run(TOOL, &["retry"])).contains("ready"));
    }
}
