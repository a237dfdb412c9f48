//! The names of groups that mean something to us, and what to say where a
//! file is no inventory.

use super::{
    problem::{Problem, nearest},
    tree::{Kind, Tree},
};

/// Our groups and those that mean the same.
const OUR_GROUPS: [&str; 11] = [
    "raspbian",
    "raspberry_pi_os",
    "ubuntu",
    "raspberry_pi",
    "raspberry_pi_hw",
    "k3s_master",
    "k3s_server",
    "k3s_worker",
    "k3s_agent",
    "k8s_master",
    "k8s_worker",
];

/// Finds the group of ours that a foreign name is likely meant to be.
pub(super) fn near_group(name: &str) -> Option<&'static str> {
    if OUR_GROUPS.contains(&name) {
        return None;
    }
    match name {
        "k8s_server" | "k8s_servers" | "k8s_control_plane" => {
            return Some("k8s_master");
        }
        "k8s_agent" | "k8s_agents" => return Some("k8s_worker"),
        _ => {}
    }
    // `raspberry_pi_4` or `ubuntu24` is a group of the user's own.
    let refined = OUR_GROUPS.iter().any(|ours| {
        name.strip_prefix(ours).is_some_and(|rest| {
            rest.starts_with(|c: char| c == '_' || c.is_ascii_digit())
        })
    });
    if refined { None } else { nearest(name, OUR_GROUPS) }
}

/// Says what a file is that has no mapping at its top.
pub(super) fn not_an_inventory(root: &Tree) -> Problem {
    let problem = Problem::at(
        &root.at,
        format!("an inventory is a mapping of groups, not {}", root.what()),
    );
    match &root.kind {
        // `[all]` alone is also a YAML list.
        Kind::Seq(_) => problem.hint(INI_HINT),
        Kind::Scalar { text, .. } if text.starts_with('[') => {
            problem.hint(INI_HINT)
        }
        Kind::Scalar { text, .. } if text.starts_with("$ANSIBLE_VAULT") => {
            Problem::at(&root.at, "the file is encrypted by ansible-vault")
                .hint(VAULT_HINT)
        }
        _ => problem.hint("begin with `all:` and `hosts:` below it"),
    }
}

/// What to do about an inventory in Ansible's other format.
pub(super) const INI_HINT: &str = "an INI inventory is converted by \
     `ansible-inventory -i FILE --list --yaml`";

/// What to do about encrypted values.
pub(super) const VAULT_HINT: &str = "ansible-vault is not supported: use \
     `ansible-vault decrypt` on a copy, or psk_env for a Wi-Fi key";
