//! Devices that must not be written to, and are not.

use super::loops::{Loop, MIB, noise};
use crate::support::{
    env::{Env, Outcome},
    oracle::{run, run_with},
};
use rustix::fs::{Mode, OFlags, open};
use std::{fs, path::Path};

/// Runs with `--yes`: all that stands between is the program's own refusal.
fn refused(env: &Env, args: &[&str], said: &[&str]) {
    let words = [&["write", "made.img"], args, &["--yes"]].concat();
    let outcome = env.run(&words);
    assert_ne!(outcome.code, Some(0), "{outcome}");
    for said in said {
        assert!(outcome.stderr.contains(said), "{said}: {outcome}");
    }
}

fn env() -> Env {
    let env = Env::new();
    noise(&env.work().join("made.img"), 4 * MIB);
    env
}

#[test]
fn what_is_no_disk_is_refused() {
    let env = env();
    env.write("file", "");
    for (device, said) in [
        ("/dev/null", "it is not a block device"),
        ("./file", "it is not a block device"),
        ("/dev/no-such-disk", "there is no such device"),
        ("no-such-disk", "there is no such device"),
    ] {
        refused(&env, &[device], &[device, said]);
    }
    // Before that, what is no image.
    env.write("text.img", "not a disk");
}

/// Without a device, the disks are listed, and that is no success.
#[test]
fn without_a_device_nothing_is_written() {
    let env = env();
    let Outcome { code, stdout, stderr } = env.run(&["write", "made.img"]);
    assert_eq!(code, Some(2), "{stderr}");
    let titles: Vec<_> =
        stdout.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(titles, ["DEVICE", "SIZE", "BUS", "MODEL", "STATE"]);
    assert!(stderr.contains("no device is named: nothing was written"));
}

#[test]
#[ignore = "needs root and a loop device"]
fn fixed_disks_and_too_small_ones_are_refused() {
    let env = env();
    let card = Loop::used(&env.work(), "card", 3 * MIB);
    refused(&env, &[card.path()], &["it is not removable", "--allow-fixed"]);
    let fixed = [card.path(), "--allow-fixed"];
    refused(&env, &fixed, &["is too small", "nothing was written"]);
    refused(
        &env,
        &[card.path(), "--also", card.path(), "--allow-fixed"],
        &["is named twice"],
    );
    env.write("text.img", "not a disk");
    let outcome = env.run(&["write", "text.img", card.path(), "--allow-fixed"]);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(outcome.stderr.contains("is not an image"), "{outcome}");
    assert!(card.is_untouched());
    // It is in the list, with the reason.
    let list = env.run(&["write", "made.img"]).stdout;
    let row = list.lines().find(|line| line.contains(card.path())).unwrap();
    assert!(row.ends_with("not removable"), "{row}");
    let list = env.run(&["write", "made.img", "--allow-fixed"]);
    let row = list.stdout.lines().find(|line| line.contains(card.path()));
    assert!(row.unwrap().ends_with("ready"), "{list}");
    assert!(list.stderr.contains("piflash write made.img /dev/"), "{list}");
}

#[test]
#[ignore = "needs root and a loop device"]
fn read_only_devices_are_refused() {
    let env = env();
    let file = env.work().join("card");
    fs::write(&file, vec![0xa5; 8 << 20]).unwrap();
    let card = Loop::of(&file, &["-r"]);
    refused(&env, &[card.path(), "--allow-fixed"], &["it is read-only"]);
    assert!(card.is_untouched());
}

/// A disk with an ext4 in its only partition.
fn partitioned(dir: &Path) -> Loop {
    let file = dir.join("disk");
    fs::File::create(&file).unwrap().set_len(32 * MIB).unwrap();
    let path = file.to_str().unwrap();
    run_with("sfdisk", &["-q", path], b"label: dos\nstart=2048, type=83\n")
        .unwrap();
    let card = Loop::of(&file, &["-P"]);
    // A kernel may know nothing of partition tables; one that does has added
    // it already, and says so.
    let _ = run("partx", &["-a", card.path()]);
    let part = format!("{}p1", card.path());
    run("mke2fs", &["-q", "-F", "-t", "ext4", &part]).unwrap();
    card
}

#[test]
#[ignore = "needs root and a loop device"]
fn partitions_and_mounted_disks_are_refused() {
    let env = env();
    let card = partitioned(&env.work());
    let part = format!("{}p1", card.path());
    let before = fs::read(&card.file).unwrap();
    refused(
        &env,
        &[&part, "--allow-fixed"],
        &["it is partition 1 of", &format!("name {}", card.path())],
    );
    let at = env.work().join("mount");
    fs::create_dir(&at).unwrap();
    run("mount", &["-o", "ro", &part, at.to_str().unwrap()]).unwrap();
    refused(
        &env,
        &[card.path(), "--allow-fixed"],
        &["it is in use", "p1 is mounted at $WORK/mount", "unmount it"],
    );
    run("umount", &[at.to_str().unwrap()]).unwrap();
    assert!(fs::read(&card.file).unwrap() == before);
    // Now nobody uses it.
    let outcome =
        env.run(&["write", "made.img", card.path(), "--allow-fixed", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("partition 1: "), "{outcome}");
}

/// A mount that this process cannot see, as of a container's, is seen by the
/// kernel: the device cannot be opened exclusively.
#[test]
#[ignore = "needs root and a loop device"]
fn held_disks_are_refused() {
    let env = env();
    let card = Loop::used(&env.work(), "card", 8 * MIB);
    let above = Loop::of(&card.path, &[]);
    refused(
        &env,
        &[card.path(), "--allow-fixed"],
        &["it is in use", &format!("is held by {}", above.name())],
    );
    drop(above);
    let flags = OFlags::RDWR | OFlags::EXCL;
    let held = open(&card.path, flags, Mode::empty()).unwrap();
    refused(
        &env,
        &[card.path(), "--allow-fixed"],
        &["cannot open", "something else uses it"],
    );
    assert!(card.is_untouched());
    drop(held);
}

/// The disk that this machine runs from, whatever is said.
#[test]
#[ignore = "needs root and a loop device"]
fn the_systems_disk_is_refused() {
    let env = env();
    let found = run("findmnt", &["-n", "-o", "SOURCE", "/"]).unwrap();
    let root = String::from_utf8(found).unwrap().trim().to_owned();
    if !root.starts_with("/dev/") {
        // A container: its root is no device. The made-up machines of the
        // other tests are not.
        return;
    }
    let outcome =
        env.run(&["write", "made.img", &root, "--allow-fixed", "--yes"]);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    let said = ["this machine runs from it", "it is partition"];
    assert!(said.iter().any(|s| outcome.stderr.contains(s)), "{outcome}");
}
