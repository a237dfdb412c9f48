//! What is not built, what is said about it, and that nothing is written.

use std::{fs, os::unix::fs::FileExt};

use crate::support::{env::Env, ext4::run_ok, image::Case};

const NODE: &str = "\
all:
  hosts:
    node1: {ansible_host: 192.168.71.21}
  children:
    raspbian: {hosts: {node1: {}}}
  vars:
    gateway: 192.168.71.1
    ssh_authorized_keys: []
";

/// Runs a build that must fail with `code` and say all of `said`, and looks
/// that no file was made.
fn refused(env: &Env, args: &[&str], code: i32, said: &[&str]) {
    let outcome = env.run(args);
    assert_eq!(outcome.code, Some(code), "{outcome}");
    for words in said {
        assert!(outcome.stderr.contains(words), "`{words}`: {outcome}");
    }
    assert!(outcome.stderr.starts_with("error: "), "{outcome}");
    assert!(!env.work().join("build").exists(), "{outcome}");
}

const BUILD: &[&str] = &["build", "node1", "--image", "demo"];

#[test]
fn inventories_that_cannot_be_meant() {
    for (from, to, said) in [
        (
            "gateway:",
            "gatway:",
            &["inventory.yml:7:5", "did you mean `gateway`"][..],
        ),
        ("192.168.71.21", "10.0.0.1", &["inventory.yml:3:", "10.0.0.1"]),
        ("node1: {ans", "node_1: {ans", &["node_1"]),
        ("[]", "[ssh-rsa nonsense]", &["inventory.yml:8:"]),
        (
            "    raspbian:",
            "    ubuntu: {hosts: {node1: }}\n    raspbian:",
            &["raspbian", "ubuntu"],
        ),
        (
            "    raspbian:",
            "    k3s_worker: {hosts: {node1: }}\n    raspbian:",
            &["k3s_master"],
        ),
        ("all:", "all: [", &["inventory.yml:"]),
    ] {
        let env = Env::new();
        assert!(NODE.contains(from));
        env.write("inventory.yml", NODE.replacen(from, to, 1));
        refused(&env, BUILD, 2, said);
    }
}

#[test]
fn nodes_and_inventories_that_are_not_there() {
    let env = Env::new();
    refused(&env, BUILD, 2, &["inventory.yml"]);
    env.write("inventory.yml", NODE);
    let args = ["build", "nod1", "--image", "demo"];
    refused(&env, &args, 2, &["nod1", "did you mean `node1`"]);
    // Only the groups of an OS have a stock image.
    env.write("inventory.yml", NODE.replace("raspbian", "rack"));
    refused(&env, &["build", "node1"], 2, &["no base image", "--image"]);
}

#[test]
fn a_node_that_nobody_could_log_in_to() {
    let env = Env::new();
    env.write("inventory.yml", NODE.replace("ssh_authorized_keys: []", ""));
    let case = Case::load("trixie");
    case.write(&env.work().join("base.img")).unwrap();
    let args = ["build", "node1", "--image", "base.img"];
    refused(&env, &args, 2, &["nobody could log in", "ssh-keygen"]);
}

#[test]
fn images_that_are_none() {
    let env = Env::new();
    env.write("inventory.yml", NODE);
    env.write("zeros.img", vec![0; 1 << 20]);
    env.write("text.img", "not an image\n");
    let fifo = env.work().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, fifo, 0o600.into()).unwrap();
    let try_image = |image: &str, said: &[&str]| {
        refused(&env, &["build", "node1", "--image", image], 1, said);
    };
    try_image("missing.img", &["missing.img", "node1"]);
    try_image("zeros.img", &["zeros.img", "partition table"]);
    try_image("text.img", &["text.img"]);
    for none in [".", "fifo", "/dev/null", "/dev/zero"] {
        try_image(none, &["node1", none, "not a regular file"]);
    }
}

#[test]
fn images_that_are_damaged() {
    let env = Env::new();
    env.write("inventory.yml", NODE);
    let case = Case::load("trixie");
    let base = env.work().join("base.img");
    let (_, root) = case.offsets();
    let sb = root + 1024;
    // Offsets in the superblock; with metadata_csum any change shows.
    for (what, offset, bytes) in [
        ("magic", 0x38_u64, &[0_u8, 0][..]),
        ("block size", 0x18, &[99, 0, 0, 0]),
        ("incompat features", 0x60, &[0xff; 4]),
    ] {
        case.write(&base).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&base).unwrap();
        file.write_all_at(bytes, sb + offset).unwrap();
        drop(file);
        let outcome = env.run(&["build", "node1", "--image", "base.img"]);
        assert_eq!(outcome.code, Some(1), "{what}: {outcome}");
        assert!(!env.work().join("build").exists(), "{what}");
    }
}

#[test]
fn a_root_that_was_not_unmounted() {
    for name in ["bookworm", "ubuntu-24.04"] {
        let env = Env::new();
        env.write("inventory.yml", NODE);
        let case = Case::load(name);
        let base = env.work().join("base.img");
        case.write(&base).unwrap();
        let (_, root) = case.offsets();
        let place = format!("{}?offset={root}", base.display());
        run_ok("debugfs", &["-w", "-R", "feature needs_recovery", &place]);
        let outcome = env.run(&["build", "node1", "--image", "base.img"]);
        assert_eq!(outcome.code, Some(2), "{outcome}");
        for said in ["was not unmounted", "e2fsck -p on a copy"] {
            assert!(outcome.stderr.contains(said), "{outcome}");
        }
        assert!(!env.work().join("build/images/node1.img").exists());
        // It can be looked at.
        let outcome = env.run(&["inspect", "base.img", "root:/etc/hostname"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
    }
}

#[test]
fn places_where_nothing_can_be_written() {
    let env = Env::new();
    env.write("inventory.yml", NODE);
    env.write("file", "not a directory");
    let outcome =
        env.run(&["build", "node1", "--image", "demo", "--build-dir", "file"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("node1"), "{outcome}");
    assert_eq!(env.read("file"), b"not a directory");
}

#[test]
fn a_time_that_is_none() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let env = Env::new();
    env.write("inventory.yml", NODE);
    for time in [&b"abc"[..], b"-1", b"", b"2147483648", b"\xff"] {
        let time = OsStr::from_bytes(time);
        let mut command = env.command();
        command.args(BUILD).env("SOURCE_DATE_EPOCH", time);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{time:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("SOURCE_DATE_EPOCH"), "{time:?}: {said}");
        assert!(!env.work().join("build").exists(), "{time:?}");
    }
}

#[test]
fn words_that_are_no_command() {
    let env = Env::new();
    for args in [&["built"][..], &["build"], &["build", "--all", "node1"]] {
        let outcome = env.run(args);
        assert_eq!(outcome.code, Some(2), "{outcome}");
    }
}
