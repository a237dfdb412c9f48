//! Only opening the device needs root.

use super::loops::{Loop, MIB, noise};
use crate::support::{env::Env, oracle::run};
use piflash::sink::device::{Target, opener};
use std::{
    fs,
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt, net::UnixStream},
    },
    path::Path,
    process::{Command, Stdio},
};

/// The opener passes the device, has its table read again, and ends with the
/// one that asked.
#[test]
#[ignore = "needs root and a loop device"]
fn an_open_device_is_passed() {
    let env = Env::new();
    let card = Loop::used(&env.work(), "card", 4 * MIB);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_piflash"))
        .args(["open-device", card.path()])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .unwrap();
    let device = opener::receive(ours).unwrap();
    assert_eq!((device.size(), device.sector()), (4 * MIB, 512));
    device.reread_table().unwrap();
    device.reread_table().unwrap();
    assert!(child.try_wait().unwrap().is_none());
    drop(device);
    assert!(child.wait().unwrap().success());
    // It is not in the help.
    assert!(!env.run(&["--help"]).stdout.contains("open-device"));
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Somebody who may not write to devices, with and without a sudo. The sudo
/// is a setpriv that root lends to all: what it is given is run as root.
#[test]
#[ignore = "needs root and a loop device"]
fn a_user_needs_root_for_nothing_but_opening() {
    let dir = tempfile::tempdir().unwrap();
    chmod(dir.path(), 0o755);
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("bin")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_piflash"), at("piflash")).unwrap();
    chmod(&at("piflash"), 0o755);
    noise(&at("made.img"), 8 * MIB);
    let expected = fs::read(at("made.img")).unwrap();
    let env = Env::new();
    let card = Loop::used(&env.work(), "card", 12 * MIB);
    let setpriv = run("sh", &["-c", "command -v setpriv"]).unwrap();
    let setpriv = String::from_utf8(setpriv).unwrap();
    let setpriv = setpriv.trim();
    let write = || {
        let output = Command::new(setpriv)
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(at("piflash"))
            .args(["write", "./made.img", card.path(), "--allow-fixed"])
            .arg("--yes")
            .env("PATH", at("bin"))
            .current_dir(dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said)
    };

    let (code, said) = write();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("this user may not write to it"), "{said}");
    let hint = format!("sudo piflash write ./made.img {}", card.path());
    assert!(said.contains(&hint), "{said}");
    assert!(card.is_untouched());

    // A sudo that refuses.
    let script = |text: &str| {
        fs::write(at("bin/sudo"), text).unwrap();
        chmod(&at("bin/sudo"), 0o755);
    };
    script("#!/bin/sh\nexit 1\n");
    let (code, said) = write();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("this user may not write to it"), "{said}");
    assert!(card.is_untouched());

    fs::copy(setpriv, at("bin/lent")).unwrap();
    chmod(&at("bin/lent"), 0o4755);
    let lent = at("bin/lent");
    script(&format!(
        "#!/bin/sh\necho \"$@\" >&2\n[ \"$1\" = -- ] && shift\nexec {} \
         --reuid=0 --regid=0 --clear-groups \"$@\"\n",
        lent.display()
    ));
    let (code, said) = write();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("sudo is asked for that alone"), "{said}");
    // All that root was asked for.
    let asked =
        format!("-- {} open-device {}\n", at("piflash").display(), card.path());
    assert!(said.contains(&asked), "{said}");
    let found = fs::read(&card.path).unwrap();
    assert!(found[..expected.len()] == expected);
}
