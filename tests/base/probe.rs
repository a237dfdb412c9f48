//! Every fact of every release: what decides the build, written out here;
//! all of it, in `tests/cases/NAME/facts.snap`.

use crate::support::image::Case;
use piflash::base::{
    facts::{
        Architecture, CloudInitState, Facts, FirstBoot, Flavour, InitFormat,
        MachineId, NetworkStack, Swap, TableKind, UserMechanism,
    },
    probe::probe,
};
use std::path::Path;

/// Every release with a made image.
pub const RELEASES: [&str; 11] = [
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "trixie-cloud-init",
    "ubuntu-20.04",
    "ubuntu-22.04",
    "ubuntu-24.04",
    "ubuntu-25.10",
    "ubuntu-26.04",
    "debian",
];

pub fn facts(name: &str) -> Facts {
    let case = Case::load(name);
    probe(&case.boot, &case.root, &case.table()).unwrap()
}

fn snapshot(name: &str) -> Facts {
    let facts = facts(name);
    let json = serde_json::to_string_pretty(&facts).unwrap();
    let dir = Path::new("../cases").join(name);
    insta::with_settings!({
        snapshot_path => dir,
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!("facts", json);
    });
    facts
}

/// What most decisions of a profile hang on.
fn decisions(
    facts: &Facts,
) -> (
    Flavour,
    NetworkStack,
    CloudInitState,
    InitFormat,
    UserMechanism,
    FirstBoot,
    Swap,
    MachineId,
) {
    (
        facts.os.flavour,
        facts.network.stack,
        facts.cloud_init.state,
        facts.init_format,
        facts.user_mechanism,
        facts.first_boot,
        facts.swap,
        facts.machine_id,
    )
}

#[test]
fn buster() {
    let facts = snapshot("buster");
    assert_eq!(
        decisions(&facts),
        (
            Flavour::RaspberryPiOs,
            NetworkStack::Dhcpcd,
            CloudInitState::Absent,
            InitFormat::Systemd,
            UserMechanism::Passwd,
            FirstBoot::InitResize,
            Swap::DphysSwapfile,
            MachineId::Empty,
        )
    );
    assert_eq!(facts.architecture, Architecture::Armhf);
    assert_eq!(facts.os.lsb_id, "Raspbian");
    assert_eq!(facts.boot.mount, "/boot");
    assert_eq!(facts.systemd, Some(241));
    assert_eq!(facts.iptables.as_deref(), Some("1.8.2-4"));
    assert!(facts.ssh.regenerates_host_keys.enabled);
    assert!(!facts.ssh.enabled);
    assert!(!facts.accounts[0].locked);
}

#[test]
fn bullseye() {
    let facts = snapshot("bullseye");
    assert_eq!(
        decisions(&facts),
        (
            Flavour::RaspberryPiOs,
            NetworkStack::Dhcpcd,
            CloudInitState::Absent,
            InitFormat::Systemd,
            UserMechanism::Userconf,
            FirstBoot::FirstbootScript,
            Swap::DphysSwapfile,
            MachineId::Empty,
        )
    );
    assert_eq!(facts.architecture, Architecture::Arm64);
    assert_eq!(facts.os.lsb_id, "Debian");
    assert_eq!(facts.boot.mount, "/boot");
    assert_eq!(facts.systemd, Some(247));
    assert_eq!(facts.iptables, None);
    assert!(facts.accounts[0].locked);
}

#[test]
fn bookworm() {
    let facts = snapshot("bookworm");
    assert_eq!(
        decisions(&facts),
        (
            Flavour::RaspberryPiOs,
            NetworkStack::Networkmanager,
            CloudInitState::Absent,
            InitFormat::Systemd,
            UserMechanism::Userconf,
            FirstBoot::InitramfsFirstboot,
            Swap::DphysSwapfile,
            MachineId::Empty,
        )
    );
    assert_eq!(facts.boot.mount, "/boot/firmware");
    assert_eq!(facts.systemd, Some(252));
    assert!(facts.ssh.regenerates_host_keys.enabled);
    assert!(facts.root_is_last);
}

#[test]
fn trixie_before_cloud_init() {
    let facts = snapshot("trixie");
    assert_eq!(
        decisions(&facts),
        (
            Flavour::RaspberryPiOs,
            NetworkStack::Networkmanager,
            CloudInitState::Inert,
            InitFormat::Systemd,
            UserMechanism::Userconf,
            FirstBoot::RpiResize,
            Swap::RpiSwap,
            MachineId::Uninitialized,
        )
    );
    assert!(!facts.ssh.regenerates_host_keys.present);
    assert_eq!(facts.systemd, Some(257));
}

#[test]
fn trixie_with_cloud_init() {
    let facts = snapshot("trixie-cloud-init");
    assert_eq!(
        decisions(&facts),
        (
            Flavour::RaspberryPiOs,
            NetworkStack::NetplanNetworkmanager,
            CloudInitState::Active,
            InitFormat::CloudinitRpi,
            UserMechanism::Userconf,
            FirstBoot::RpiResize,
            Swap::RpiSwap,
            MachineId::Uninitialized,
        )
    );
    assert_eq!(facts.cloud_init.seeds.len(), 3);
    let pi = &facts.accounts[0];
    assert_eq!((pi.name.as_str(), pi.uid, pi.locked), ("pi", 1000, true));
    assert_eq!(pi.shell, "/usr/sbin/nologin");
}

fn assert_ubuntu(facts: &Facts, codename: &str, systemd: u32) {
    assert_eq!(
        decisions(facts),
        (
            Flavour::Ubuntu,
            NetworkStack::NetplanNetworkd,
            CloudInitState::Active,
            InitFormat::Cloudinit,
            UserMechanism::CloudInit,
            FirstBoot::Growpart,
            Swap::None,
            MachineId::Empty,
        )
    );
    assert_eq!(facts.os.codename.as_deref(), Some(codename));
    assert_eq!(facts.os.lsb_id, "Ubuntu");
    assert_eq!(facts.systemd, Some(systemd));
    assert_eq!(facts.boot.mount, "/boot/firmware");
    assert!(facts.ssh.enabled);
    assert!(facts.accounts.is_empty());
}

#[test]
fn ubuntu() {
    let focal = snapshot("ubuntu-20.04");
    assert_ubuntu(&focal, "focal", 245);
    assert_eq!(focal.boot.cmdline_path, "cmdline.txt");
    assert_ubuntu(&snapshot("ubuntu-22.04"), "jammy", 249);
    assert_ubuntu(&snapshot("ubuntu-24.04"), "noble", 255);
}

#[test]
fn ubuntu_with_ab_boot() {
    let facts = snapshot("ubuntu-25.10");
    assert_ubuntu(&facts, "questing", 257);
    assert_eq!(facts.boot.cmdline_path, "current/cmdline.txt");
    assert_eq!(facts.boot.config_path, "config.txt");
    let facts = snapshot("ubuntu-26.04");
    assert_eq!(facts.os.codename.as_deref(), Some("resolute"));
    assert_eq!(facts.systemd, Some(259));
    assert_eq!(facts.boot.cmdline_path, "current/cmdline.txt");
    assert!(facts.chrony && !facts.timesyncd);
}

#[test]
fn plain_debian_on_gpt() {
    let facts = snapshot("debian");
    assert_eq!(
        decisions(&facts),
        (
            Flavour::Debian,
            NetworkStack::Ifupdown,
            CloudInitState::Absent,
            InitFormat::None,
            UserMechanism::Passwd,
            FirstBoot::None,
            Swap::None,
            MachineId::Missing,
        )
    );
    assert_eq!(facts.table.kind, TableKind::Gpt);
    // No systemd package in its database: from the library's name.
    assert_eq!(facts.systemd, Some(252));
    assert!(!facts.timesyncd);
}

#[test]
fn lines_of_nis_are_no_accounts() {
    let mut case = Case::load("buster");
    let stock = case.root.text("/etc/passwd");
    case.root.file("/etc/passwd", format!("{stock}-bob\n+@staff\n+::::::"));
    let probed = probe(&case.boot, &case.root, &case.table()).unwrap();
    assert_eq!(probed.accounts, facts("buster").accounts);
}

#[test]
fn texts_are_whole_and_never_printed() {
    let case = Case::load("buster");
    let facts = facts("buster");
    let shadow = case.root.text("/etc/shadow");
    assert_eq!(facts.texts.shadow.as_deref(), Some(shadow.as_str()));
    assert_eq!(facts.texts.subuid.as_deref(), Some("pi:100000:65536\n"));
    let cmdline = case.boot.text("/cmdline.txt");
    assert_eq!(facts.texts.cmdline.as_deref(), Some(cmdline.as_str()));
    let printed = serde_json::to_string(&facts).unwrap();
    for output in [printed, format!("{facts:?}")] {
        assert!(shadow.contains("$6$") && !output.contains("$6$"));
    }
}
