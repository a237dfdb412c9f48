//! What takes longer than a test run should: power that goes at many
//! moments of the first boot, one after the other.

use crate::{
    archive::{Archive, HALF_CONFIGURED, PACKAGE, PASSWORD},
    expect::{assert_node, assert_own_first_boot, settle},
    lab::Lab,
    node::Node,
    troubled::gets_there,
};

/// What is between bullseye and Ubuntu.
#[test]
#[ignore = "boots a virtual machine"]
fn troubled_raspios_trixie() {
    gets_there(Lab::Trixie);
}

#[test]
#[ignore = "boots a virtual machine many times"]
fn raspios_trixie() {
    converges(Lab::Trixie);
}

#[test]
#[ignore = "boots a virtual machine many times"]
fn raspios_bullseye() {
    converges(Lab::Bullseye);
}

#[test]
#[ignore = "boots a virtual machine many times"]
fn ubuntu() {
    converges(Lab::Ubuntu);
}

/// When power goes: as soon as this is on the console, or the prompt, where
/// it does not come (`quiet`, or done before the last cut).
const MOMENTS: [&str; 8] = [
    "Mounted",
    "Reached target",
    "10-home: attempt",
    "10-home: done",
    "35-packages: attempt",
    HALF_CONFIGURED,
    "35-packages: done",
    "this node is ready",
];

fn converges(lab: Lab) {
    let archive = Archive::start();
    archive.open();
    let node = Node::build(
        lab,
        &[
            &format!("packages: [{PACKAGE}]"),
            &format!("proxy_url: '{}'", archive.proxy()),
        ],
        &[PASSWORD],
    );
    let id = node.disk_id();
    for moment in MOMENTS {
        let mut guest = node.power_on();
        guest.wait(&format!("at {moment}"), |guest| {
            let console = guest.console();
            (console.contains(moment) || console.contains("login: "))
                .then_some(())
        });
        guest.cut();
    }
    let mut guest = node.power_on();
    settle(&mut guest);
    assert_node(&guest);
    assert_own_first_boot(&guest, &id);
    let installed = format!("dpkg-query -W -f '${{Status}}' {PACKAGE}");
    assert_eq!(guest.sh(&installed), "install ok installed");
    guest.power_off();
    node.assert_sound();
}
