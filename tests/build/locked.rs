//! `piflash.lock` and `--locked`.

use std::{fs, os::unix::fs::FileExt};

use crate::support::{env::Env, image::Case, repository, sha256};

#[test]
fn a_locked_build_uses_the_recorded_image_or_none() {
    let env = Env::new();
    let case = Case::load("trixie");
    let base = env.work().join("base.img");
    case.write(&base).unwrap();
    let inventory = "tests/cases/trixie/inventory.yml";
    env.write(
        "rack/inventory.yml",
        fs::read(repository().join(inventory)).unwrap(),
    );
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
