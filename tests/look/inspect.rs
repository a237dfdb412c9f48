//! What `inspect` shows is what programs that are not ours read.

use super::{Cards, cards, json};
use crate::support::{env::Env, image::Case, oracle, tree};
use serde_json::Value;
use std::{fs, path::Path};

/// The JSON listing of a partition in the words of `support::tree`.
fn lines(env: &Env, image: &Path, part: &str) -> Vec<String> {
    let image = image.to_str().unwrap();
    let place = format!("{part}:");
    let args = ["inspect", image, &place, "--json", "--show-secrets"];
    let outcome = env.run(&args);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let listing = json(&outcome);
    assert_eq!(listing["version"], 1);
    let mut lines: Vec<String> = listing["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| part == "root" || entry["path"] != "/")
        .map(|entry| line(part, entry))
        .collect();
    lines.sort();
    lines
}

fn line(part: &str, entry: &Value) -> String {
    let path = entry["path"].as_str().unwrap();
    let access = if part == "boot" {
        "- -".to_owned()
    } else {
        let mode = entry["mode"].as_str().unwrap();
        format!("{mode} {}:{}", entry["uid"], entry["gid"])
    };
    let rest = match entry["kind"].as_str().unwrap() {
        "directory" => "- -".to_owned(),
        "symlink" => {
            let target = entry["target"].as_str().unwrap();
            format!("{} - -> {target}", entry["size"])
        }
        "file" => {
            format!("{} {}", entry["size"], entry["sha256"].as_str().unwrap())
        }
        other => format!("- {other}"),
    };
    format!("{part}{path} {access} {rest}")
}

fn assert_tree(env: &Env, case: &Case, image: &Path) {
    let (boot, root) = case.offsets();
    let mut ours = lines(env, image, "boot");
    ours.extend(lines(env, image, "root"));
    let theirs = tree::lines(image, boot, root).unwrap();
    assert!(theirs.len() > 50);
    let different = tree::diff(&theirs, &ours);
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn the_tree_of_a_card_is_what_others_read() {
    let cards = cards();
    assert_tree(&cards.env, &cards.case, &cards.node("node3"));
    assert_tree(&cards.env, &cards.case, &cards.base());
}

#[test]
fn the_trees_of_other_systems_are_what_others_read() {
    for name in ["buster", "trixie", "ubuntu-24.04"] {
        let (env, case) = (Env::new(), Case::load(name));
        let image = env.work().join("base.img");
        case.write(&image).unwrap();
        assert_tree(&env, &case, &image);
    }
}

#[test]
fn a_file_system_that_was_not_unmounted_is_read_by_another_reader() {
    let cards = cards();
    let copy = cards.copy(&cards.node("node3"));
    copy.debugfs(cards, "feature needs_recovery\n");
    let (_, root) = cards.case.offsets();
    let ours = lines(&cards.env, &copy.path, "root");
    // The same files, in a file system that others take for sound.
    let theirs = tree::ext4(&cards.node("node3"), root).unwrap();
    assert_eq!(ours, theirs);
    let outcome = cards.run(&["inspect", copy.path.to_str().unwrap()]);
    assert!(outcome.stdout.contains("its journal needs"), "{outcome}");
    // A journal that the kernel has not used yet, which ext4-view refuses.
    assert!(outcome.stderr.contains("is not seen"), "{outcome}");
}

#[test]
fn files_come_out_byte_for_byte() {
    let cards = cards();
    let image = cards.node("node3");
    let name = image.to_str().unwrap();
    let (boot, root) = cards.case.offsets();
    let raw = |path: &str| {
        let args = ["inspect", name, path, "--show-secrets"];
        let output = cards.env.command().args(args).output().unwrap();
        assert!(output.status.success(), "{path}: {output:?}");
        output.stdout
    };
    let copy = tempfile::tempdir().unwrap();
    let dump = format!("rdump / {}\n", copy.path().display());
    oracle::debugfs(&image, root, &dump).unwrap();
    for path in [
        "/etc/hostname",
        "/etc/shadow",
        "/etc/piflash/manifest.json",
        "/usr/local/sbin/piflash-node",
        "/var/lib/dpkg/status",
    ] {
        let theirs = fs::read(copy.path().join(&path[1..])).unwrap();
        assert_eq!(raw(path), theirs, "{path}");
        assert_eq!(raw(&format!("root:{path}")), theirs, "{path}");
        assert_eq!(raw(&format!("2:{path}")), theirs, "{path}");
    }
    // Links on the way, and at the end.
    let release = fs::read(copy.path().join("usr/lib/os-release")).unwrap();
    assert_eq!(raw("/etc/os-release"), release);
    assert_eq!(raw("/lib/os-release"), release);
    for path in ["config.txt", "cmdline.txt"] {
        let theirs = oracle::mtype(&image, boot, path).unwrap();
        assert_eq!(raw(&format!("boot:/{path}")), theirs, "{path}");
        assert_eq!(raw(&format!("boot:/{}", path.to_uppercase())), theirs);
        assert_eq!(raw(&format!("/boot/firmware/{path}")), theirs, "{path}");
    }
}

/// Each in the form that `xz`, `gzip` and `zstd` give it.
#[test]
fn compressed_images_show_the_same() {
    let cards = cards();
    let copy = cards.copy(&cards.node("node3"));
    let path = copy.path.to_str().unwrap();
    let plain = summary(cards, path);
    assert_eq!(plain["form"], "raw");
    let cases: [(&str, &str, &[&str], &str); 4] = [
        (
            "xz",
            "blocks.xz",
            &["-0", "-c", "--block-size=4MiB", path],
            "xz-blocks",
        ),
        ("xz", "one.xz", &["-0", "-c", "-T1", path], "xz"),
        ("gzip", "img.gz", &["-1", "-c", path], "gzip"),
        ("zstd", "img.zst", &["-q", "-1", "-c", path], "zstd"),
    ];
    for (tool, name, args, form) in cases {
        let packed = copy.path.with_file_name(name);
        fs::write(&packed, oracle::run(tool, args).unwrap()).unwrap();
        let packed_name = packed.to_str().unwrap();
        let mut found = summary(cards, packed_name);
        assert_eq!(found["form"], form, "{name}");
        found["form"] = "raw".into();
        found["image"] = path.into();
        assert!(found == plain, "{name}:\n{found:#}\n{plain:#}");
        let outcome =
            cards.run(&["inspect", packed_name, "root:/etc/hostname"]);
        assert_eq!((outcome.code, &*outcome.stdout), (Some(0), "node3\n"));
        let mut cut = fs::read(&packed).unwrap();
        cut.truncate(cut.len() / 2);
        fs::write(&packed, cut).unwrap();
        let outcome = cards.run(&["inspect", packed_name]);
        assert_eq!(outcome.code, Some(1), "{name}: {outcome}");
    }
}

fn summary(cards: &Cards, image: &str) -> Value {
    let outcome = cards.run(&["inspect", image, "--json"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    json(&outcome)
}

#[test]
fn partitions_and_file_systems_are_described_as_others_do() {
    let cards = cards();
    let image = cards.node("node3");
    let found = summary(cards, image.to_str().unwrap());
    let table = oracle::sfdisk_json(&image).unwrap();
    let theirs = table["partitiontable"]["partitions"].as_array().unwrap();
    let ours = found["partitions"].as_array().unwrap();
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        for (our, their) in [("start", "start"), ("size", "size")] {
            let sectors = theirs[their].as_u64().unwrap();
            assert_eq!(ours[our].as_u64(), Some(sectors * 512));
        }
    }
    let (_, root) = cards.case.offsets();
    let at = oracle::ext4_at(&image, root);
    let said = oracle::run("dumpe2fs", &["-h", &at]).unwrap();
    let said = String::from_utf8(said).unwrap();
    let field = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name}\n{said}")).trim().to_owned()
    };
    let ext4 = &ours[1]["filesystem"];
    let block: u64 = field("Block size:").parse().unwrap();
    let blocks: u64 = field("Block count:").parse().unwrap();
    let free: u64 = field("Free blocks:").parse().unwrap();
    assert_eq!(ext4["block_size"], block);
    assert_eq!(ext4["size"], block * blocks);
    assert_eq!(ext4["free"], block * free);
    assert_eq!(ext4["inodes"].to_string(), field("Inode count:"));
    assert_eq!(ext4["free_inodes"].to_string(), field("Free inodes:"));
    assert_eq!(ours[1]["uuid"], field("Filesystem UUID:"));
    let mut features: Vec<_> = ext4["features"]
        .as_array()
        .unwrap()
        .iter()
        .map(|feature| feature.as_str().unwrap().to_owned())
        .collect();
    features.sort();
    let theirs = field("Filesystem features:");
    let mut theirs: Vec<_> = theirs.split_whitespace().collect();
    theirs.sort_unstable();
    assert_eq!(features, theirs);
    assert_eq!(ext4["problems"].to_string(), "[]");
    assert_eq!(found["facts"]["os"]["codename"], "bookworm");
    // Nothing of the files that a plan rewrites: shadow is one of them.
    assert!(found["facts"].get("texts").is_none());
}

#[test]
fn the_manifest_says_what_is_there_and_what_was_changed_since() {
    let cards = cards();
    let image = cards.node("node3");
    let found = summary(cards, image.to_str().unwrap());
    let manifest = &found["manifest"];
    assert_eq!(manifest["version"], 1);
    assert_eq!(manifest["node"], "node3");
    assert_eq!(manifest["built"], crate::support::image::TIME);
    let base = crate::support::sha256(&fs::read(cards.base()).unwrap());
    assert_eq!(manifest["base"]["sha256"], base);
    let edits = manifest["edits"].as_array().unwrap();
    let plan = cards.run(&["plan", "node3", "--image", "base.img", "--json"]);
    let plan = json(&plan);
    let planned = plan["edits"].as_array().unwrap();
    let (last, before) = planned.split_last().unwrap();
    assert_eq!(last["path"], "/etc/piflash/manifest.json");
    assert_eq!(last["mode"], "0600");
    assert_eq!(edits.len(), before.len());
    for (edit, planned) in edits.iter().zip(before) {
        for field in ["part", "path", "action", "mode", "uid", "gid"] {
            assert_eq!(edit[field], planned[field], "{edit}");
        }
        let secret = planned["secret"] == true;
        assert_eq!(edit["secret"] == true, secret);
        assert!(!secret || edit.get("sha256").is_none(), "{edit}");
        assert!(edit["state"] == "same" || edit["state"].is_null(), "{edit}");
    }

    let copy = cards.copy(&image);
    copy.debugfs(cards, "sif /etc/hosts mode 0100600\nrm /etc/hostname\n");
    let found = summary(cards, copy.path.to_str().unwrap());
    let edits = found["manifest"]["edits"].as_array().unwrap();
    let state = |path: &str| {
        let edit = edits.iter().find(|edit| edit["path"] == path);
        edit.unwrap()["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state("/etc/hosts"), "mode and owner are 0600 0:0");
    assert_eq!(state("/etc/hostname"), "it is not there");
    let outcome = cards.run(&["inspect", copy.path.to_str().unwrap()]);
    let lines = outcome.stdout.lines().filter(|line| line.starts_with("! "));
    assert_eq!(lines.count(), 2, "{outcome}");
}

#[test]
fn partitions_are_drawn_to_scale() {
    let cards = cards();
    let outcome = cards.run(&["inspect", "base.img"]);
    let bar = outcome.stdout.lines().nth(2).unwrap();
    assert_eq!(bar.chars().count(), 80, "{outcome}");
    assert!(bar.starts_with('.') && bar.ends_with('.'), "{outcome}");
    let width = |partition: usize| {
        let inner = bar.split('[').nth(partition).unwrap();
        inner.find(']').unwrap() + 2
    };
    let partitions = &cards.case.table().partitions;
    let size = fs::metadata(cards.base()).unwrap().len();
    for (number, partition) in partitions.iter().enumerate() {
        let exact = partition.len * 80 / size;
        let off = (width(number + 1) as i64 - exact as i64).abs();
        assert!(off <= 3, "{outcome}");
    }
}

#[test]
fn what_cannot_be_looked_at_is_said() {
    let cards = cards();
    cards.env.write("text", "just a text, no image");
    for (args, code, said) in [
        (&["inspect", "no.img"][..], 2, "No such file"),
        (&["inspect", "build"], 2, "neither a file nor a block device"),
        (&["inspect", "text"], 1, "is not a disk image"),
        (&["inspect", "base.img", "root:/none"], 2, "there is no root:/none"),
        (&["inspect", "base.img", "9:/"], 2, "there are: boot:, root:"),
        (&["inspect", "raspios"], 2, "is not in the cache"),
    ] {
        let outcome = cards.run(args);
        assert_eq!(outcome.code, Some(code), "{outcome}");
        assert!(outcome.stderr.contains(said), "{outcome}");
        assert_eq!(outcome.stdout, "", "{outcome}");
    }
    let outcome = cards.run(&["inspect", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stdout.contains("was not here"), "{outcome}");
}

#[test]
fn directories_are_listed_as_ls_does_to_a_depth() {
    let cards = cards();
    let image = cards.node("node3");
    let image = image.to_str().unwrap();
    let outcome = cards.run(&["inspect", image, "root:/", "--depth", "1"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stdout.lines().all(|line| {
        let path = line.split_whitespace().nth(6).unwrap();
        path.matches('/').count() == 1
    }));
    let outcome = cards.run(&["inspect", image, "root:/etc/hostname/x"]);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    // A link that leads to nothing is shown itself.
    let copy = cards.copy(&cards.base());
    copy.debugfs(cards, "symlink /dangling /no/where\n");
    let path = copy.path.to_str().unwrap();
    let outcome = cards.run(&["inspect", path, "root:/dangling"]);
    assert!(outcome.stdout.starts_with("lrwxrwxrwx"), "{outcome}");
    let link = " /dangling -> /no/where\n";
    assert!(outcome.stdout.ends_with(link), "{outcome}");
}
