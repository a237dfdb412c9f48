//! `--progress`: what is on standard error, for people and for programs.

use std::{process::Command, time::Duration};

use crate::support::{
    env::{Env, Outcome},
    events, repository,
    vendor::Vendor,
};

fn json(env: &Env, args: &[&str]) -> Outcome {
    env.run(&[&["--progress", "json"], args].concat())
}

#[test]
fn a_build_is_told_as_json_lines() {
    let env = Env::new();
    let example = repository().join("examples/homelab.yml");
    let args = ["-i", example.to_str().unwrap(), "build", "node3"];
    let args = [&args[..], &["--image", "demo", "--offline"]].concat();
    let outcome = json(&env, &args);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout, "");
    let events = outcome.events();
    let stages: Vec<_> = events
        .iter()
        .filter(|event| event["stage"].is_string())
        .map(|e| format!("{} {}", e["event"], e["stage"]).replace('"', ""))
        .filter(|event| !event.starts_with("progress"))
        .collect();
    assert_eq!(
        stages,
        [
            // For NODE.json.
            "start hash-base",
            "finish hash-base",
            "start edit",
            "finish edit",
            "start read-back",
            "finish read-back",
            "start write",
            "finish write"
        ]
    );
    let written = events::of(&events, "finish")[3];
    assert_eq!(written["name"], "node3");
    assert_eq!(written["done"], written["total"]);
    let said = events::of(&events, "message");
    let said = said[0]["text"].as_str().unwrap();
    assert!(said.starts_with("build/images/node3.img\n"), "{said}");

    let quiet = json(&env, &[&args[..], &["-q"]].concat());
    assert_eq!(quiet.code, Some(0), "{quiet}");
    assert_eq!(quiet.stderr, "");
}

/// The same exit code as for people, and one error at the end.
#[test]
fn errors_are_events_and_keep_their_codes() {
    let env = Env::new();
    env.write(
        "bad.yml",
        "all:\n  hosts:\n    node1: {ansible_host: 10.0.0.1, gatway: 10.0.0.2}\n",
    );
    env.write(
        "good.yml",
        "all:\n  hosts:\n    node1: {ansible_host: 10.0.0.1}\n\
         \x20 vars: {ssh_authorized_keys: []}\n",
    );
    env.write("no.img", "no image");
    let unproven = ["--image", "http://127.0.0.1:9/x.img"];
    let good = ["-i", "good.yml", "build", "node1"];
    for (args, code, said) in [
        (vec!["build"], 2, "<NODE>"),
        (vec!["bild"], 2, "unrecognized subcommand"),
        (vec!["build", "x", "--progress"], 2, "value"),
        (vec!["-i", "bad.yml", "build", "node1"], 2, "did you mean"),
        (vec!["-i", "good.yml", "build", "node2"], 2, "there are: node1"),
        ([&good[..], &["--image", "no.img"]].concat(), 1, "no.img"),
        ([&good[..], &unproven].concat(), 3, "--insecure"),
        (vec!["images", "nothing"], 2, "piflash images"),
    ] {
        let text = env.run(&args);
        assert_eq!(text.code, Some(code), "{text}");
        assert!(text.stderr.starts_with("error: "), "{text}");
        let outcome = json(&env, &args);
        assert_eq!(outcome.code, Some(code), "{outcome}");
        let events = outcome.events();
        assert_eq!(events::of(&events, "error").len(), 1, "{outcome}");
        let error = events.last().unwrap();
        assert_eq!(error["event"], "error", "{outcome}");
        assert!(error.to_string().contains(said), "`{said}`: {outcome}");
        for list in ["causes", "hints"] {
            let list = error[list].as_array().unwrap();
            assert!(list.iter().all(|text| text.is_string()));
        }
    }
    let help = json(&env, &["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""), "{help}");
}

#[test]
fn warnings_are_events() {
    let env = Env::new();
    env.write(
        "inventory.yml",
        "all:\n  hosts:\n    node1: {ansible_host: 10.0.0.1}\n\
         \x20 vars: {ssh_authorized_keys: []}\n",
    );
    env.write("group_vars/nobody.yml", "gateway: 10.0.0.254\n");
    let text = env.run(&["build", "node1", "--image", "demo"]);
    let outcome = json(&env, &["build", "node1", "--image", "demo"]);
    let warned = text.stderr.matches("warning: ").count();
    let events = outcome.events();
    assert_eq!(events::of(&events, "warning").len(), warned, "{text}");
    assert!(warned > 0, "{text}");
}

#[test]
fn events_come_at_most_five_times_a_second() {
    let vendor = Vendor::start(1, Duration::from_millis(50));
    let env = vendor.customer(&[0]);
    let start = std::time::Instant::now();
    let outcome = json(&env, &["build", "node1"]);
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let events = outcome.events();
    let told = events::of(&events, "progress");
    let downloads =
        told.iter().filter(|event| event["stage"] == "download").count();
    // 33 pieces in 1.65 s.
    assert!(downloads >= 4, "{outcome}");
    assert!(downloads as f64 <= seconds * 5.0, "{outcome}");
    assert!(told.iter().all(|event| event["total"].is_u64()), "{outcome}");
}

#[test]
fn without_a_terminal_there_is_no_bar() {
    let vendor = Vendor::start(1, Duration::from_millis(10));
    for how in ["auto", "none"] {
        let env = vendor.customer(&[0]);
        let outcome = env.run(&["--progress", how, "build", "node1"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert!(outcome.stderr.starts_with("build/images/"), "{outcome}");
        assert!(!outcome.stderr.contains(['\r', '\x1b', '{']), "{outcome}");
    }
}

/// On a pseudo-terminal of script(1).
#[test]
fn on_a_terminal_each_download_has_a_bar() {
    let shown = |how: &str| {
        let vendor = Vendor::start(2, Duration::from_millis(10));
        let env = vendor.customer(&[0, 1]);
        let program = env!("CARGO_BIN_EXE_piflash");
        let output = Command::new("script")
            .args(["-qec", &format!("{program} --progress {how} build --all")])
            .arg("/dev/null")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", env.home())
            .env("TERM", "xterm")
            .current_dir(env.work())
            .output()
            .expect("is Debian's package bsdutils installed?");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        assert!(text.contains("build/images/node2.img"), "{text}");
        text
    };
    let bars = shown("auto");
    for image in ["1.img.zst: download", "2.img.zst: download"] {
        assert!(bars.contains(image), "{image}: {bars}");
    }
    assert!(bars.contains('\x1b'));
    assert!(!shown("none").contains("download"));
}
