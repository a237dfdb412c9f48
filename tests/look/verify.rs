//! What is not what was built is found, whatever it is.

use super::{Cards, Copy, cards, json};
use crate::support::{
    env::{Env, Outcome},
    oracle,
};
use std::fs;

#[test]
fn a_card_is_what_it_should_be() {
    let cards = cards();
    let secrets = cards.env.work().join("build/secrets");
    let before = crate::support::files_under(&secrets);
    for node in ["node2", "node3"] {
        let outcome = cards.verify(&cards.node(node));
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert_eq!(outcome.stdout, "");
        let said = format!("is what the inventory says of {node}");
        assert!(outcome.stderr.contains(&said), "{outcome}");
    }
    assert_eq!(crate::support::files_under(&secrets), before);

    let copy = cards.copy(&cards.node("node3"));
    let path = copy.path.to_str().unwrap();
    let packed = copy.path.with_extension("xz");
    let args = ["-0", "-c", "--block-size=8MiB", path];
    fs::write(&packed, oracle::run("xz", &args).unwrap()).unwrap();
    let outcome = cards.verify(&packed);
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

/// The clock of the verifier does not matter: the card says when it was made.
#[test]
fn a_card_that_was_made_at_another_time_is_still_the_same() {
    let cards = cards();
    let output = cards
        .env
        .command()
        .env_remove("SOURCE_DATE_EPOCH")
        .args(["verify", "build/images/node3.img", "--json"])
        .args(["--image", "base.img", "--offline"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["version"], 1);
    assert_eq!(said["node"], "node3");
    assert_eq!(said["same"], true);
    assert_eq!(said["booted"], serde_json::Value::Null);
}

/// Tampers with a copy of node3, and returns what verify says of it.
fn tampered(tamper: impl Fn(&Cards, &Copy)) -> Outcome {
    let cards = cards();
    let copy = cards.copy(&cards.node("node3"));
    tamper(cards, &copy);
    let outcome = cards.verify(&copy.path);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert!(
        outcome.stderr.contains("is not what the inventory says"),
        "{outcome}"
    );
    outcome
}

#[test]
fn every_kind_of_tampering_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("new");
    fs::write(&file, b"other\n").unwrap();
    let file = file.to_str().unwrap();
    let root: [(String, &str); 7] = [
        (
            format!("rm /etc/hostname\nwrite {file} /etc/hostname\n"),
            "~ root:/etc/hostname: ",
        ),
        // One that piflash did not write.
        (
            format!("rm /usr/bin/sudo\nwrite {file} /usr/bin/sudo\n"),
            "~ root:/usr/bin/sudo: ",
        ),
        (
            "sif /etc/shadow mode 0100644\n".to_owned(),
            "~ root:/etc/shadow: mode 0640 -> 0644",
        ),
        (
            "sif /etc/ssh/ssh_host_ed25519_key uid 1000\n".to_owned(),
            "key: owner 0:0 -> 1000:0",
        ),
        ("rm /etc/timezone\n".to_owned(), "- root:/etc/timezone: "),
        (
            format!("write {file} /etc/cron.d-evil\n"),
            "+ root:/etc/cron.d-evil: ",
        ),
        (
            "rm /etc/localtime\nsymlink /etc/localtime /x\n".to_owned(),
            "~ root:/etc/localtime: target ",
        ),
    ];
    let mut commands = String::new();
    for (command, _) in &root {
        commands += command;
    }
    let outcome = tampered(|cards, copy| {
        copy.debugfs(cards, &commands);
        let to = ["-o", file, "::/config.txt"];
        copy.mtools(cards, "mcopy", &to);
        copy.mtools(cards, "mcopy", &["-o", file, "::/added.txt"]);
    });
    for (_, said) in &root {
        assert!(outcome.stdout.contains(said), "{said}\n{outcome}");
    }
    for said in ["~ boot:/config.txt: ", "+ boot:/added.txt: "] {
        assert!(outcome.stdout.contains(said), "{said}\n{outcome}");
    }
}

#[test]
fn what_is_no_file_is_named() {
    let outcome = tampered(|_, copy| copy.flip(440, 1));
    assert!(outcome.stdout.contains("! the first sector"), "{outcome}");
    // Between the table and the first partition.
    let outcome = tampered(|_, copy| copy.flip(4096 * 3, 1));
    let said = "! what lies outside of all partitions";
    assert!(outcome.stdout.contains(said), "{outcome}");
    let (_, root) = cards().case.offsets();
    // The volume's name in the superblock has a checksum, where there is one.
    let outcome = tampered(|_, copy| copy.flip(root + 1024 + 0x78, 1));
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(said.contains("superblock") || said.contains("root: "), "{said}");
    let end = root + cards().case.layout.root.sectors * 512;
    let outcome = tampered(|_, copy| copy.flip(end - 4096, 1));
    let said = "! root: space that belongs to no file differs";
    assert!(outcome.stdout.contains(said), "{outcome}");
    let outcome = tampered(|cards, copy| {
        copy.debugfs(cards, "ssv state 2\n");
    });
    assert!(outcome.stdout.contains("marked as having errors"), "{outcome}");
    let outcome = tampered(|_, copy| {
        let file = fs::OpenOptions::new().write(true).open(&copy.path);
        let file = file.unwrap();
        let size = file.metadata().unwrap().len();
        file.set_len(size - 512).unwrap();
    });
    assert!(outcome.stdout.contains("last 512 bytes are"), "{outcome}");
}

/// No byte of an image is free to be changed. `PIFLASH_TAMPERINGS` bytes are
/// tried; by default a few, as each is a build of its own.
#[test]
fn any_changed_byte_is_found() {
    let tries = std::env::var("PIFLASH_TAMPERINGS");
    let tries: u64 = tries.map_or(12, |tries| tries.parse().unwrap());
    let cards = cards();
    let copy = cards.copy(&cards.node("node3"));
    let size = fs::metadata(&copy.path).unwrap().len();
    let (boot, root) = cards.case.offsets();
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    for number in 0..tries {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Half of them where there is most: at the front of file systems.
        let at = match number % 4 {
            0 => boot + random % (1 << 20),
            1 => root + random % (8 << 20),
            _ => random % size,
        };
        let with = 1 << (random >> 32 & 7);
        copy.flip(at, with);
        let outcome = cards.verify(&copy.path);
        assert_eq!(outcome.code, Some(3), "byte {at}, bit {with}: {outcome}");
        assert!(!outcome.stdout.is_empty(), "byte {at}: {outcome}");
        copy.flip(at, with);
    }
    let outcome = cards.verify(&copy.path);
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

#[test]
fn a_changed_inventory_is_another_card() {
    let cards = cards();
    let text = String::from_utf8(cards.env.read("inventory.yml")).unwrap();
    let text = text.replace("192.168.71.23", "192.168.71.99");
    cards.env.write("other.yml", text);
    let outcome = cards.run(&[
        "-i",
        "other.yml",
        "verify",
        "build/images/node3.img",
        "--image",
        "base.img",
        "--offline",
    ]);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert!(outcome.stdout.contains("piflash-"), "{outcome}");

    let args = ["verify", "build/images/node2.img", "--node", "node3"];
    let outcome = cards.run(&[&args[..], &["--image", "base.img"]].concat());
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert!(outcome.stderr.contains("it is the card of node2"), "{outcome}");
}

#[test]
fn what_piflash_did_not_make_is_not_verified() {
    let cards = cards();
    let outcome = cards.verify(&cards.base());
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert!(outcome.stderr.contains("manifest.json"), "{outcome}");

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("new");
    for (text, said) in [
        ("{\"version\": 99}", "only a newer piflash knows"),
        ("{}", "it is damaged"),
        ("\u{1b}[31m", "it is damaged"),
    ] {
        fs::write(&file, text).unwrap();
        let outcome = tampered(|cards, copy| {
            let path = "/etc/piflash/manifest.json";
            let file = file.display();
            copy.debugfs(cards, &format!("rm {path}\nwrite {file} {path}\n"));
        });
        assert!(outcome.stderr.contains(said), "{outcome}");
    }

    // Another base than the one that it was made from.
    let outcome = cards.run(&[
        "verify",
        "build/images/node3.img",
        "--image",
        "demo",
        "--offline",
    ]);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert!(outcome.stderr.contains("it was made from base.img"), "{outcome}");
}

#[test]
fn secrets_are_never_made() {
    let cards = cards();
    let env = Env::new();
    env.write("inventory.yml", cards.env.read("inventory.yml"));
    let image = cards.node("node3");
    let base = cards.base();
    let args = ["verify", image.to_str().unwrap(), "--offline", "--image"];
    let args = [&args[..], &[base.to_str().unwrap()]].concat();
    let outcome = env.run(&args);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("there is no such secret"), "{outcome}");
    assert!(outcome.stderr.contains("--build-dir"), "{outcome}");
    assert!(!env.work().join("build").exists());
}

/// As after the first boot: mounted, a machine-id, logs, a grown partition.
#[test]
fn a_card_that_has_booted_is_told_from_one_that_was_tampered_with() {
    let outcome = tampered(|cards, copy| {
        let mut commands =
            String::from("ssv mtime 1800000000\nssv mnt_count 1\n");
        for number in 0..40 {
            commands += &format!("mkdir /var/log/{number}\n");
        }
        commands += "rm /etc/timezone\n";
        copy.debugfs(cards, &commands);
    });
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{outcome}");
    assert!(lines[0].contains("it has been booted"), "{outcome}");
    assert!(lines[0].contains("2027-01-15"), "{outcome}");
    assert!(lines[1].contains("/etc/timezone: it is not there"), "{outcome}");
    let cards = cards();
    let copy = cards.copy(&cards.node("node3"));
    copy.debugfs(cards, "ssv mtime 1800000000\n");
    let path = copy.path.to_str().unwrap();
    let args = ["verify", path, "--json", "--offline", "--image", "base.img"];
    let said = json(&cards.run(&args));
    assert_eq!(said["booted"], 1_800_000_000);
    assert_eq!(said["same"], false);
    assert_eq!(said["differences"].as_array().unwrap().len(), 1);
}
