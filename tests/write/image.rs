//! Images in files, packed or not.

use super::loops::{Loop, MIB, noise};
use crate::support::{env::Env, oracle::run};
use std::fs;

fn write(env: &Env, image: &str, card: &Loop) -> crate::support::env::Outcome {
    env.run(&["write", image, card.path(), "--allow-fixed", "--yes"])
}

/// Half of it noise, then nothing.
fn made(env: &Env) -> Vec<u8> {
    let path = env.work().join("made.img");
    noise(&path, 12 * MIB);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(24 * MIB + 512).unwrap();
    drop(file);
    fs::read(path).unwrap()
}

#[test]
#[ignore = "needs root and a loop device"]
fn every_format_ends_as_the_same_bytes() {
    let env = Env::new();
    let bytes = made(&env);
    let image = env.work().join("made.img");
    let image = image.to_str().unwrap();
    run("xz", &["-k", "-T2", "--block-size=4MiB", image]).unwrap();
    run("zstd", &["-q", "-k", image, "-o", &format!("{image}.zst")]).unwrap();
    run("gzip", &["-k", image]).unwrap();
    run("zip", &["-q", "-j", &format!("{image}.zip"), image]).unwrap();
    let one = env.work().join("one.img.xz");
    fs::write(&one, run("xz", &["-c", "-T1", image]).unwrap()).unwrap();
    for name in [
        "made.img",
        "made.img.xz",
        "one.img.xz",
        "made.img.zst",
        "made.img.gz",
        "made.img.zip",
    ] {
        let card = Loop::used(&env.work(), "card", 32 * MIB);
        let outcome = write(&env, name, &card);
        assert_eq!(outcome.code, Some(0), "{name}: {outcome}");
        let found = fs::read(&card.path).unwrap();
        assert!(found[..bytes.len()] == bytes, "{name}");
        assert!(run("sfdisk", &["-d", card.path()]).is_ok());
    }
}

#[test]
#[ignore = "needs root and a loop device"]
fn sectors_of_4096_bytes_are_written_too() {
    let env = Env::new();
    let bytes = made(&env);
    for sector in ["512", "4096"] {
        let file = env.work().join("card");
        fs::write(&file, vec![0xa5; 32 << 20]).unwrap();
        let card = Loop::of(&file, &["-b", sector]);
        let outcome = write(&env, "made.img", &card);
        assert_eq!(outcome.code, Some(0), "{sector}: {outcome}");
        let warned = outcome.stderr.contains("sectors of 4096 bytes");
        assert_eq!(warned, sector == "4096", "{outcome}");
        let found = fs::read(&card.path).unwrap();
        assert!(found[..bytes.len()] == bytes, "{sector}");
        let padded = bytes.len().next_multiple_of(sector.parse().unwrap());
        assert!(found[bytes.len()..padded].iter().all(|b| *b == 0));
    }
}

/// A damaged download is no card, however late the damage is.
#[test]
#[ignore = "needs root and a loop device"]
fn a_damaged_file_leaves_nothing_that_boots() {
    let env = Env::new();
    made(&env);
    let image = env.work().join("made.img");
    run("gzip", &["-k", image.to_str().unwrap()]).unwrap();
    let mut packed = env.read("made.img.gz");
    let end = packed.len() - 6;
    packed[end] ^= 1;
    env.write("made.img.gz", &packed);
    let card = Loop::used(&env.work(), "card", 32 * MIB);
    let outcome = write(&env, "made.img.gz", &card);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    for said in ["the image cannot be read", "has no partition table now"] {
        assert!(outcome.stderr.contains(said), "{said}: {outcome}");
    }
    assert!(card.is_erased());
}

/// Without `--no-verify` all is read; with it, nothing is.
#[test]
#[ignore = "needs root and a loop device"]
fn reading_back_can_be_left_out() {
    let env = Env::new();
    let bytes = made(&env);
    let card = Loop::used(&env.work(), "card", 32 * MIB);
    let outcome = env.run(&[
        "--progress",
        "json",
        "write",
        "made.img",
        card.path(),
        "--allow-fixed",
        "--yes",
        "--no-verify",
    ]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let events = outcome.events();
    assert!(!events.iter().any(|event| event["stage"] == "read-back"));
    assert!(outcome.stderr.contains("no (--no-verify)"), "{outcome}");
    let found = fs::read(&card.path).unwrap();
    assert!(found[..bytes.len()] == bytes);
}
