//! What single releases and odd images need.

use crate::support::{
    env::Env,
    image::Case,
    memory::Body,
    oracle,
    plan::{content, plan},
    repository,
};
use piflash::plan::{Action, Plan};
use std::{fs, os::unix::fs::PermissionsExt, process::Command};

fn file(text: &str) -> Body {
    Body::File(text.as_bytes().to_vec())
}

/// The edits of a path, as text of the plan has them.
fn verbs(plan: &Plan, path: &str) -> Vec<&'static str> {
    plan.edits
        .iter()
        .filter(|edit| edit.path == path)
        .map(|edit| edit.action.verb())
        .collect()
}

#[test]
fn a_masked_sshd_is_unmasked() {
    let mut case = Case::load("bookworm");
    let unit = "/etc/systemd/system/ssh.service";
    assert!(verbs(&plan(&case, "").unwrap(), unit).is_empty());
    case.root.link(unit, "/dev/null");
    let plan = plan(&case, "").unwrap();
    assert_eq!(verbs(&plan, unit), ["remove"]);
    let wanted = "/etc/systemd/system/multi-user.target.wants/ssh.service";
    assert_eq!(verbs(&plan, wanted), ["symlink"]);
}

#[test]
fn a_time_zone_that_the_image_lacks_is_named() {
    let case = Case::load("trixie");
    let zone = |zone: &str| plan(&case, &format!("      timezone: {zone}\n"));
    assert!(zone("Europe/Berlin").is_ok());
    let error = zone("US/Berlin").unwrap_err().to_string();
    assert_eq!(
        error,
        "the image has no time zone `US/Berlin` in /usr/share/zoneinfo (did \
         you mean `Europe/Berlin`?)"
    );
    let error = zone("US/Eastern").unwrap_err().to_string();
    assert!(error.ends_with("`US/Eastern` in /usr/share/zoneinfo"), "{error}");

    // Debian's small images come without tzdata.
    let plan = plan(&Case::load("debian"), "      timezone: US/Eastern\n");
    let notes = plan.unwrap().notes.join("\n");
    assert!(notes.contains("no tzdata"), "{notes}");
}

#[test]
fn a_locale_is_made_where_it_can_be() {
    let case = Case::load("trixie");
    let step = "/usr/local/lib/piflash/steps/15-locale";
    let made = plan(&case, "      locale: de_DE\n").unwrap();
    // A link of Debian 13 leads there.
    assert_eq!(content(&made, "/etc/locale.conf"), "LANG=de_DE\n");
    assert_eq!(content(&made, "/etc/locale.gen"), "de_DE ISO-8859-1\n");
    assert_eq!(verbs(&made, step), ["write"]);
    let built_in = plan(&case, "      locale: C.UTF-8\n").unwrap();
    assert_eq!(content(&built_in, "/etc/locale.conf"), "LANG=C.UTF-8\n");
    assert!(verbs(&built_in, "/etc/locale.gen").is_empty());
    assert!(verbs(&built_in, step).is_empty());

    let error = plan(&case, "      locale: xx_XX.UTF-8\n").unwrap_err();
    assert!(error.to_string().contains("xx_XX.UTF-8"), "{error}");

    let small = plan(&Case::load("debian"), "      locale: de_DE.UTF-8\n");
    let small = small.unwrap();
    assert!(verbs(&small, step).is_empty());
    let entry = content(&small, "/etc/locale.gen");
    assert_eq!(entry, "de_DE.UTF-8 UTF-8\n");
    let notes = small.notes.join("\n");
    assert!(notes.contains("no locale-gen"), "{notes}");
}

/// The step is done when locale-gen is, and not before.
#[test]
fn the_locale_step_fails_with_its_program() {
    let step = repository().join("firstboot/steps/15-locale");
    for shell in [&["dash"][..], &["busybox", "sh"]] {
        for code in [0, 1] {
            let dir = tempfile::tempdir().unwrap();
            let program = dir.path().join("locale-gen");
            let text = format!("#!/bin/sh\necho made >&2\nexit {code}\n");
            fs::write(&program, text).unwrap();
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(&program, mode).unwrap();
            let path = format!("{}:/usr/bin:/bin", dir.path().display());
            let output = Command::new(shell[0])
                .args(&shell[1..])
                .arg(&step)
                .env("PATH", path)
                .output()
                .unwrap_or_else(|e| {
                    panic!("{}: {e}: is its package installed?", shell[0])
                });
            assert_eq!(output.status.code(), Some(code), "{output:?}");
            assert_eq!(output.stderr, b"made\n");
        }
    }
}

#[test]
fn what_customised_the_image_before_goes_away() {
    let mut case = Case::load("bookworm");
    for path in ["/custom.toml", "/userconf.txt", "/wpa_supplicant.conf"] {
        case.boot.put(path, file("x\n"), 0o755);
    }
    let wizard = "/etc/xdg/autostart/piwiz.desktop";
    case.root.put(wizard, file("[Desktop Entry]\n"), 0o644);
    let plan = plan(&case, "").unwrap();
    for path in ["/custom.toml", "/userconf.txt", "/wpa_supplicant.conf"] {
        assert_eq!(verbs(&plan, path), ["remove"], "{path}");
    }
    assert_eq!(verbs(&plan, wizard), ["remove"]);
    let notes = plan.notes.join("\n");
    assert!(notes.contains("/custom.toml, /userconf.txt"), "{notes}");
}

#[test]
fn a_script_of_rpi_imager_on_the_command_line_is_refused() {
    let mut case = Case::load("bookworm");
    let Body::File(line) = &case.boot.nodes["/cmdline.txt"].body else {
        panic!("no command line")
    };
    let line = String::from_utf8(line.clone()).unwrap();
    let line = format!(
        "{} systemd.run=/boot/firstrun.sh \
         systemd.run_success_action=reboot \
         systemd.unit=kernel-command-line.target\n",
        line.trim_end()
    );
    case.boot.put("/cmdline.txt", file(&line), 0o755);
    let error = plan(&case, "").unwrap_err().to_string();
    assert!(error.contains("customised by rpi-imager"), "{error}");
    assert!(error.contains("use a stock image"), "{error}");
}

/// Questions on the first boot stop nobody, and yet it is a first boot: the
/// root partition grows by that.
#[test]
fn the_first_boot_of_trixie_asks_nothing() {
    for (name, asks) in [("trixie", true), ("bookworm", false)] {
        let plan = plan(&Case::load(name), "").unwrap();
        let unit = "/etc/systemd/system/systemd-firstboot.service";
        assert_eq!(!verbs(&plan, unit).is_empty(), asks, "{name}");
        assert!(verbs(&plan, "/etc/machine-id").is_empty(), "{name}");
        let grows = "/etc/systemd/system/rpi-resize.service";
        assert!(verbs(&plan, grows).is_empty(), "{name}");
    }
}

#[test]
fn a_node_of_a_cluster_has_no_swap() {
    // The last release that runs on all of these.
    let role = "  vars: {k3s_version: v1.34.2+k3s1}\n  children:\n    \
                k3s_master: {hosts: {node3: }}\n";
    let off = "/etc/rpi/swap.conf.d/90-no-swap.conf";
    let alone = plan(&Case::load("trixie"), "").unwrap();
    assert!(verbs(&alone, off).is_empty());
    let member = plan(&Case::load("trixie"), role).unwrap();
    assert_eq!(content(&member, off), "[Main]\nMechanism=none\n");

    let unit = "/etc/systemd/system/dphys-swapfile.service";
    for name in ["buster", "bullseye", "bookworm"] {
        let member = plan(&Case::load(name), role).unwrap();
        assert_eq!(verbs(&member, unit), ["symlink"], "{name}");
        assert_eq!(verbs(&member, "/var/swap"), ["remove"], "{name}");
        let alone = plan(&Case::load(name), "").unwrap();
        assert!(verbs(&alone, unit).is_empty(), "{name}");
    }
}

/// 64-bit only where the programs are.
#[test]
fn a_32_bit_system_keeps_its_kernel() {
    let role = "  children:\n    raspberry_pi: {hosts: {node3: }}\n";
    for (name, sets) in [("buster", false), ("bullseye", true)] {
        let plan = plan(&Case::load(name), role).unwrap();
        let set = plan.edits.iter().any(|edit| {
            matches!(&edit.action, Action::ConfigTxt { key, .. }
                if key == "arm_64bit")
        });
        assert_eq!(set, sets, "{name}");
    }
}

/// An image that was built once is built again, for another address.
#[test]
fn a_second_build_leaves_one_address() {
    let case = Case::load("bullseye");
    let env = Env::new();
    case.write(&env.work().join("base.img")).unwrap();
    let inventory = |host: u8| {
        format!(
            "all:\n  hosts:\n    node3: {{ansible_host: 10.0.0.{host}}}\n  \
             vars: {{gateway: 10.0.0.1, ssh_authorized_keys: []}}\n"
        )
    };
    env.write("inventory.yml", inventory(3));
    let first = env.run(&["build", "node3", "--image", "base.img"]);
    assert_eq!(first.code, Some(0), "{first}");
    env.write("inventory.yml", inventory(4));
    let again = env.run(&[
        "build",
        "node3",
        "--image",
        "build/images/node3.img",
        "--build-dir",
        "again",
    ]);
    assert_eq!(again.code, Some(0), "{again}");
    let image = env.work().join("again/images/node3.img");
    let (_, root) = case.offsets();
    oracle::e2fsck(&image, root).unwrap();
    let text = oracle::debugfs(&image, root, "cat /etc/dhcpcd.conf").unwrap();
    assert_eq!(text.matches("interface eth0").count(), 1, "{text}");
    assert!(text.contains("ip_address=10.0.0.4/24"), "{text}");
    assert!(!text.contains("10.0.0.3"), "{text}");
}

/// The key of a wireless network may come from the builder's environment.
#[test]
fn the_key_in_the_environment() {
    let env = Env::new();
    env.write(
        "inventory.yml",
        "all:\n  hosts:\n    node3:\n      ssh_authorized_keys: []\n      \
         wifi: {ssid: home, psk_env: WIFI_PSK, country: DE}\n",
    );
    let run = |psk: Option<&str>| {
        let mut command = env.command();
        command.args(["plan", "node3", "--image", "demo", "--json"]);
        if let Some(psk) = psk {
            command.env("WIFI_PSK", psk);
        }
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let shown = text(output.stdout) + &text(output.stderr);
        (output.status.code(), shown)
    };
    let (code, shown) = run(None);
    assert_eq!(code, Some(2), "{shown}");
    assert!(shown.contains("WIFI_PSK is not set"), "{shown}");
    let (code, shown) = run(Some("secret"));
    assert_eq!(code, Some(2), "{shown}");
    assert!(shown.contains("8 to 63"), "{shown}");
    assert!(!shown.contains("secret\""), "{shown}");
    let (code, shown) = run(Some("correct horse"));
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("piflash-wlan0.nmconnection"), "{shown}");
    assert!(!shown.contains("correct horse"), "{shown}");
}
