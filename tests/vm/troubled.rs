//! A first boot with everything against it: power that goes twice, once in
//! the middle of a package; no network for the first minutes; a FAT without
//! room, then read-only; a package that cannot be had at first.

use crate::{
    archive::{Archive, HALF_CONFIGURED, PACKAGE, PASSWORD},
    expect::{
        assert_kernel, assert_node, assert_own_first_boot, settle, status,
    },
    guest::Guest,
    lab::Lab,
    machine::Weather,
    node::Node,
    secrets, site,
};

#[test]
#[ignore = "boots a virtual machine"]
fn raspios_bullseye() {
    gets_there(Lab::Bullseye);
}

#[test]
#[ignore = "boots a virtual machine"]
fn ubuntu() {
    gets_there(Lab::Ubuntu);
}

const LOGIN: &str = "p4ss-for-the-console";
const STATUS: &str = "piflash-status.txt";
const FILLER: &str = "filler";

pub(crate) fn gets_there(lab: Lab) {
    let archive = Archive::start();
    let hash = site::hash(LOGIN);
    let node = Node::build(
        lab,
        &[
            &format!("packages: [{PACKAGE}]"),
            &format!("proxy_url: '{}'", archive.proxy()),
            &format!("password_hash: '{hash}'"),
        ],
        &[LOGIN, &hash, PASSWORD],
    );
    let id = node.disk_id();
    let weather = Weather { unplugged: true, ..Weather::default() };
    let mut guest = node.power_on_in(&weather);
    guest.wait_for_console(lab.early());
    guest.cut();

    // Not before the OS itself has written what it must on its first boot.
    node.fill_boot(FILLER);
    let mut guest = node.power_on_in(&weather);
    guest.wait_for_console("35-packages: waiting for a default route");
    guest.link(true);
    guest.wait_for_ssh();
    assert_failing(&mut guest);
    assert!(!archive.requests().is_empty());
    // A password that was given is there for ssh too.
    guest.login_by_password(LOGIN).unwrap();
    guest.login_by_password("another").unwrap_err();
    assert_no_room(&guest);
    guest.sh("sudo piflash-node retry");
    guest.wait_for_console("35-packages: again now, as asked");
    archive.open();
    guest.wait_for_console(HALF_CONFIGURED);
    guest.cut();

    let mut guest = node.power_on();
    settle(&mut guest);
    assert_node(&guest);
    assert_own_first_boot(&guest, &id);
    let installed = format!("dpkg-query -W -f '${{Status}}' {PACKAGE}");
    assert_eq!(guest.sh(&installed), "install ok installed");
    let steps = "ls /var/lib/piflash/stamps";
    assert_eq!(guest.sh(steps), "10-home\n35-packages");
    assert_read_only(&mut guest);
    let log = guest.sh("sudo piflash-node logs");
    for said in ["35-packages: failed (", "35-packages: done", "is ready"] {
        assert!(log.contains(said), "{said}: {log}");
    }
    secrets::assert_none_in_logs(&guest);
    assert_kernel(&guest);
    guest.power_off();
    node.assert_sound();
    secrets::assert_none_outside(&node);
}

/// The status and the log tell of a step that fails.
fn assert_failing(guest: &mut Guest<'_>) {
    let said = guest.wait("told of a failing step", |guest| {
        let said = status(guest);
        // apt's own words; before, it waits for network and clock.
        let error = said["error"].as_str().unwrap();
        (error.starts_with("E: ") && said["state"] == "waiting").then_some(said)
    });
    assert_eq!(said["node"], "node3");
    assert_eq!(said["step"], "35-packages", "{said}");
    let error = said["error"].as_str().unwrap();
    let text = guest.sh("sudo piflash-node status --text");
    assert!(text.contains(&format!("error:   {error}")), "{text}");
    let log = guest.sh("sudo piflash-node logs");
    assert!(log.contains(&format!("35-packages: failed ({error})")), "{log}");
    assert!(log.contains("404"), "{log}");
}

/// There was no room for the status, and nothing half was left behind; the
/// owner makes room.
fn assert_no_room(guest: &Guest<'_>) {
    let boot = guest.lab().boot_mount();
    let files = guest.sh(&format!("ls {boot}"));
    assert!(!files.contains(&format!("{STATUS}.tmp")), "{files}");
    // That of the first boot may be there.
    let status = guest.try_sh(&format!("cat {boot}/{STATUS}"));
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(!status.contains("35-packages"), "{status}");
    let free = format!("df --output=avail {boot} | tail -n 1");
    assert_eq!(guest.sh(&free), "0");
    guest.sh(&format!("sudo rm {boot}/{FILLER} && sudo sync"));
}

/// With room the status is there; without a FAT to write to, the node works
/// all the same.
fn assert_read_only(guest: &mut Guest<'_>) {
    let boot = guest.lab().boot_mount();
    let card = format!("cat {boot}/{STATUS}");
    let before = guest.sh(&card);
    assert!(before.contains("state:   done (100 %"), "{before}");
    guest.sh(&format!("sudo mount -o remount,ro {boot}"));
    let stamp = "cat /var/lib/piflash/stamps/10-home";
    let first = guest.sh(stamp);
    guest.sh("sudo piflash-node retry 10-home");
    guest.wait("done once more", |guest| {
        let second = guest.try_sh(stamp);
        let second = String::from_utf8_lossy(&second.stdout).into_owned();
        let again = !second.is_empty() && second.trim() != first;
        (again && status(guest)["state"] == "done").then_some(())
    });
    assert_eq!(guest.sh(&card), before);
    guest.wait("through with its unit", |guest| {
        let unit = "systemctl show -p ActiveState -p Result";
        let said = guest.sh(&format!("{unit} piflash-firstboot.service"));
        assert!(said.contains("Result=success"), "{said}");
        said.contains("ActiveState=inactive").then_some(())
    });
}
