//! `piflash status`, once.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::nodes::{DONE, Nodes, WAITING, free_port, make_key};
use crate::support::{env::Env, oracle::run};

fn json(nodes: &Nodes, more: &[&str]) -> (Option<i32>, Value) {
    let args = [&["status", "--json"], more].concat();
    let outcome = nodes.run(&args);
    let json = serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}: {outcome}"));
    (outcome.code, json)
}

#[test]
fn nodes_that_are_done_are_a_success() {
    let nodes = Nodes::k3s(&["node1", "node2"], 1);
    let outcome = nodes.run(&["status"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(
        outcome.stdout,
        "NODE   ADDRESS    ROLE        STATE  STEP  ATTEMPT    %  \
         SINCE                 CLUSTER  ERROR\n\
         node1  127.0.0.1  k3s master  done   -           -  100  \
         2026-11-25T18:00:00Z  -\n\
         node2  127.0.0.2  k3s worker  done   -           -  100  \
         2026-11-25T18:00:00Z  -\n"
    );
    let (code, json) = json(&nodes, &[]);
    assert_eq!(code, Some(0));
    assert_eq!((&json["version"], &json["done"]), (&1.into(), &true.into()));
    assert_eq!(
        json["nodes"][1],
        serde_json::json!({
            "name": "node2",
            "address": "127.0.0.2",
            "role": {"cluster": "k3s", "kind": "worker"},
            "answered": true,
            "done": true,
            "state": "done",
            "step": "",
            "attempt": 1,
            "steps_done": 6,
            "steps": 6,
            "percent": 100,
            "since": "2026-11-25T18:00:00Z",
            "error": "",
            "output": "",
            "certificate": null,
            "hint": null,
            "cluster": null,
        })
    );
    assert_eq!(nodes.calls(), [""; 0]);
}

/// Two months before the end there is time to do something about it.
#[test]
fn certificates_that_end_are_told_in_time() {
    let nodes = Nodes::build(&["long", "soon", "over", "new"], "");
    for (name, days) in [("long", 60), ("soon", 59), ("over", -1)] {
        let first = format!(
            r#","certificates":{{"days":{days},"end":"2027-11-30T06:40:00Z","file":"/etc/kubernetes/pki/apiserver.crt"}}}}"#
        );
        nodes.start(name, &DONE.replace('}', &first));
    }
    let working = WAITING.replace('}', r#","output":"Setting up kubelet"}"#);
    nodes.start("new", &working);
    let outcome = nodes.run(&["status", "long", "soon", "over"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let (ends, file) =
        ("2027-11-30T06:40:00Z", "/etc/kubernetes/pki/apiserver.crt");
    for said in [
        format!("\nsoon: {file} ends in 59 days, at {ends}\n"),
        format!("\nover: {file} is over since {ends}\n"),
    ] {
        assert!(outcome.stdout.contains(&said), "{said}: {outcome}");
    }
    assert!(!outcome.stdout.contains("long: "), "{outcome}");
    let (_, json) = json(&nodes, &[]);
    let of = |at: usize| &json["nodes"][at];
    assert_eq!(of(1)["certificate"]["days"], 59, "{json}");
    assert_eq!(of(1)["certificate"]["file"], file);
    assert_eq!(of(3)["certificate"], Value::Null);
    assert_eq!(of(3)["output"], "Setting up kubelet");
    let outcome = nodes.run(&["status", "new"]);
    assert!(outcome.stdout.contains("Setting up kubelet\n"), "{outcome}");
}

/// All kinds of trouble at the same time: none holds up the others, and none
/// is a crash.
#[test]
fn every_trouble_is_a_state() {
    let names = [
        "good", "off", "silent", "stranger", "locked", "foreign", "hostile",
        "huge", "garbled", "waits",
    ];
    let nodes = Nodes::build(&names, "");
    nodes.start("good", DONE);
    nodes.start("waits", WAITING);
    nodes.set_port("off", free_port());
    nodes.start("silent", DONE);
    nodes.write("silent/hang", "");
    let other = nodes.env.work().join("other_key");
    make_key(&other);
    nodes.start_with("stranger", DONE, Some(&other));
    nodes.start("locked", DONE);
    // Another owner's key.
    let config = String::from_utf8(nodes.env.read("build/ssh_config")).unwrap();
    let key = nodes.env.work().join("nobodys_key");
    make_key(&key);
    let block = format!("Host locked\n    IdentityFile {}\n", key.display());
    let mine = nodes.env.home().join(".ssh/id_ed25519");
    let (before, after) = config.split_once("Host locked\n").unwrap();
    let own = format!("    IdentityFile \"{}\"\n", mine.display());
    assert!(after.contains(&own), "{after}");
    let after = after.replacen(&own, "", 1);
    nodes.env.write("build/ssh_config", format!("{before}{block}{after}"));
    nodes.start("foreign", DONE);
    nodes.remove("foreign/bin/piflash-node");
    nodes.start(
        "hostile",
        r#"{"version":1,"state":"do\u001b[2Jne","error":"\u001b]0;owned\u0007\u202e\r\nline"}"#,
    );
    nodes.start("huge", &"x".repeat(3 << 20));
    nodes.start("garbled", "\u{1b}[31m{\"version\":1,");

    let start = Instant::now();
    let (code, json) = json(&nodes, &["--timeout", "12"]);
    assert_eq!(code, Some(1));
    assert!(start.elapsed() < Duration::from_secs(60));
    let state = |name: &str| {
        let rows = json["nodes"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        (row["state"].as_str().unwrap(), row)
    };
    for (name, expected, said) in [
        ("good", "done", ""),
        ("waits", "waiting", "no route to the master"),
        ("off", "unreachable", "Connection refused"),
        ("silent", "no answer", "within 12 s"),
        ("stranger", "HOST KEY CHANGED", "not the node whose card"),
        ("locked", "login refused", "Permission denied"),
        ("foreign", "no piflash-node", "no piflash-node"),
        ("hostile", "done", "line"),
        ("huge", "malformed answer", "more than"),
        ("garbled", "malformed answer", "none"),
    ] {
        let (found, row) = state(name);
        assert_eq!(found, expected, "{row}");
        let error = row["error"].as_str().unwrap();
        assert!(error.contains(said), "{row}");
        assert!(!error.contains(char::is_control), "{row}");
    }
    let hint = state("stranger").1["hint"].as_str().unwrap();
    assert!(hint.contains("piflash build stranger"), "{hint}");
    assert_eq!(json["done"], false);

    let outcome = nodes.run(&["status", "--timeout", "12"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(!outcome.stdout.contains('\x1b'), "{outcome}");
    let loud = "stranger: HOST KEY CHANGED: this is not the node";
    assert!(outcome.stdout.contains(loud), "{outcome}");
    assert!(outcome.stderr.contains("error: 8 nodes are not done"));
    // Only those that were asked for count.
    let outcome = nodes.run(&["status", "hostile", "good", "good"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout.lines().count(), 3, "{outcome}");
}

#[test]
fn what_was_never_built_is_said() {
    let env = Env::new();
    env.write("inventory.yml", super::down::TWO);
    let outcome = env.run(&["status"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    for said in ["build/ssh_config", "piflash build --all", "--build-dir"] {
        assert!(outcome.stderr.contains(said), "{said}: {outcome}");
    }
    let args = ["build", "node1", "--image", "demo", "--offline"];
    assert_eq!(env.run(&args).code, Some(0));
    let outcome = env.run(&["status", "node2"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stdout.contains("never built"), "{outcome}");
    assert!(outcome.stdout.contains("piflash build node2"), "{outcome}");
    let outcome = env.run(&["status", "node3"]);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(outcome.stderr.contains("did you mean"), "{outcome}");
    let outcome = env.run(&["status", "--timeout", "0"]);
    assert_eq!(outcome.code, Some(2), "{outcome}");
}

/// A node that has become one of its cluster: no card begins that again.
#[test]
fn a_cluster_that_is_at_work_is_noted() {
    let nodes = Nodes::k3s(&["node1", "node2"], 2);
    let mark = nodes.env.work().join("build/secrets/k3s/seen-at-work");
    for name in ["node1", "node2"] {
        nodes.write(&format!("{name}/status"), WAITING);
    }
    let outcome = nodes.run(&["status"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(!mark.exists());
    nodes.write("node2/status", DONE);
    let outcome = nodes.run(&["status"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let day = std::fs::read_to_string(&mark).unwrap();
    assert!(day.len() == 11 && day.starts_with("20"), "{day}");
    let mode = std::fs::metadata(&mark).unwrap().permissions();
    let mode = std::os::unix::fs::PermissionsExt::mode(&mode);
    assert_eq!(mode & 0o777, 0o600);
    let args = ["build", "node1", "--image", "demo", "--offline"];
    let outcome = nodes.env.run(&args);
    assert!(outcome.stderr.contains("never begins another"), "{outcome}");
}

/// What is noted is noted where the builds look for it.
#[test]
fn a_cluster_is_noted_beside_secrets_that_are_elsewhere() {
    let nodes = Nodes::k3s(&["node1", "node2"], 2);
    let secrets = nodes.env.home().join("secrets");
    let usual = nodes.env.work().join("build/secrets");
    // The nodes' ssh servers have their keys in the usual place.
    let paths = [&usual, &secrets].map(|path| path.to_str().unwrap());
    run("cp", &["-a", paths[0], paths[1]]).unwrap();
    let note = format!("{}\n", secrets.display());
    nodes.env.write("build/secrets-dir.txt", note);
    let mark = secrets.join("k3s/seen-at-work");
    nodes.write("node1/status", DONE);
    let outcome = nodes.run(&["status"]);
    let wrong = usual.join("k3s/seen-at-work");
    assert!(mark.exists() && !wrong.exists(), "{outcome}");
    let outcome = nodes.run(&["down", "--all", "--yes", "--force"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(!mark.exists() && !wrong.exists());

    std::fs::remove_dir_all(&secrets).unwrap();
    std::fs::remove_dir_all(&usual).unwrap();
    let outcome = nodes.run(&["status"]);
    assert!(outcome.stderr.contains("which is not there"), "{outcome}");
    assert!(outcome.stdout.contains("node1"), "{outcome}");
    let outcome = nodes.run(&["down", "--all", "--yes"]);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(outcome.stderr.contains("mount it"), "{outcome}");
    assert!(!usual.exists());
}
