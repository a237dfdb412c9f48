//! Looking at images: inspect, verify, diff.

mod device;
mod diff;
mod inspect;
mod secrets;
mod untrusted;
mod verify;

use crate::support::{
    env::{Env, Outcome},
    image::Case,
    oracle,
};
use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::OnceLock,
};

pub(crate) const PSK: &str = "a rather secret passphrase";
pub(crate) const HASH: &str = "$6$saltsalt$wnA6uGdXUkTlF.uXs7Hi8sC7ohbdRbYvRB\
    YjSOm4tQ3FTHmNZKXa2qN4sJ0Jk1Q0Q1a1mVqHcXQyKkqYp0w4E0";
const INVENTORY: &str = "\
all:
  hosts:
    node2: {ansible_host: 192.168.71.22}
    node3: {ansible_host: 192.168.71.23}
  children:
    raspbian: {hosts: {node2: , node3: }}
    raspberry_pi: {hosts: {node2: , node3: }}
  vars:
    gateway: 192.168.71.1
    timezone: Etc/UTC
    password_hash: '@HASH@'
    wifi: {ssid: home, psk: '@PSK@', country: DE}
    ssh_authorized_keys:
      - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINRkNh8Btzd6RS+qT4r5zVmpVJWwuOXR8\
bjTeVjXeUHp ada@desk
";

/// Two nodes, built once for all tests.
struct Cards {
    env: Env,
    case: Case,
}

/// The base `base.img`, and node2 and node3 made of it.
fn cards() -> &'static Cards {
    static CARDS: OnceLock<Cards> = OnceLock::new();
    CARDS.get_or_init(|| {
        let env = Env::new();
        let case = Case::load("bookworm");
        case.write(&env.work().join("base.img")).unwrap();
        let text = INVENTORY.replace("@HASH@", HASH).replace("@PSK@", PSK);
        env.write("inventory.yml", text);
        env.known_identity();
        let built =
            env.run(&["build", "--all", "--image", "base.img", "--offline"]);
        assert_eq!(built.code, Some(0), "{built}");
        Cards { env, case }
    })
}

impl Cards {
    fn run(&self, args: &[&str]) -> Outcome {
        self.env.run(args)
    }

    fn node(&self, name: &str) -> PathBuf {
        self.env.work().join(format!("build/images/{name}.img"))
    }

    fn base(&self) -> PathBuf {
        self.env.work().join("base.img")
    }

    fn verify(&self, card: &Path) -> Outcome {
        let card = card.to_str().unwrap();
        self.run(&["verify", card, "--image", "base.img", "--offline"])
    }

    /// A copy of an image to be tampered with.
    fn copy(&self, of: &Path) -> Copy {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("copy.img");
        let (from, to) = (of.to_str().unwrap(), path.to_str().unwrap());
        oracle::run("cp", &["--sparse=always", from, to]).unwrap();
        Copy { _dir: dir, path }
    }
}

struct Copy {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Copy {
    /// Changes one byte; returns what it was.
    fn flip(&self, at: u64, with: u8) {
        let file =
            fs::OpenOptions::new().read(true).write(true).open(&self.path);
        let file = file.unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ with], at).unwrap();
    }

    /// Changes the root file system by a program that is not ours.
    fn debugfs(&self, cards: &Cards, commands: &str) {
        let (_, root) = cards.case.offsets();
        let at = oracle::ext4_at(&self.path, root);
        let args = ["-w", "-f", "-", &at];
        oracle::run_with("debugfs", &args, commands.as_bytes()).unwrap();
    }

    fn mtools(&self, cards: &Cards, tool: &str, args: &[&str]) {
        let (boot, _) = cards.case.offsets();
        let at = oracle::fat_at(&self.path, boot);
        let args = [&["-i", &at], args].concat();
        oracle::run(tool, &args).unwrap();
    }
}

/// The program's JSON.
fn json(outcome: &Outcome) -> serde_json::Value {
    serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{outcome}"))
}
