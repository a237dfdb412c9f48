//! `piflash.lock` and `--locked`.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::Path,
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};

use crate::support::{
    env::Env, events, image::Case, releases::Releases, repository, sha256,
};

#[test]
fn a_locked_build_uses_the_recorded_image_or_none() {
    let env = Env::new();
    let case = Case::load("trixie");
    let base = env.work().join("base.img");
    case.write(&base).unwrap();
    let inventory = "tests/cases/trixie/inventory.yml";
    let inventory = fs::read_to_string(repository().join(inventory)).unwrap();
    let releases = Releases::start();
    let vars = format!("  vars:\n{}", releases.variables());
    env.write("rack/inventory.yml", inventory.replace("  vars:\n", &vars));
    let build = |more: &[&str]| {
        let args = ["-i", "rack/inventory.yml", "build", "node3"];
        let image = ["--image", "base.img"];
        env.run(&[&args[..], &image, more].concat())
    };

    let early = build(&["--locked"]);
    assert_eq!(early.code, Some(2), "{early}");
    assert!(early.stderr.contains("node3 is not in the lock"), "{early}");
    assert!(!env.work().join("build").exists());

    let first = build(&[]);
    assert_eq!(first.code, Some(0), "{first}");
    let lock = env.read("rack/piflash.lock");
    let read: serde_json::Value = serde_json::from_slice(&lock).unwrap();
    let image = &read["nodes"]["node3"]["image"];
    assert_eq!(image["name"], "base.img");
    assert_eq!(image["sha256"], sha256(&fs::read(&base).unwrap()));
    let again = build(&["--locked"]);
    assert_eq!(again.code, Some(0), "{again}");
    assert_eq!(env.read("rack/piflash.lock"), lock);
    let built = env.read("build/images/node3.img");

    // One byte in a place that nothing reads.
    let file = fs::OpenOptions::new().write(true).open(&base).unwrap();
    file.write_all_at(&[1], 1 << 20).unwrap();
    let drift = build(&["--locked"]);
    assert_eq!(drift.code, Some(2), "{drift}");
    assert!(drift.stderr.contains("node3 would drift"), "{drift}");
    assert!(env.read("build/images/node3.img") == built);
    assert_eq!(env.read("rack/piflash.lock"), lock);

    let accepted = build(&[]);
    assert_eq!(accepted.code, Some(0), "{accepted}");
    assert_ne!(env.read("rack/piflash.lock"), lock);

    env.write("rack/piflash.lock", "not a lock");
    let damaged = build(&[]);
    assert_eq!(damaged.code, Some(1), "{damaged}");
    assert!(damaged.stderr.contains("restore it"), "{damaged}");
    assert_eq!(env.read("rack/piflash.lock"), b"not a lock");
}

/// Changes one byte in a place that nothing reads.
fn change(path: &Path, byte: u8) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&[byte], 1 << 20).unwrap();
}

/// A machine with an image of its own.
fn with_base() -> Env {
    let env = Env::new();
    env.write(
        "inventory.yml",
        "all:\n  hosts:\n    node1: {ansible_host: 10.0.0.1}\n\
         \x20 vars: {ssh_authorized_keys: [], image: base.img}\n",
    );
    let packed = fs::read(repository().join("images/demo/demo.img.zst"));
    let image = zstd::decode_all(&packed.unwrap()[..]).unwrap();
    env.write("base.img", image);
    env
}

/// Builds; returns whether the base was read for its digest.
fn hashes(env: &Env, more: &[&str], code: i32) -> bool {
    let args = ["--progress", "json", "build", "node1"];
    let outcome = env.run(&[&args[..], more].concat());
    assert_eq!(outcome.code, Some(code), "{outcome}");
    let events = outcome.events();
    events::of(&events, "finish").iter().any(|e| e["stage"] == "hash-base")
}

#[test]
fn a_base_is_hashed_again_only_when_it_changed() {
    let made = Instant::now();
    let env = with_base();
    let base = env.work().join("base.img");
    let digest = || {
        let lock = env.read("piflash.lock");
        let lock: serde_json::Value = serde_json::from_slice(&lock).unwrap();
        let digest = lock["nodes"]["node1"]["image"]["sha256"].clone();
        assert_eq!(digest, sha256(&fs::read(&base).unwrap()));
        digest
    };
    let digests = env.home().join(".cache/piflash/digests");
    assert!(hashes(&env, &[], 0));
    // So new that the next change might have the same time; unless this
    // machine is slow.
    let kept = digests.exists();
    assert!(!kept || made.elapsed() > Duration::from_secs(2));
    let settle = || sleep(Duration::from_millis(3100));
    settle();
    assert_eq!(hashes(&env, &[], 0), !kept);
    assert!(!hashes(&env, &[], 0));
    assert!(!hashes(&env, &["--locked"], 0));
    let first = digest();

    // The same size and, by touch(1) or rsync(1), the same time.
    let modified = fs::metadata(&base).unwrap().modified().unwrap();
    let restore = |time: SystemTime| {
        let file = fs::OpenOptions::new().write(true).open(&base).unwrap();
        file.set_modified(time).unwrap();
    };
    change(&base, 1);
    restore(modified);
    assert_eq!(fs::metadata(&base).unwrap().modified().unwrap(), modified);
    assert!(hashes(&env, &["--locked"], 2));
    settle();
    hashes(&env, &[], 0);
    assert!(!hashes(&env, &["--locked"], 0));
    assert_ne!(digest(), first);

    // Another file in its place.
    let other = env.work().join("other.img");
    fs::copy(&base, &other).unwrap();
    change(&other, 2);
    fs::rename(&other, &base).unwrap();
    restore(modified);
    assert!(hashes(&env, &["--locked"], 2));

    // What is of no use any more, prune removes.
    fs::remove_file(&base).unwrap();
    let prune = env.run(&["images", "prune"]);
    assert!(prune.stderr.contains("1 other files"), "{prune}");
    assert_eq!(fs::read_dir(&digests).unwrap().count(), 0);
}

#[test]
fn what_is_known_of_a_base_may_be_damaged_or_have_no_place() {
    let env = with_base();
    sleep(Duration::from_millis(3100));
    assert!(hashes(&env, &[], 0));
    assert!(!hashes(&env, &[], 0));
    // Kept where it is useful, removed where it is not.
    let prune = env.run(&["images", "prune"]);
    assert!(prune.stderr.contains("0 other files"), "{prune}");
    let digests = env.home().join(".cache/piflash/digests");
    let record = fs::read_dir(digests).unwrap().next().unwrap().unwrap().path();
    let good = fs::read_to_string(&record).unwrap();
    for bad in ["", "{", &good.replace("base.img", "else.img")] {
        fs::write(&record, bad).unwrap();
        assert!(hashes(&env, &["--locked"], 0), "{bad}");
        assert!(!hashes(&env, &["--locked"], 0), "{bad}");
    }

    let homeless = || {
        let mut command = env.command();
        command.env_remove("HOME").args(["build", "node1", "--locked"]);
        command.output().unwrap()
    };
    assert!(homeless().status.success());
    change(&env.work().join("base.img"), 1);
    assert_eq!(homeless().status.code(), Some(2));
}
