//! What a step prints, while it is at work.

use std::{fs, process::Child};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::{
    by_hand::{spawn, until},
    node::{Node, SHELLS, Shell},
};

const LOG: &str = "var/log/piflash.log";
/// Until the test says so.
const HOLD: &str = "while [ ! -e $PIFLASH_ROOT/go ]; do sleep 0.05; done";

/// A node that copies and tells at every look.
fn node<'s>(shell: &'s Shell, script: &str) -> Node<'s> {
    let mut node = Node::new(shell, &[("10-slow", script)]);
    node.set("PIFLASH_LOG_EVERY", "0.05");
    node.set("PIFLASH_TELL_EVERY", "0");
    node
}

fn says(node: &Node<'_>, text: &str) -> bool {
    node.exists(LOG) && node.log().contains(text)
}

fn end(node: &Node<'_>, mut runner: Child) {
    node.write("go", "");
    until("end", || runner.try_wait().unwrap().is_some());
    assert_eq!(node.status()["state"], "done");
}

#[test]
fn status_and_log_show_a_step_at_work() {
    let script = format!(
        "echo one; printf 'a half line'; {HOLD}; echo ' and its end'; echo two"
    );
    for shell in SHELLS {
        let node = node(shell, &script);
        let runner = spawn(&node);
        until("line", || says(&node, "\none\n"));
        // The last line is what people would see on a screen.
        until("status", || node.status()["output"] == "a half line");
        let status = node.status();
        assert_eq!(status["state"], "running", "{status}");
        assert_eq!(status["error"], "", "{status}");
        until("text", || {
            let text = node.run("piflash-node", &["status", "--text"]).stdout;
            let text = String::from_utf8(text).unwrap();
            text.contains("\noutput:  a half line\n")
        });
        // Not the FAT, which has no journal, and not half a line, which could
        // be half a password.
        let card = node.read("boot/firmware/piflash-status.txt");
        assert!(!card.contains("a half line"), "{card}");
        assert!(!says(&node, "a half line"), "{}", node.log());
        let since = status["since"].clone();
        assert_eq!(node.status()["since"], since);
        end(&node, runner);
        let log = node.log();
        let all = "\none\na half line and its end\ntwo\n";
        assert!(log.contains(all), "{log}");
        assert_eq!(log.matches("\none\n").count(), 1, "{log}");
        assert_eq!(node.status()["output"], "");
        assert!(!node.exists("var/lib/piflash/output"));
    }
}

#[test]
fn secrets_and_colours_are_not_told() {
    let secret = [
        "token abcdef.0123456789abcdef, abcdef.fedcba9876543210 x",
        "get https://ada:pa%%40ss@10.0.0.1:3128/x",
        &format!("K10{}::server:hidden-one", "0a".repeat(32)),
        "\\033[0;31mred\\033[0m \\033]0;title\\007bell\\b\\033",
        "5%%\\r50%%\\r100%%",
    ];
    let script = format!(
        "printf '{}\\n'; {HOLD}; printf '{}\\n'",
        secret.join("\\n"),
        secret.join("\\n")
    );
    for shell in SHELLS {
        let node = node(shell, &script);
        let runner = spawn(&node);
        until("lines", || says(&node, "\n100%\n"));
        until("status", || node.status()["output"] == "100%");
        end(&node, runner);
        let log = node.log();
        let shown = "token ***, *** x\n\
                     get https://***@10.0.0.1:3128/x\n";
        assert_eq!(log.matches(shown).count(), 2, "{log}");
        let rest = "::***\nred ]0;titlebell\n5%\n50%\n100%\n";
        assert_eq!(log.matches(rest).count(), 2, "{log}");
        for hidden in ["abcdef", "fedcba", "pa%", "hidden"] {
            assert!(!log.contains(hidden), "{hidden}: {log}");
        }
        let bad = |c: char| c.is_control() && c != '\n';
        assert!(!log.contains(bad), "{log:?}");
        // What is no token stays.
        let names = "kubernetes.io/cluster-service abc.0123456789abcdef";
        node.script(
            "usr/local/lib/piflash/steps/20-names",
            &format!("echo {names}"),
        );
        node.remove("var/lib/piflash/done");
        node.provision();
        assert!(node.log().contains(names), "{}", node.log());
    }
}

#[test]
fn a_power_cut_keeps_what_was_printed() {
    for shell in SHELLS {
        let node = node(shell, &format!("echo 'half way'; {HOLD}"));
        let mut runner = spawn(&node);
        until("status", || {
            node.exists("var/lib/piflash/status.json")
                && node.status()["output"] == "half way"
        });
        let group = Pid::from_child(&runner);
        kill_process_group(group, Signal::KILL).unwrap();
        runner.wait().unwrap();
        node.power_off();
        assert!(says(&node, "\nhalf way\n"));
        assert_eq!(node.status()["output"], "half way");
        node.write("go", "");
        node.provision();
        assert_eq!(node.log().matches("half way").count(), 2);
    }
}

/// A program that never ends fills neither log nor card.
#[test]
fn a_flood_is_bounded() {
    let flood = "while [ ! -e $PIFLASH_ROOT/go ]; do\n\
                 seq 100000 100999; sleep 0.05; done; echo at-last; exit 0";
    for shell in SHELLS {
        let mut node = node(shell, flood);
        node.set("PIFLASH_LOG_LIMIT", "4000");
        let runner = spawn(&node);
        let len = |path: &str| {
            fs::metadata(node.path(path)).map_or(0, |found| found.len())
        };
        let mut most = 0;
        until("shorter output", || {
            let now = len("var/lib/piflash/output");
            most = most.max(now);
            now < most
        });
        end(&node, runner);
        for path in [LOG, "var/log/piflash.log.1"] {
            assert!(len(path) < 9000, "{path}: {}", len(path));
        }
        // A full log makes room for the next line.
        let all = node.read("var/log/piflash.log.1") + &node.log();
        assert!(all.contains("at-last\n"), "{all}");
    }
}

/// Whatever a step leaves running has its output still open.
#[test]
fn what_a_step_leaves_running_holds_nobody_up() {
    let script = "sleep 600 & echo $! >$PIFLASH_ROOT/pid; echo left";
    for shell in SHELLS {
        let node = node(shell, script);
        let output = node.run("provision", &[]);
        let pid = node.read("pid").trim().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(says(&node, "\nleft\n"));
    }
}
