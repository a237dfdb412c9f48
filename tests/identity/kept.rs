//! Keys are made once and kept; what is wrong with them is said.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
};

use super::{ECDSA, INVENTORY, KEY, build, built, env};
use crate::support::{env::Env, files_under, oracle};

/// Every file of the secrets, with its content.
fn secrets(env: &Env) -> BTreeMap<String, Vec<u8>> {
    let top = env.work().join("build/secrets");
    files_under(&top)
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&top).unwrap();
            (name.display().to_string(), fs::read(&path).unwrap())
        })
        .collect()
}

#[test]
fn the_first_build_makes_keys_that_openssh_reads() {
    let env = env();
    let said = built(&env, "node3");
    let names: Vec<String> = secrets(&env).into_keys().collect();
    let node = |name: &str| format!("nodes/node3/ssh_host_{name}");
    assert_eq!(
        names,
        [
            ".gitignore".to_owned(),
            ".lock".to_owned(),
            node("ecdsa_key"),
            node("ecdsa_key.pub"),
            node("ed25519_key"),
            node("ed25519_key.pub"),
        ]
    );
    for key in [KEY, ECDSA] {
        let path = env.work().join(key);
        let path = path.to_str().unwrap();
        let public = oracle::run("ssh-keygen", &["-y", "-f", path]).unwrap();
        let kept = env.read(&format!("{key}.pub"));
        assert_eq!(
            String::from_utf8(public).unwrap(),
            String::from_utf8(kept).unwrap()
        );
        let key = oracle::run("ssh-keygen", &["-l", "-f", path]).unwrap();
        let key = String::from_utf8(key).unwrap();
        assert!(key.starts_with("256 "), "{key}");
        let fingerprint = key.split(' ').nth(1).unwrap();
        assert!(said.contains(fingerprint), "{said}");
    }
    let ignore = String::from_utf8(env.read("build/secrets/.gitignore"));
    assert!(ignore.unwrap().lines().any(|line| line == "*"));
}

#[test]
fn secrets_are_for_their_owner_alone() {
    let env = env();
    built(&env, "node3");
    let mode = |path: &std::path::Path| {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    };
    let top = env.work().join("build/secrets");
    for file in files_under(&top) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    for dir in ["", "nodes", "nodes/node3"] {
        assert_eq!(mode(&top.join(dir)), 0o700, "{dir}");
    }
}

#[test]
fn later_builds_use_the_same_keys() {
    let env = env();
    built(&env, "node3");
    let first = secrets(&env);
    let image = env.read("build/images/node3.img");
    let hosts = env.read("build/known_hosts");
    built(&env, "node3");
    assert_eq!(secrets(&env), first);
    assert!(env.read("build/images/node3.img") == image);
    assert_eq!(env.read("build/known_hosts"), hosts);

    // Another node gets others.
    built(&env, "node4");
    let all = secrets(&env);
    assert_ne!(
        all["nodes/node4/ssh_host_ed25519_key"],
        all["nodes/node3/ssh_host_ed25519_key"]
    );
    assert!(first.iter().all(|(name, content)| all[name] == *content));
}

#[test]
fn builds_at_the_same_time_agree() {
    for _ in 0..3 {
        let env = env();
        let start = |node: &str| -> Child {
            Command::new(env!("CARGO_BIN_EXE_piflash"))
                .args(["build", node, "--image", "demo", "--offline"])
                .env("HOME", env.home())
                .current_dir(env.work())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        let runs = ["node3", "node4", "node3", "node4"].map(start);
        for mut run in runs {
            assert!(run.wait().unwrap().success());
        }
        let hosts = String::from_utf8(env.read("build/known_hosts")).unwrap();
        assert_eq!(hosts.lines().count(), 4, "{hosts}");
        for node in ["node3", "node4"] {
            for kind in ["ed25519", "ecdsa"] {
                let path =
                    format!("build/secrets/nodes/{node}/ssh_host_{kind}_key");
                let path = env.work().join(path);
                let key = oracle::run(
                    "ssh-keygen",
                    &["-y", "-f", path.to_str().unwrap()],
                );
                let key = String::from_utf8(key.unwrap()).unwrap();
                assert!(hosts.contains(key.trim()), "{key} in {hosts}");
            }
        }
        let config = String::from_utf8(env.read("build/ssh_config")).unwrap();
        assert_eq!(config.matches("Host node").count(), 2, "{config}");
    }
}

#[test]
fn a_missing_public_half_is_derived_again() {
    let env = env();
    built(&env, "node3");
    let first = secrets(&env);
    fs::remove_file(env.work().join(format!("{KEY}.pub"))).unwrap();
    built(&env, "node3");
    assert_eq!(secrets(&env), first);
}

/// Builds with a spoiled secret; what is said. Nothing is written.
fn refused(spoil: impl FnOnce(&Env)) -> String {
    let env = env();
    built(&env, "node3");
    spoil(&env);
    let before = secrets(&env);
    fs::remove_file(env.work().join("build/images/node3.img")).unwrap();
    let outcome = build(&env, "node3");
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert_eq!(secrets(&env), before);
    assert!(!env.work().join("build/images/node3.img").exists());
    outcome.stderr
}

#[test]
fn a_damaged_key_is_named_and_kept() {
    let said = refused(|env| {
        let key = env.read(KEY);
        env.write(KEY, &key[..key.len() / 2]);
    });
    assert!(said.contains(KEY) && said.contains("damaged"), "{said}");
    assert!(said.contains("restore") && said.contains("flash"), "{said}");
    let said = refused(|env| env.write(KEY, ""));
    assert!(said.contains(KEY) && said.contains("damaged"), "{said}");
    let said = refused(|env| env.write(KEY, [0xff, 0xfe, 0x00]));
    assert!(said.contains(KEY) && said.contains("not text"), "{said}");
}

#[test]
fn a_foreign_key_is_named_and_kept() {
    let said = refused(|env| env.write(KEY, env.read(ECDSA)));
    assert!(said.contains(KEY) && said.contains("ecdsa"), "{said}");
    let other = format!("{KEY}.pub");
    let said = refused(|env| {
        env.write(&other, env.read(&format!("{ECDSA}.pub")));
    });
    assert!(said.contains(&other) && said.contains("foreign"), "{said}");
    assert!(said.contains("derived from"), "{said}");
    let said = refused(|env| {
        let path = env.work().join(KEY);
        let path = path.to_str().unwrap();
        let args = ["-p", "-q", "-N", "a passphrase", "-f", path];
        oracle::run("ssh-keygen", &args).unwrap();
    });
    assert!(said.contains(KEY) && said.contains("passphrase"), "{said}");
}

#[test]
fn open_modes_are_refused_as_ssh_does() {
    let said = refused(|env| env.chmod(KEY, 0o640));
    assert!(said.contains("mode 0640"), "{said}");
    assert!(said.contains("chmod go= build/secrets/nodes"), "{said}");
    let said = refused(|env| env.chmod("build/secrets", 0o755));
    assert!(said.contains("build/secrets: mode 0755"), "{said}");
}

#[test]
fn what_cannot_be_made_says_why() {
    let env = env();
    env.write("build/secrets", "a file");
    let outcome = build(&env, "node3");
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("build/secrets"), "{outcome}");
    assert!(outcome.stderr.contains("identity of node3"), "{outcome}");
}

#[test]
fn a_plan_makes_no_secret_and_shows_none() {
    let env = env();
    let text = env.run(&["plan", "node3", "--image", "demo"]);
    let json = env.run(&["plan", "node3", "--image", "demo", "--json"]);
    assert!(!env.work().join("build").exists());
    let row = "/etc/piflash/ssh/ssh_host_ed25519_key (secret)";
    assert!(text.stdout.contains(row), "{text}");

    // It is the same when they are there.
    let made = built(&env, "node3");
    assert_eq!(env.run(&["plan", "node3", "--image", "demo"]), text);
    let again = env.run(&["plan", "node3", "--image", "demo", "--json"]);
    assert_eq!(again, json);

    let private = String::from_utf8(env.read(KEY)).unwrap();
    let line = private.lines().nth(2).unwrap();
    let lock = env.work().join("piflash.lock");
    let lock = fs::read_to_string(lock).unwrap_or_default();
    for said in [&text.stdout, &json.stdout, &made, &lock] {
        assert!(!said.contains(line) && !said.contains("PRIVATE"), "{said}");
    }
}

/// Nodes of two inventories may be built into one directory.
#[test]
fn known_hosts_and_ssh_config_keep_other_nodes() {
    let env = env();
    built(&env, "node3");
    let other = INVENTORY.replace("node3", "pi9").replace(".23", ".99");
    env.write("inventory.yml", other);
    built(&env, "pi9");
    let text = |path| String::from_utf8(env.read(path)).unwrap();
    let hosts = text("build/known_hosts");
    let names: Vec<&str> =
        hosts.lines().map(|l| l.split(' ').next().unwrap()).collect();
    let (three, nine) = ("node3,192.168.71.23", "pi9,192.168.71.99");
    assert_eq!(names, [three, three, nine, nine]);
    let config = text("build/ssh_config");
    assert!(config.contains("Host node3\n"), "{config}");
    assert!(config.contains("Host pi9\n    HostName 192.168.71.99\n"));

    // A node whose identity is gone is no longer known.
    let gone = env.work().join("build/secrets/nodes/node3");
    fs::remove_dir_all(gone).unwrap();
    built(&env, "pi9");
    assert!(!text("build/known_hosts").contains("node3"));
    assert!(!text("build/ssh_config").contains("node3"));
}
