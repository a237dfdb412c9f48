//! The inventory that `init` writes.

use super::variables::{VARIABLES, Variable};

const HEAD: &str = "\
# Inventory of piflash: one node is one SD card. It is also an inventory of
# Ansible: `ansible -i inventory.yml all -m ping` once the nodes are up.
all:
  hosts:
    # The name becomes the hostname.
    node1: {ansible_host: 192.168.71.21}
    node2: {ansible_host: 192.168.71.22}
    node3: {ansible_host: 192.168.71.23}

  children:
    # Which stock image goes on the card: Raspberry Pi OS or Ubuntu.
    raspberry_pi_os:
      hosts: {node1: , node2: , node3: }
    ubuntu:
      hosts: {}

    # Which nodes are Raspberry Pi hardware: kernel flags, config.txt.
    raspberry_pi:
      children: {raspberry_pi_os: , ubuntu: }

    # A k3s cluster. Several masters make a highly available control plane.
    k3s_master:
      hosts: {node1: }
    k3s_worker:
      hosts: {node2: , node3: }

    # A kubeadm cluster; both may stand side by side, of different nodes.
    k8s_master:
      hosts: {}
    k8s_worker:
      hosts: {}

  # For all nodes. The same names may stand under `vars:` of a group, at a
  # node, or in group_vars/GROUP.yml and host_vars/NODE.yml beside this file.
  vars:
    # With a gateway, the addresses above are set in the images. Without one
    # the nodes stay on DHCP.
    gateway: 192.168.71.1
";

/// Gives a commented inventory to start from: every group and variable of
/// ours, the variables but `gateway` commented out. It loads as it is.
pub fn template() -> String {
    let mut text = HEAD.to_owned();
    let shown = |v: &&Variable| !matches!(v.name, "ansible_host" | "gateway");
    for variable in VARIABLES.iter().filter(shown) {
        text.push_str(&entry(variable));
    }
    text
}

fn entry(variable: &Variable) -> String {
    let Variable { name, default, example, doc, .. } = variable;
    let default = match *default {
        "" => String::new(),
        default => format!(" (default: {default})"),
    };
    let mut comment = String::new();
    let mut line = String::from("    #");
    for word in format!("{doc}{default}").split(' ') {
        if line.len().saturating_add(word.len()) > 77 {
            comment.push_str(&line);
            comment.push('\n');
            line = String::from("    #");
        }
        line.push(' ');
        line.push_str(word);
    }
    format!("\n{comment}{line}\n    # {name}: {example}\n")
}
