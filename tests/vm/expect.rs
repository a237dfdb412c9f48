//! What every node is once it is up, by what the guest says itself.

use crate::{
    guest::Guest,
    lab::Lab,
    site::{DNS, GATEWAY},
};
use serde_json::{Value, json};
use std::io::Write;

/// Waits until the node is up and provisioned, and nothing has failed.
pub fn settle(guest: &mut Guest<'_>) {
    guest.wait_for_ssh();
    guest.wait("provisioned", |guest| {
        (status(guest)["state"] == "done").then_some(())
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

/// What `piflash-node status` says.
pub fn status(guest: &Guest<'_>) -> Value {
    let status = guest.sh("sudo piflash-node status");
    serde_json::from_str(&status).unwrap()
}

/// The node is what its inventory says, by what the guest says itself.
pub fn assert_node(guest: &Guest<'_>) {
    let lab = guest.lab();
    let (name, address) = (&guest.node().name, &guest.node().address);
    let addresses = guest.sh("ip -4 -o addr show dev eth0");
    assert_eq!(addresses.lines().count(), 1, "{addresses}");
    assert!(addresses.contains(&format!("inet {address}/24 ")), "{addresses}");
    let routes = guest.sh("ip -4 route show default");
    assert_eq!(routes.lines().count(), 1, "{routes}");
    let route = format!("default via {GATEWAY} dev eth0 ");
    assert!(format!("{routes} ").starts_with(&route), "{routes}");
    let dns = match lab {
        Lab::Ubuntu => guest.sh("resolvectl dns eth0 | cut -d : -f 2"),
        _ => guest.sh("sed -n 's/^nameserver //p' /etc/resolv.conf"),
    };
    assert_eq!(dns.trim(), DNS);

    assert_eq!(guest.sh("hostname; uname -n"), format!("{name}\n{name}"));
    let own = guest.sh(&format!("getent hosts {name}"));
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

    assert_online(guest);
    assert_units(guest);
    assert_clock(guest);
    assert_kernel(guest);
    assert_eq!(
        guest.sh("findmnt -no FSTYPE /; findmnt -no OPTIONS / | cut -c -2"),
        "ext4\nrw"
    );
}

/// systemd had no job to drop for a dependency cycle, and nothing has failed
/// since the start either.
fn assert_units(guest: &Guest<'_>) {
    let said = guest.sh("sudo journalctl -b -o cat _PID=1 --no-pager");
    assert!(said.contains("Reached target"), "{said}");
    for wrong in ["ordering cycle", "deleted to break"] {
        assert!(!said.contains(wrong), "{wrong}:\n{said}");
    }
    assert_eq!(guest.sh("systemctl --failed --plain --no-legend"), "");
}

/// By the guest's own clock, the network is up soon after what configures it:
/// nothing waits for a link that somebody else configures. On systemd's first
/// boot every unit is enabled that no preset disables, ssh.socket beside
/// ssh.service as well.
fn assert_online(guest: &Guest<'_>) {
    let (begin, foreign) = match guest.lab() {
        Lab::Trixie | Lab::Kubernetes | Lab::Real => (
            "ActiveEnterTimestampMonotonic NetworkManager.service",
            "systemd-networkd.service systemd-networkd.socket ssh.socket \
             systemd-networkd-wait-online.service",
        ),
        Lab::Bullseye => (
            "InactiveExitTimestampMonotonic dhcpcd.service",
            "systemd-networkd.service",
        ),
        Lab::Ubuntu => {
            ("ActiveEnterTimestampMonotonic systemd-networkd.service", "")
        }
    };
    let time = |of: &str| -> i64 {
        let time = guest.sh(&format!("systemctl show --value -p {of}"));
        time.parse().unwrap_or_else(|e| panic!("{of}: {time}: {e}"))
    };
    let online = time("ActiveEnterTimestampMonotonic network-online.target");
    let waited = online - time(begin);
    let log = guest.sh("sudo journalctl -b -o short-monotonic --no-pager");
    assert!(waited > -1_000_000, "{waited}\n{log}");
    let name = &guest.node().name;
    let line = format!("{name}: network-online after {waited} us\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    assert!(waited < 60_000_000, "{line}");
    if !foreign.is_empty() {
        let states = guest.sh(&format!(
            "systemctl is-enabled {foreign}; systemctl is-active {foreign}; \
             true"
        ));
        for state in states.lines() {
            assert!(matches!(state, "disabled" | "inactive"), "{states}");
        }
    }
}

/// Certificates of the time of the build are valid: now, and when the first
/// boot began.
fn assert_clock(guest: &Guest<'_>) {
    let log = "cat /var/log/piflash.log.1 /var/log/piflash.log 2>/dev/null";
    let first = format!("$({log} | head -n 1 | cut -d ' ' -f 1)");
    let times = guest.sh(&format!("date +%s; date -d {first} +%s"));
    for time in times.lines() {
        let time: i64 = time.parse().unwrap();
        let built = guest.node().site.built;
        assert!(time >= built, "{time}, but the card is of {built}: {times}");
    }
    // The next boot begins with the time of this one.
    if guest.lab() != Lab::Bullseye {
        let clock = "/var/lib/systemd/timesync/clock";
        let owner = guest.sh(&format!("stat -c '%U %F' {clock}"));
        assert_eq!(owner, "systemd-timesync regular empty file");
    }
}

/// The kernel finds no fault with disk and file systems.
pub fn assert_kernel(guest: &Guest<'_>) {
    let kernel = guest.sh("sudo dmesg");
    for wrong in ["EXT4-fs error", "EXT4-fs warning", "FAT-fs", "I/O error"] {
        assert!(!kernel.contains(wrong), "{wrong}:\n{kernel}");
    }
}

/// What cloud-init may say where fsck.fat has the boot partition in the very
/// moment in which it is looked for a seed: both belong to the stock image,
/// and nothing orders them. piflash's own steps need no seed.
const BUSY: [&str; 2] =
    ["Failed to mount /dev/vda1", "Used fallback datasource"];

/// cloud-init has nothing to complain of but the stock image's own key
/// `fs_label`, which newer releases call deprecated, and a boot partition that
/// was busy.
fn assert_cloud_init(guest: &Guest<'_>) {
    let said = guest.try_sh("cloud-init status --wait --format json");
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(said["status"], "done", "{said:#}");
    assert_eq!(said["errors"], json!([]), "{said:#}");
    for (level, complaints) in said["recoverable_errors"].as_object().unwrap() {
        for complaint in complaints.as_array().unwrap() {
            let complaint = complaint.as_str().unwrap();
            let known = match level.as_str() {
                "DEPRECATED" => complaint.contains("fs_label"),
                "WARNING" => BUSY.iter().any(|busy| complaint.contains(busy)),
                _ => false,
            };
            assert!(known, "{said:#}");
        }
    }
}

/// What the OS itself does on its first boot has been done. `id` is the
/// disk's of the card.
pub fn assert_own_first_boot(guest: &Guest<'_>, id: &str) {
    let machine = guest.sh("cat /etc/machine-id");
    assert_eq!(machine.len(), 32, "{machine}");
    match guest.lab() {
        Lab::Trixie | Lab::Kubernetes | Lab::Real => {
            guest.sh("test -e /var/lib/rpi-resize.ran");
        }
        Lab::Bullseye => {
            let words = guest.sh("cat /proc/cmdline");
            assert!(!words.contains("init="), "{words}");
            assert!(!words.contains(id), "{words}");
        }
        Lab::Ubuntu => {
            assert_cloud_init(guest);
        }
    }
    if guest.lab() != Lab::Ubuntu {
        guest.sh("test ! -e /var/lib/userconfig.asked");
        guest.sh("systemctl is-active getty@tty1.service");
    }
}
