//! The first and the second power-on of every lab image, as they should be.

use crate::{
    expect::{assert_node, assert_own_first_boot, settle},
    lab::Lab,
    node::Node,
    secrets,
};

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
    let node = Node::build(lab, &[], &[]);
    let id = node.disk_id();
    let mut guest = node.power_on();
    settle(&mut guest);
    assert_node(&guest);
    assert_own_first_boot(&guest, &id);
    // Of the stock image.
    for password in ["raspberry", "ubuntu"] {
        let refused = guest.login_by_password(password).unwrap_err();
        assert!(refused.contains("denied (publickey)."), "{refused}");
    }
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
    secrets::assert_none_in_logs(&guest);
    guest.power_off();
    node.assert_sound();
    secrets::assert_none_outside(&node);
}
