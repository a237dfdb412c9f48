//! Power goes in the middle of the first boot, several times.

use crate::{
    lab::Lab,
    node::Node,
    ordinary::{assert_node, settle},
};

#[test]
#[ignore = "boots a virtual machine"]
fn raspios_trixie() {
    converges(Lab::Trixie);
}

#[test]
#[ignore = "boots a virtual machine"]
fn raspios_bullseye() {
    converges(Lab::Bullseye);
}

#[test]
#[ignore = "boots a virtual machine"]
fn ubuntu() {
    converges(Lab::Ubuntu);
}

/// When power goes: as soon as this is on the console.
const MOMENTS: [&str; 3] =
    ["systemd[1]: ", "10-home: attempt", "this node is ready"];

fn converges(lab: Lab) {
    let node = Node::build(lab, &[]);
    for moment in MOMENTS {
        let mut guest = node.power_on();
        guest.wait_for_console(moment);
        guest.cut();
    }
    let mut guest = node.power_on();
    settle(&mut guest);
    assert_node(&guest);
    guest.power_off();
    node.assert_sound();
}
