//! A node's card, from the inventory to a device.

use super::loops::{Loop, MIB};
use crate::support::{
    env::{Env, Outcome},
    events, oracle, repository, tree,
};
use oracle::run as run_tool;
use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// `piflash -i homelab.yml WORDS... --image demo --offline`
fn run(env: &Env, words: &[&str], input: &str) -> Outcome {
    let example = repository().join("examples/homelab.yml");
    let mut args = vec!["-i", example.to_str().unwrap()];
    args.extend(words);
    args.extend(["--image", "demo", "--offline"]);
    let mut command = env.command();
    let output = command.args(&args).write_stdin(input).output().unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Byte offsets and lengths of partitions.
fn partitions(image: &Path) -> Vec<(u64, u64)> {
    let table = oracle::sfdisk_json(image).unwrap();
    let partitions = table["partitiontable"]["partitions"].as_array().unwrap();
    let bytes = |value: &serde_json::Value| value.as_u64().unwrap() * 512;
    partitions.iter().map(|p| (bytes(&p["start"]), bytes(&p["size"]))).collect()
}

/// What is on the device is judged by programs that are not ours, and is,
/// file by file, what a build puts into an image.
#[test]
#[ignore = "needs root and a loop device"]
fn a_node_is_written_over_an_old_card() {
    let env = Env::new();
    env.known_identity();
    let built = run(&env, &["build", "node3"], "");
    assert_eq!(built.code, Some(0), "{built}");
    let image = env.work().join("build/images/node3.img");
    let size = fs::metadata(&image).unwrap().len();
    let card = Loop::used(&env.work(), "card", size + 3 * MIB);

    // The name of another is not enough.
    let words = ["write", "node3", card.path(), "--allow-fixed"];
    let outcome = run(&env, &words, "sdx\n");
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(outcome.stderr.contains("was not typed"), "{outcome}");
    let outcome = run(&env, &words, "");
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(outcome.stderr.contains("--yes"), "{outcome}");
    assert!(card.is_untouched());

    let outcome = run(&env, &words, &format!("{}\n", card.name()));
    assert_eq!(outcome.code, Some(0), "{outcome}");
    for said in [
        "holds no partitions",
        "is node3 now",
        "paths through FAT and ext4: the same",
        "safe to remove",
    ] {
        assert!(outcome.stderr.contains(said), "{said}: {outcome}");
    }

    let parts = partitions(&card.path);
    assert_eq!(parts, partitions(&image));
    let [(boot, boot_len), (root, _)] = parts[..] else { panic!("{parts:?}") };
    oracle::e2fsck(&card.path, root).unwrap();
    oracle::fsck_vfat(&card.path, boot, boot_len).unwrap();
    let trees = |path: &Path| {
        let mut lines = tree::fat(path, boot).unwrap();
        lines.extend(tree::ext4(path, root).unwrap());
        lines
    };
    let (expected, found) = (trees(&image), trees(&card.path));
    assert_eq!(tree::diff(&expected, &found), Vec::<String>::new());
    assert!(found.len() > 150);

    // Once more, for programs, over what is there now.
    let words = [
        "--progress",
        "json",
        "write",
        "node3",
        card.path(),
        "--allow-fixed",
        "--yes",
    ];
    let outcome = run(&env, &words, "");
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let events = outcome.events();
    let finished: Vec<_> = events::of(&events, "finish")
        .into_iter()
        .filter(|event| event["name"] == card.name())
        .collect();
    let stages: Vec<_> =
        finished.iter().map(|e| e["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["discard", "write", "read-back", "check"]);
    for event in &finished[1..3] {
        assert_eq!(event["done"], event["total"], "{event}");
    }
    assert!(outcome.stderr.contains("partition 2: "), "{outcome}");
    oracle::e2fsck(&card.path, root).unwrap();
}

/// Free blocks are not written: the device is given what the file systems
/// use, as a block map of the same image says it.
#[test]
#[ignore = "needs root and a loop device"]
fn nothing_but_what_matters_is_written() {
    let env = Env::new();
    env.known_identity();
    let built = run(&env, &["build", "node3", "--bmap"], "");
    assert_eq!(built.code, Some(0), "{built}");
    let map = env.read("build/images/node3.img.bmap");
    let map = String::from_utf8(map).unwrap();
    let tag = "<MappedBlocksCount>";
    let start = map.find(tag).unwrap() + tag.len();
    let count = map[start..].split('<').next().unwrap().trim();
    let mapped = count.parse::<u64>().unwrap() * 4096;

    let image = env.work().join("build/images/node3.img");
    let size = fs::metadata(&image).unwrap().len();
    // A hole: what it takes then is what was written.
    let file = env.work().join("card");
    fs::File::create(&file).unwrap().set_len(size + 4 * MIB).unwrap();
    let card = Loop::of(&file, &[]);
    let words = ["write", "node3", card.path(), "--allow-fixed", "--yes", "-q"];
    let outcome = run(&env, &words, "");
    assert_eq!(outcome.code, Some(0), "{outcome}");
    run_tool("sync", &["-f", file.to_str().unwrap()]).unwrap();
    let written = fs::metadata(&file).unwrap().blocks() * 512;
    // The end of the device is erased, too.
    assert!(written <= mapped + 2 * MIB, "{written} of {mapped}");
    assert!(written < size / 2, "{written} of {size}");
    assert_eq!(partitions(&card.path), partitions(&image));
}
