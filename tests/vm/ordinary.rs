//! The first and the second power-on of every lab image, as they should be.

use crate::{
    guest::Guest,
    lab::Lab,
    node::{ADDRESS, DNS, GATEWAY, Node},
    support::image::TIME,
};
use serde_json::Value;

#[test]
#[ignore = "boots a virtual machine"]
fn raspios_trixie() {
    becomes_the_node(Lab::Trixie);
}

#[test]
#[ignore = "boots a virtual machine"]
fn raspios_bullseye() {
    becomes_the_node(Lab::Bullseye);
}

#[test]
#[ignore = "boots a virtual machine"]
fn ubuntu() {
    becomes_the_node(Lab::Ubuntu);
}

fn becomes_the_node(lab: Lab) {
    let node = Node::build(lab, &[]);
    let id = node.disk_id();
    let mut guest = node.power_on();
    settle(&mut guest);
    assert_node(&guest);
    assert_own_first_boot(&guest, &id);
    let keys = "cat /etc/ssh/ssh_host_*_key.pub";
    let log = "cat /var/log/piflash.log; ls --full-time /var/lib/piflash/*";
    let before = (guest.sh(keys), guest.sh(&format!("sudo sh -c '{log}'")));
    guest.power_off();
    node.assert_sound();

    let mut guest = node.power_on();
    settle(&mut guest);
    assert_node(&guest);
    let after = (guest.sh(keys), guest.sh(&format!("sudo sh -c '{log}'")));
    assert_eq!(before, after, "the second boot did something again");
    let unit = "systemctl show -p ActiveState -p ConditionResult";
    assert_eq!(
        guest.sh(&format!("{unit} piflash-firstboot.service")),
        "ActiveState=inactive\nConditionResult=no"
    );
    guest.power_off();
    node.assert_sound();
}

/// Waits until the node is up and provisioned, and nothing has failed.
pub fn settle(guest: &mut Guest<'_>) {
    guest.wait_for_ssh();
    guest.wait("provisioned", |guest| {
        let status = guest.sh("sudo piflash-node status");
        let status: Value = serde_json::from_str(&status).unwrap();
        (status["state"] == "done").then_some(())
    });
    guest.wait("started", |guest| {
        let output = guest.try_sh("systemctl is-system-running");
        let state = String::from_utf8_lossy(&output.stdout).into_owned();
        match state.trim() {
            "running" => Some(()),
            "degraded" => guest.fail(&guest.sh("systemctl --failed")),
            _ => None,
        }
    });
}

/// The node is what its inventory says, by what the guest says itself.
pub fn assert_node(guest: &Guest<'_>) {
    let lab = guest.lab();
    let addresses = guest.sh("ip -4 -o addr show dev eth0");
    assert_eq!(addresses.lines().count(), 1, "{addresses}");
    assert!(addresses.contains(&format!("inet {ADDRESS}/24 ")), "{addresses}");
    let routes = guest.sh("ip -4 route show default");
    assert_eq!(routes.lines().count(), 1, "{routes}");
    let route = format!("default via {GATEWAY} dev eth0 ");
    assert!(format!("{routes} ").starts_with(&route), "{routes}");
    let dns = match lab {
        Lab::Ubuntu => guest.sh("resolvectl dns eth0 | cut -d : -f 2"),
        _ => guest.sh("sed -n 's/^nameserver //p' /etc/resolv.conf"),
    };
    assert_eq!(dns.trim(), DNS);

    assert_eq!(guest.sh("hostname; uname -n"), "node3\nnode3");
    let own = guest.sh("getent hosts node3");
    assert!(own.starts_with("127.0.1.1 "), "{own}");
    let words = guest.sh("cat /proc/cmdline");
    for word in
        ["cgroup_enable=cpuset", "cgroup_memory=1", "cgroup_enable=memory"]
    {
        assert_eq!(words.split(' ').filter(|w| *w == word).count(), 1);
    }
    assert!(
        guest.sh("cat /sys/fs/cgroup/cgroup.controllers").contains("memory")
    );
    assert_eq!(guest.sh("tail -n +2 /proc/swaps"), "");

    assert_eq!(guest.sh("id -un"), lab.account());
    assert_eq!(guest.sh("id -u; sudo -n id -u"), "1000\n0");
    let refused = guest.login_without_key();
    assert!(refused.contains("Permission denied (publickey)."), "{refused}");

    let now: i64 = guest.sh("date +%s").parse().unwrap();
    assert!(now >= TIME, "the clock says {now}");
    let kernel = guest.sh("sudo dmesg");
    for wrong in ["EXT4-fs error", "EXT4-fs warning", "FAT-fs", "I/O error"] {
        assert!(!kernel.contains(wrong), "{wrong}:\n{kernel}");
    }
    assert_eq!(
        guest.sh("findmnt -no FSTYPE /; findmnt -no OPTIONS / | cut -c -2"),
        "ext4\nrw"
    );
}

/// What the OS itself does on its first boot has been done. `id` is the
/// disk's of the card.
fn assert_own_first_boot(guest: &Guest<'_>, id: &str) {
    let machine = guest.sh("cat /etc/machine-id");
    assert_eq!(machine.len(), 32, "{machine}");
    match guest.lab() {
        Lab::Trixie => {
            guest.sh("test -e /var/lib/rpi-resize.ran");
        }
        Lab::Bullseye => {
            let words = guest.sh("cat /proc/cmdline");
            assert!(!words.contains("init="), "{words}");
            assert!(!words.contains(id), "{words}");
        }
        Lab::Ubuntu => {
            guest.sh("cloud-init status --wait");
        }
    }
    if guest.lab() != Lab::Ubuntu {
        guest.sh("test ! -e /var/lib/userconfig.asked");
        guest.sh("systemctl is-active getty@tty1.service");
    }
}
