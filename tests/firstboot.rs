//! The shell that runs on the node, under dash and busybox, on a root made
//! for it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use crate::support::repository;

const SHELLS: &[&[&str]] = &[&["dash"], &["busybox", "sh"]];

struct Node {
    root: tempfile::TempDir,
}

impl Node {
    fn new(steps: &[(&str, &str)]) -> Self {
        let node = Self { root: tempfile::tempdir().unwrap() };
        node.write("etc/hostname", "node3\n");
        for (name, script) in steps {
            let path = format!("usr/local/lib/piflash/steps/{name}");
            node.write(&path, &format!("#!/bin/sh\n{script}\n"));
            let path = node.root.path().join(path);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))
                .unwrap();
        }
        node
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.path().join(path)).unwrap()
    }

    fn status(&self) -> serde_json::Value {
        let text = self.read("var/lib/piflash/status.json");
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    fn run(&self, shell: &[&str], script: &Path, args: &[&str]) -> Output {
        Command::new(shell[0])
            .args(&shell[1..])
            .arg(script)
            .args(args)
            .env("PIFLASH_ROOT", self.root.path())
            .env("PIFLASH_PAUSE", "0")
            .output()
            .unwrap_or_else(|e| {
                panic!("{}: {e}: is its Debian package installed?", shell[0])
            })
    }

    fn provision(&self, shell: &[&str]) {
        let script = repository().join("firstboot/provision");
        let output = self.run(shell, &script, &[]);
        assert!(output.status.success(), "{shell:?} {output:?}");
    }
}

#[test]
fn steps_run_once_in_order_and_report() {
    for shell in SHELLS {
        let order = "echo $(basename $0) >>$PIFLASH_ROOT/order";
        let node = Node::new(&[("20-b", order), ("10-a", order)]);
        node.provision(shell);
        assert_eq!(node.read("order"), "10-a\n20-b\n");
        let status = node.status();
        assert_eq!(status["state"], "done", "{status}");
        assert_eq!(status["node"], "node3");
        assert_eq!((&status["done"], &status["steps"]), (&2.into(), &2.into()));
        node.provision(shell);
        assert_eq!(node.read("order"), "10-a\n20-b\n", "{shell:?}");
    }
}

#[test]
fn a_failing_step_is_tried_again_and_its_error_is_kept() {
    for shell in SHELLS {
        let node = Node::new(&[(
            "10-flaky",
            "cp $PIFLASH_ROOT/var/lib/piflash/status.json \
             $PIFLASH_ROOT/seen-$(ls $PIFLASH_ROOT | grep -c seen)\n\
             [ -e $PIFLASH_ROOT/seen-2 ] || { printf 'no \"net\\\\work\\n'; exit 1; }",
        )]);
        node.provision(shell);
        let attempt = |number: u32| -> serde_json::Value {
            serde_json::from_str(&node.read(&format!("seen-{number}"))).unwrap()
        };
        assert_eq!(attempt(0)["attempt"], 1);
        assert_eq!(attempt(2)["attempt"], 3);
        assert_eq!(node.status()["state"], "done");
        let log = node.read("var/log/piflash.log");
        assert_eq!(log.matches("failed (no \"net\\work)").count(), 2, "{log}");
    }
}

/// Power goes in the middle of the second step: the first does not run
/// again, the second does.
#[test]
fn a_power_cut_repeats_only_the_step_it_hit() {
    for shell in SHELLS {
        let node = Node::new(&[
            ("10-a", "echo a >>$PIFLASH_ROOT/order"),
            (
                "20-b",
                "echo b >>$PIFLASH_ROOT/order\n\
                 [ -e $PIFLASH_ROOT/cut ] || { touch $PIFLASH_ROOT/cut; kill -9 $PPID; exit 1; }",
            ),
        ]);
        let script = repository().join("firstboot/provision");
        let output = node.run(shell, &script, &[]);
        assert!(!output.status.success());
        assert_eq!(node.status()["step"], "20-b");
        node.provision(shell);
        assert_eq!(node.read("order"), "a\nb\nb\n", "{shell:?}");
    }
}

#[test]
fn the_home_step_fills_what_is_missing_and_keeps_what_is_there() {
    // chown works for the own uid, whoever runs the tests.
    let me = rustix::process::getuid().as_raw().max(1000);
    for shell in SHELLS {
        if me != rustix::process::getuid().as_raw()
            && rustix::process::getuid().as_raw() != 0
        {
            panic!("run as root or as an account with a uid from 1000");
        }
        let node = Node::new(&[]);
        node.write("etc/passwd", &format!(
            "root:x:0:0:root:/root:/bin/sh\nada:x:{me}:{me}:,,,:/home/ada:/bin/sh\n\
             bob:x:{me}:{me}::/home/none:/bin/sh\n"
        ));
        node.write("etc/skel/.profile", "stock\n");
        node.write("etc/skel/.bashrc", "stock\n");
        node.write("home/ada/.bashrc", "mine\n");
        // Power went in the middle of the last attempt.
        node.write("home/ada/.piflash-part/half", "");
        let step = repository().join("firstboot/steps/10-home");
        for _ in 0..2 {
            let output = node.run(shell, &step, &[]);
            assert!(output.status.success(), "{output:?}");
            assert_eq!(node.read("home/ada/.profile"), "stock\n");
            assert_eq!(node.read("home/ada/.bashrc"), "mine\n");
        }
        assert!(!node.root.path().join("root").exists());
        let half = node.root.path().join("home/ada/.piflash-part");
        assert!(!half.exists());
    }
}

/// The first boot of bullseye: its keys are not the node's.
#[test]
fn host_keys_are_put_back_before_sshd_starts() {
    let script = repository().join("firstboot/ssh-host-keys");
    let mode = |node: &Node, path: &str| {
        let path = node.root.path().join(path);
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    };
    for shell in SHELLS {
        let node = Node::new(&[]);
        node.write("etc/piflash/ssh/ssh_host_ed25519_key", "ours\n");
        node.write("etc/piflash/ssh/ssh_host_ed25519_key.pub", "public\n");
        node.write("etc/piflash/ssh/ssh_host_ecdsa_key", "");
        node.write("etc/ssh/ssh_host_ed25519_key", "made by the system\n");
        node.write("etc/ssh/ssh_host_ecdsa_key", "ecdsa\n");
        node.write("etc/ssh/ssh_host_rsa_key", "rsa\n");
        node.write("etc/ssh/moduli", "primes\n");
        // Power went in the middle of an earlier start.
        node.write("etc/ssh/.piflash-part", "ou");
        let key = "etc/ssh/ssh_host_ed25519_key";
        let run = || {
            let output = node.run(shell, &script, &[]);
            assert!(output.status.success(), "{shell:?} {output:?}");
        };
        run();
        assert_eq!(node.read(key), "ours\n");
        assert_eq!(mode(&node, key), 0o600);
        assert_eq!(node.read(&format!("{key}.pub")), "public\n");
        assert_eq!(mode(&node, &format!("{key}.pub")), 0o644);
        assert_eq!(node.read("etc/ssh/ssh_host_ecdsa_key"), "ecdsa\n");
        assert_eq!(node.read("etc/ssh/ssh_host_rsa_key"), "rsa\n");
        assert_eq!(node.read("etc/ssh/moduli"), "primes\n");
        let part = node.root.path().join("etc/ssh/.piflash-part");
        assert!(!part.exists());

        // Right already: nothing is written.
        let inode = || {
            use std::os::unix::fs::MetadataExt;
            fs::metadata(node.root.path().join(key)).unwrap().ino()
        };
        let before = inode();
        run();
        assert_eq!(inode(), before, "{shell:?}");

        fs::remove_file(node.root.path().join(key)).unwrap();
        run();
        assert_eq!(node.read(key), "ours\n");

        // Where it cannot, it says so, and sshd starts all the same ("-").
        fs::remove_dir_all(node.root.path().join("etc/ssh")).unwrap();
        let output = node.run(shell, &script, &[]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
    let unit = fs::read_to_string(repository().join("profiles/part/ssh.yaml"))
        .unwrap();
    let before = unit.find("ExecStartPre=-/usr/local/lib/piflash/ssh-host");
    let after = unit.find("ExecStartPre=/usr/bin/ssh-keygen -A");
    assert!(before.unwrap() < after.unwrap());
}

#[test]
fn piflash_node_tells_before_and_after() {
    let script = repository().join("firstboot/piflash-node");
    for shell in SHELLS {
        let node = Node::new(&[("10-a", "echo worked")]);
        let before = node.run(shell, &script, &["status"]);
        assert!(
            String::from_utf8_lossy(&before.stdout).contains("not started")
        );
        node.provision(shell);
        let after = node.run(shell, &script, &["status"]);
        let status: serde_json::Value =
            serde_json::from_slice(&after.stdout).unwrap();
        assert_eq!(status["state"], "done");
        let logs = node.run(shell, &script, &["logs"]);
        assert!(String::from_utf8_lossy(&logs.stdout).contains("worked"));
        let wrong = node.run(shell, &script, &["dance"]);
        assert_eq!(wrong.status.code(), Some(2));
    }
}
