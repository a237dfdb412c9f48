//! The keys by which a node proves itself, before sshd starts.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use super::node::{Node, SHELLS};
use crate::support::repository;

const KEY: &str = "etc/ssh/ssh_host_ed25519_key";

/// The first boot of bullseye: its keys are not the node's.
#[test]
fn host_keys_are_put_back_before_sshd_starts() {
    for shell in SHELLS {
        let node = Node::new(shell, &[]);
        node.install("ssh-host-keys", "ssh-host-keys");
        node.write("etc/piflash/ssh/ssh_host_ed25519_key", "ours\n");
        node.write("etc/piflash/ssh/ssh_host_ed25519_key.pub", "public\n");
        node.write("etc/piflash/ssh/ssh_host_ecdsa_key", "");
        node.write(KEY, "made by the system\n");
        node.write("etc/ssh/ssh_host_ecdsa_key", "ecdsa\n");
        node.write("etc/ssh/ssh_host_rsa_key", "rsa\n");
        node.write("etc/ssh/moduli", "primes\n");
        // Power went in the middle of an earlier start.
        node.write("etc/ssh/.piflash-part", "ou");
        let run = || node.run("ssh-host-keys", &[]);
        let mode = |path: &str| {
            fs::metadata(node.path(path)).unwrap().permissions().mode() & 0o7777
        };
        assert!(run().status.success(), "{shell:?}");
        assert_eq!(node.read(KEY), "ours\n");
        assert_eq!(mode(KEY), 0o600);
        assert_eq!(node.read(&format!("{KEY}.pub")), "public\n");
        assert_eq!(mode(&format!("{KEY}.pub")), 0o644);
        assert_eq!(node.read("etc/ssh/ssh_host_ecdsa_key"), "ecdsa\n");
        assert_eq!(node.read("etc/ssh/ssh_host_rsa_key"), "rsa\n");
        assert_eq!(node.read("etc/ssh/moduli"), "primes\n");
        assert!(!node.exists("etc/ssh/.piflash-part"));

        // Right already: nothing is written.
        let inode = || fs::metadata(node.path(KEY)).unwrap().ino();
        let before = inode();
        assert!(run().status.success(), "{shell:?}");
        assert_eq!(inode(), before, "{shell:?}");

        node.remove(KEY);
        assert!(run().status.success(), "{shell:?}");
        assert_eq!(node.read(KEY), "ours\n");

        // Where it cannot, it says so, and sshd starts all the same ("-").
        fs::remove_dir_all(node.path("etc/ssh")).unwrap();
        assert_eq!(run().status.code(), Some(1), "{shell:?}");
    }
    let part = repository().join("profiles/part/ssh.yaml");
    let part = fs::read_to_string(part).unwrap();
    let before = part.find("ExecStartPre=-/usr/local/lib/piflash/ssh-host");
    let after = part.find("ExecStartPre=/usr/bin/ssh-keygen -A");
    assert!(before.unwrap() < after.unwrap());
}
