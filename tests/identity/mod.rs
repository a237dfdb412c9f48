//! Secrets that are made before power-on, as a user meets them.

mod card;
mod clusters;
mod kept;
mod pki;
mod seen;
mod sshd;
mod store;

use crate::support::env::{Env, Outcome};

/// Two nodes on the demo image.
pub const INVENTORY: &str = "\
all:
  hosts:
    node3: {ansible_host: 192.168.71.23}
    node4: {ansible_host: 192.168.71.24}
  children:
    raspbian: {hosts: {node3: , node4: }}
  vars:
    gateway: 192.168.71.1
    ssh_authorized_keys:
      - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINRkNh8Btzd6RS+qT4r5zVmpVJWwuOXR8bjTeVjXeUHp ada@desk
";

pub const KEY: &str = "build/secrets/nodes/node3/ssh_host_ed25519_key";
pub const ECDSA: &str = "build/secrets/nodes/node3/ssh_host_ecdsa_key";

pub fn env() -> Env {
    let env = Env::new();
    env.write("inventory.yml", INVENTORY);
    env
}

pub fn build(env: &Env, node: &str) -> Outcome {
    env.run(&["build", node, "--image", "demo", "--offline"])
}

/// Builds a node; what was said.
pub fn built(env: &Env, node: &str) -> String {
    let outcome = build(env, node);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    outcome.stderr
}
