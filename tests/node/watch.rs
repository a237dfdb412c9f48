//! `piflash status --watch`.

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::nodes::{DONE, Nodes, WAITING};

#[test]
fn it_ends_when_all_are_done() {
    let nodes = Nodes::build(&["node1", "node2"], "");
    nodes.start("node1", DONE);
    nodes.start("node2", WAITING);
    let start = Instant::now();
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_secs(6));
            nodes.write("node2/status", format!("{DONE}\n"));
        });
        nodes.run(&["status", "--watch"])
    });
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(start.elapsed() >= Duration::from_secs(6));
    // Without a terminal: a table whenever it is another, not every time.
    let tables: Vec<&str> = outcome.stdout.split("\n\n").collect();
    assert_eq!(tables.len(), 2, "{outcome}");
    assert!(tables[0].contains("waiting  50-k3s        3   66"), "{outcome}");
    assert!(tables[0].contains("no route to the master"), "{outcome}");
    assert!(!tables[1].contains("waiting"), "{outcome}");
    assert!(!outcome.stdout.contains('\x1b'), "{outcome}");

    nodes.write("node2/status", format!("{WAITING}\n"));
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_secs(4));
            nodes.write("node2/status", format!("{DONE}\n"));
        });
        nodes.run(&["status", "--watch", "--json"])
    });
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let lines: Vec<serde_json::Value> = outcome
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{outcome}");
    assert_eq!(lines[0]["nodes"][1]["state"], "waiting");
    assert_eq!(lines[1]["done"], true);
}

/// On a pseudo-terminal of script(1): drawn over in place.
#[test]
fn on_a_terminal_it_is_drawn_over() {
    let nodes = Nodes::build(&["node1"], "");
    nodes.start("node1", WAITING);
    let run = |command: &str, term: &str| {
        nodes.write("node1/status", format!("{WAITING}\n"));
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_secs(4));
                nodes.write("node1/status", format!("{DONE}\n"));
            });
            let output = Command::new("script")
                .args(["-qec", command, "/dev/null"])
                .env_clear()
                .env("PATH", "/usr/bin:/bin")
                .env("HOME", nodes.env.home())
                .env("TERM", term)
                .current_dir(nodes.env.work())
                .stdin(Stdio::null())
                .output()
                .expect("is Debian's package bsdutils installed?");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{text}");
            text
        })
    };
    let program = env!("CARGO_BIN_EXE_piflash");
    let narrow = format!("stty cols 60 rows 20; {program} status --watch");
    let text = run(&narrow, "xterm");
    let frames: Vec<&str> = text.split("\x1b[2A").collect();
    assert!(frames.len() >= 2, "{text:?}");
    for frame in &frames {
        for line in frame.lines() {
            let line = line.replace("\x1b[K", "").replace("\x1b[J", "");
            let width = line.trim_matches('\r').chars().count();
            assert!(width <= 60, "{width}: {line:?}");
        }
    }
    assert!(frames.last().unwrap().contains("done"), "{text:?}");
    // Nothing is cleared before it is drawn again: no flicker.
    assert!(!text.contains("\x1b[2J"), "{text:?}");
    let dumb = run(&format!("{program} status --watch"), "dumb");
    assert!(!dumb.contains('\x1b'), "{dumb:?}");
}
