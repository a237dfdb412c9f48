//! Commands other than build, and what they print.

use crate::support::{env::Env, repository};

#[test]
fn init_writes_an_inventory_that_plans() {
    let env = Env::new();
    let outcome = env.run(&["init"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let written = env.read("inventory.yml");
    let outcome = env.run(&["plan", "node1", "--image", "demo", "--offline"]);
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
    let args = ["plan", "node3", "--image", "demo", "--offline"];
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
    let outcome = env.run(&["build", "node3", "--image", "demo", "--offline"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(!outcome.stderr.contains("saltsalt"), "{outcome}");
}

#[test]
fn help_fits_a_terminal() {
    let env = Env::new();
    for args in [
        &["--help"][..],
        &["plan", "--help"],
        &["build", "--help"],
        &["images", "--help"],
        &["write", "--help"],
        &["inspect", "--help"],
        &["verify", "--help"],
        &["diff", "--help"],
    ] {
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
        .args(["plan", "node3", "--image", "demo", "--json", "--offline"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn images_are_listed_as_a_table() {
    let env = Env::new();
    let outcome = env.run(&["images"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stderr, "");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert!(lines[0].starts_with("ID "), "{outcome}");
    assert!(lines[1].starts_with("raspios-"), "{outcome}");
    assert!(lines.iter().all(|line| line.chars().count() <= 100));
    assert!(lines.contains(&""), "{outcome}");

    // Buster gets no more images, and 20.04 no more point releases.
    insta::assert_snapshot!(env.run(&["images", "Buster"]));
    insta::assert_snapshot!(env.run(&["images", "ubuntu-20.04"]));
    insta::assert_snapshot!(env.run(&["images", "raspios-busted"]));
}

#[test]
fn images_are_json_for_programs() {
    let env = Env::new();
    let outcome = env.run(&["images", "--json"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let all: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(all["version"], 1);
    let images = all["images"].as_array().unwrap();
    assert!(images.len() > 60);
    let aliases: Vec<_> =
        images.iter().filter(|i| i["aliases"][0] == "raspios").collect();
    assert_eq!(aliases.len(), 1, "{outcome}");

    insta::assert_snapshot!(env.run(&[
        "images",
        "--json",
        "ubuntu-20.04.5-armhf"
    ]));
}
