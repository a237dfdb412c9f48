//! What systemd makes of our units and presets: its own programs judge them.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use crate::{
    k3s, kubeadm,
    support::{
        image::Case,
        memory::Body,
        oracle,
        plan::{content, plan},
    },
};
use piflash::plan::{Action, Plan};

const UNITS: &str = "etc/systemd/system";
const PRESET: &str = "/etc/systemd/system-preset/10-piflash.preset";
const PROXY: &str = "    proxy_url: http://10.0.0.1:3128/\n";

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Lays down what a plan writes for systemd.
fn lay_down(plan: &Plan, root: &Path) {
    for edit in &plan.edits {
        if let Action::Write { content, .. } = &edit.action
            && edit.path.starts_with("/etc/systemd/system")
        {
            write(root, &edit.path[1..], content.as_text().unwrap());
        }
    }
}

/// The units below `dir`, by their drop-ins too, sorted.
fn units(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.trim_end_matches(".d").to_owned())
        .filter(|name| name.ends_with(".service") || name.ends_with(".socket"))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Makes what units start: an empty program for each command. Of others'
/// units, only that there is one.
fn make_programs(root: &Path) {
    for unit in units(&root.join(UNITS)) {
        let path = format!("{UNITS}/{unit}");
        if !root.join(&path).exists() {
            let name = unit.split('.').next().unwrap();
            let text = format!("[Service]\nExecStart=/usr/bin/{name}\n");
            write(root, &path, &text);
        }
    }
    let mut texts = Vec::new();
    for file in crate::support::files_under(&root.join(UNITS)) {
        texts.push(fs::read_to_string(file).unwrap());
    }
    let lines = texts.iter().flat_map(|text| text.lines());
    for line in lines.filter(|line| line.starts_with("Exec")) {
        let command = line.split_once('=').unwrap().1;
        let program = command.split(' ').next().unwrap();
        let program = program.trim_start_matches(['-', '!', '+', '@', ':']);
        if program.is_empty() {
            continue;
        }
        write(root, &program[1..], "");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(root.join(&program[1..]), mode).unwrap();
    }
}

fn verify(root: &Path, units: &[String]) -> Result<Vec<u8>, oracle::Complaint> {
    let at = format!("--root={}", root.display());
    let mut args = vec!["verify", "--man=no", "--recursive-errors=no", &at];
    args.extend(units.iter().map(String::as_str));
    oracle::run("systemd-analyze", &args)
}

#[test]
fn systemd_finds_no_fault_with_any_unit() {
    let k3s_vars = format!("{PROXY}    k3s_config: {{docker: yes}}\n");
    let docker = format!("{PROXY}    container_runtime: docker\n");
    let plans = [
        (
            k3s::plan(&k3s::inventory(&k3s_vars), "node1").unwrap(),
            "k3s.service",
        ),
        (k3s::plan(&k3s::inventory(""), "node4").unwrap(), "k3s-agent.service"),
        (
            kubeadm::plan(&kubeadm::inventory(&docker), "node4"),
            "kubelet.service",
        ),
        (
            kubeadm::plan(&kubeadm::inventory(&docker), "node1"),
            "cri-docker.socket",
        ),
        (
            kubeadm::plan(&kubeadm::inventory(PROXY), "node1"),
            "containerd.service",
        ),
    ];
    for (plan, expected) in plans {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        lay_down(&plan, root);
        make_programs(root);
        let units = units(&root.join(UNITS));
        for unit in [expected, "piflash-firstboot.service", "ssh.service"] {
            assert!(units.iter().any(|name| name == unit), "{units:?}");
        }
        verify(root, &units).unwrap();
        // It would say so.
        write(
            root,
            &format!("{UNITS}/{expected}.d/50-typo.conf"),
            "[Unit]\nAfterwards=network.target\n",
        );
        let said = verify(root, &units).unwrap_err().0;
        assert!(said.contains("Afterwards"), "{said}");
    }
}

/// Units of the stock image, and one of a package that comes later.
const OTHERS: &[(&str, &str)] = &[
    ("NetworkManager.service", "multi-user.target"),
    ("later.service", "multi-user.target"),
    ("ssh.service", "multi-user.target"),
    ("ssh.socket", "sockets.target"),
    ("systemd-networkd.service", "multi-user.target"),
    ("systemd-networkd.socket", "sockets.target"),
    ("systemd-networkd-wait-online.service", "network-online.target"),
    ("systemd-timesyncd.service", "sysinit.target"),
    ("userconfig.service", "multi-user.target"),
];

/// What systemd's first boot enables of the units on a card, sorted.
fn first_boot(plan: &Plan) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    lay_down(plan, root);
    for (name, target) in OTHERS {
        let kind = match name.ends_with(".socket") {
            true => "[Socket]\nListenStream=22",
            false => "[Service]\nExecStart=/usr/bin/true",
        };
        let unit = format!("{kind}\n[Install]\nWantedBy={target}\n");
        write(root, &format!("usr/lib/systemd/system/{name}"), &unit);
    }
    // As Debian's, which come after ours.
    write(
        root,
        "usr/lib/systemd/system-preset/90-systemd.preset",
        "enable systemd-networkd.service\n\
         enable systemd-networkd-wait-online.service\n\
         enable systemd-timesyncd.service\n",
    );
    let at = format!("--root={}", root.display());
    let args = [&at, "preset-all", "--preset-mode=enable-only"];
    oracle::run("systemctl", &args).unwrap();
    let mut enabled: Vec<String> = fs::read_dir(root.join(UNITS))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(".wants"))
        .flat_map(|path| fs::read_dir(path).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    enabled.sort();
    enabled
}

const FIRST: [&str; 5] = [
    "NetworkManager.service",
    "later.service",
    "piflash-firstboot.service",
    "ssh.service",
    "systemd-timesyncd.service",
];

#[test]
fn the_first_boot_enables_nothing_before_its_step() {
    let docker = "    container_runtime: docker\n";
    for plan in [
        k3s::plan(&k3s::inventory(""), "node1").unwrap(),
        k3s::plan(&k3s::inventory(""), "node4").unwrap(),
        kubeadm::plan(&kubeadm::inventory(docker), "node1"),
        kubeadm::plan(&kubeadm::inventory(docker), "node4"),
        plan(&Case::load("trixie"), "").unwrap(),
    ] {
        assert_eq!(first_boot(&plan), FIRST, "{}", plan.text());
    }
}

#[test]
fn sshd_keeps_the_way_in_which_the_image_starts_it() {
    let mut case = Case::load("trixie");
    case.root.put(
        "/usr/lib/systemd/system/ssh.socket",
        Body::File(b"[Socket]\nListenStream=22\n".to_vec()),
        0o644,
    );
    let wants = "/etc/systemd/system/sockets.target.wants/ssh.socket";
    case.root.link(wants, "/usr/lib/systemd/system/ssh.socket");
    let enabled = first_boot(&plan(&case, "").unwrap());
    assert!(enabled.contains(&"ssh.socket".to_owned()), "{enabled:?}");
    assert!(!enabled.contains(&"ssh.service".to_owned()), "{enabled:?}");
}

#[test]
fn presets_are_for_first_boots() {
    // Empty, so that systemd 247 and later take it for no first boot.
    for name in ["bullseye", "bookworm", "ubuntu-24.04"] {
        let plan = plan(&Case::load(name), "").unwrap();
        assert!(plan.edits.iter().all(|edit| edit.path != PRESET), "{name}");
    }
    let mut case = Case::load("ubuntu-24.04");
    case.root.nodes.remove("/etc/machine-id").unwrap();
    let preset = content(&plan(&case, "").unwrap(), PRESET);
    assert!(preset.contains("disable NetworkManager*\n"), "{preset}");
    assert!(!preset.contains("networkd"), "{preset}");
    assert!(!preset.contains("disable *"), "{preset}");
}

/// systemd-timesyncd writes the file as its own user.
#[test]
fn the_saved_time_keeps_its_owner() {
    const CLOCK: &str = "/var/lib/systemd/timesync/clock";
    let edits = |case: &Case| -> Vec<String> {
        let plan = plan(case, "").unwrap();
        let notes = plan.notes.join("\n");
        assert_eq!(notes.contains("replaced by a file"), {
            let Some(node) = case.root.nodes.get(CLOCK) else { return vec![] };
            matches!(node.body, Body::Directory)
        });
        let edits = plan.edits.iter().filter(|edit| edit.path == CLOCK);
        let said = edits.map(|edit| match &edit.action {
            Action::Write { access, .. } => {
                format!("{:o} {}:{}", access.mode, access.uid, access.gid)
            }
            other => other.verb().to_owned(),
        });
        said.collect()
    };
    // Of 2025-10-01: a directory by mistake.
    let mut case = Case::load("trixie");
    assert_eq!(edits(&case), ["remove", "644 991:991"]);
    case.root.nodes.retain(|path, _| !path.starts_with(CLOCK));
    case.root.put(CLOCK, Body::File(Vec::new()), 0o640);
    let meta = &mut case.root.nodes.get_mut(CLOCK).unwrap().meta;
    (meta.uid, meta.gid) = (997, 998);
    assert_eq!(edits(&case), ["640 997:998"]);
}
