//! Commands other than build, and what they print.

use crate::support::{env::Env, repository};

#[test]
fn init_writes_an_inventory_that_plans() {
    let env = Env::new();
    let outcome = env.run(&["init"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let written = env.read("inventory.yml");
    let outcome = env.run(&["plan", "node1", "--image", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");

    let again = env.run(&["init"]);
    assert_eq!(again.code, Some(2), "{again}");
    assert!(again.stderr.contains("is there already"), "{again}");
    assert_eq!(env.read("inventory.yml"), written);
}

#[test]
fn plan_is_json_for_programs_and_shows_no_secret() {
    let env = Env::new();
    let hash = "$6$saltsalt$wnA6uGdXUkTlF.uXs7Hi8sC7ohbdRbYvRBYjSOm4tQ3FTHmNZKXa2qN4sJ0Jk1Q0Q1a1mVqHcXQyKkqYp0w4E0";
    let example =
        std::fs::read_to_string(repository().join("examples/homelab.yml"))
            .unwrap();
    env.write(
        "inventory.yml",
        format!("{}\n    password_hash: '{hash}'\n", example.trim_end()),
    );
    let args = ["plan", "node3", "--image", "demo"];
    let text = env.run(&args);
    assert_eq!(text.code, Some(0), "{text}");
    let json = env.run(&[&args[..], &["--json"]].concat());
    assert_eq!(json.code, Some(0), "{json}");
    let plan: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(plan["version"], 1);
    assert_eq!(plan["node"], "node3");
    let edits = plan["edits"].as_array().unwrap();
    let shadow =
        edits.iter().find(|edit| edit["path"] == "/etc/shadow").unwrap();
    assert_eq!(shadow["secret"], true);
    assert!(shadow.get("content").is_none() && shadow.get("sha256").is_none());
    for outcome in [text, json] {
        assert!(!outcome.stdout.contains("saltsalt"), "{outcome}");
    }
    // The image does hold it.
    let outcome = env.run(&["build", "node3", "--image", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(!outcome.stderr.contains("saltsalt"), "{outcome}");
}

#[test]
fn help_fits_a_terminal() {
    let env = Env::new();
    for args in [&["--help"][..], &["plan", "--help"], &["build", "--help"]] {
        let outcome = env.run(args);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        for line in outcome.stdout.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    use std::process::{Command, Stdio};
    let example = repository().join("examples/homelab.yml");
    let mut child = Command::new(env!("CARGO_BIN_EXE_piflash"))
        .args(["-i", example.to_str().unwrap()])
        .args(["plan", "node3", "--image", "demo", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
