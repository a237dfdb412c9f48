//! One first boot of every lab image in QEMU's emulator: with the card's own
//! kernel, which User-Mode Linux leaves out.

use crate::{
    expect::{assert_node, assert_own_first_boot, settle},
    lab::Lab,
    machine::Kind,
    node::Node,
};

#[test]
#[ignore = "boots an emulated machine"]
fn raspios_trixie() {
    becomes_the_node(Lab::Trixie);
}

#[test]
#[ignore = "boots an emulated machine"]
fn raspios_bullseye() {
    becomes_the_node(Lab::Bullseye);
}

#[test]
#[ignore = "boots an emulated machine"]
fn ubuntu() {
    becomes_the_node(Lab::Ubuntu);
}

fn becomes_the_node(lab: Lab) {
    let node = Node::build_for(Kind::Emulator, lab, &[], &[]);
    let id = node.disk_id();
    let mut guest = node.power_on();
    settle(&mut guest);
    assert_node(&guest);
    assert_own_first_boot(&guest, &id);
    guest.power_off();
    node.assert_sound();
}
