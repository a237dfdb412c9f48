//! Differences of images, compared with those that others find.

use super::{cards, json};
use crate::support::{oracle, tree};
use std::{collections::BTreeMap, fs, path::Path};

/// `diff --json` by path: what happened there.
fn ours(old: &Path, new: &Path) -> BTreeMap<String, String> {
    let names = [old, new].map(|path| path.to_str().unwrap());
    let outcome = cards().run(&["diff", names[0], names[1], "--json"]);
    let all = json(&outcome);
    let same = all["same"].as_bool().unwrap();
    let code = if same { 0 } else { 3 };
    assert_eq!(outcome.code, Some(code), "{outcome}");
    let mut found = BTreeMap::new();
    for change in all["differences"].as_array().unwrap() {
        let kind = change["change"].as_str().unwrap();
        let entry = if kind == "removed" { "old" } else { "new" };
        let partition = change["partition"].as_str().unwrap();
        let path = change[entry]["path"].as_str().unwrap();
        found.insert(format!("{partition}{path}"), kind.to_owned());
    }
    assert_eq!(found.is_empty(), same);
    found
}

/// The same as mtools, debugfs and ext4-view see it.
fn theirs(old: &Path, new: &Path) -> BTreeMap<String, String> {
    let (boot, root) = cards().case.offsets();
    let old = tree::lines(old, boot, root).unwrap();
    let new = tree::lines(new, boot, root).unwrap();
    let mut found = BTreeMap::new();
    for line in tree::diff(&old, &new) {
        let (sign, line) = line.split_at(2);
        let path = line.split(' ').next().unwrap().to_owned();
        let kind = if sign == "- " { "removed" } else { "added" };
        let both = found.contains_key(&path);
        let kind = if both { "changed" } else { kind };
        found.insert(path, kind.to_owned());
    }
    found
}

#[test]
fn differences_are_those_that_others_find() {
    let cards = cards();
    let (base, node2, node3) =
        (cards.base(), cards.node("node2"), cards.node("node3"));
    for (old, new) in [(&base, &node3), (&node3, &base), (&node2, &node3)] {
        let (ours, theirs) = (ours(old, new), theirs(old, new));
        assert!(theirs.len() > 5);
        assert_eq!(ours, theirs);
    }
}

#[test]
fn the_same_is_the_same_in_whatever_form() {
    let cards = cards();
    let copy = cards.copy(&cards.node("node3"));
    let path = copy.path.to_str().unwrap();
    let packed = copy.path.with_extension("xz");
    let args = ["-0", "-c", "--block-size=8MiB", path];
    fs::write(&packed, oracle::run("xz", &args).unwrap()).unwrap();
    for other in [path, packed.to_str().unwrap()] {
        let outcome = cards.run(&["diff", "build/images/node3.img", other]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert_eq!((&*outcome.stdout, &*outcome.stderr), ("", ""));
    }
}

#[test]
fn every_kind_of_difference_is_told() {
    let cards = cards();
    let node3 = cards.node("node3");
    let copy = cards.copy(&node3);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("new");
    fs::write(&file, b"one\ntwo\n").unwrap();
    let file = file.to_str().unwrap();
    copy.debugfs(
        cards,
        &format!(
            "sif /etc/hosts mode 0100600\n\
             sif /etc/timezone uid 7\n\
             rm /etc/hostname\n\
             write {file} /etc/hostname\n\
             rm /etc/locale.gen\n\
             mkdir /etc/locale.gen\n\
             write {file} /etc/added\n\
             cd /etc\nmknod pipe p\ncd /\n\
             rm /etc/localtime\n\
             symlink /etc/localtime /else\n"
        ),
    );
    copy.mtools(cards, "mdel", &["::/config.txt"]);
    let path = copy.path.to_str().unwrap();
    let outcome = cards.run(&["diff", "build/images/node3.img", path]);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    for line in [
        "- boot:/config.txt: ",
        "~ root:/etc/hosts: mode 0644 -> 0600\n",
        "~ root:/etc/timezone: owner 0:0 -> 7:0\n",
        "\n-node3\n+one\n+two\n",
        "~ root:/etc/locale.gen: file -> directory",
        "+ root:/etc/added: ",
        "+ root:/etc/pipe: ",
        "~ root:/etc/localtime: target /usr/share/zoneinfo/Etc/UTC -> /else\n",
    ] {
        let found = outcome.stdout.contains(line);
        assert!(found, "{line}\n{outcome}");
    }
    assert!(outcome.stderr.contains("2 added, 1 removed"), "{outcome}");
    let brief = cards.run(&["diff", "--brief", "base.img", path]);
    assert!(!brief.stdout.contains("@@"), "{brief}");
}

#[test]
fn partition_tables_are_compared_too() {
    let cards = cards();
    let copy = cards.copy(&cards.node("node3"));
    // The disk's signature.
    copy.flip(440, 0x10);
    let path = copy.path.to_str().unwrap();
    let outcome = cards.run(&["diff", "build/images/node3.img", path]);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert!(outcome.stdout.contains("~ disk id "), "{outcome}");
}

/// The difference of a text is one that patch(1) would apply.
#[test]
fn a_difference_of_texts_is_unified() {
    let cards = cards();
    let outcome = cards.run(&["diff", "base.img", "build/images/node3.img"]);
    let mut lines = outcome
        .stdout
        .lines()
        .skip_while(|line| *line != "--- a/root:/etc/hostname");
    let found: Vec<&str> = lines.by_ref().take(5).collect();
    assert_eq!(found[1], "+++ b/root:/etc/hostname", "{outcome}");
    assert_eq!(found[2], "@@ -1 +1 @@");
    assert_eq!(found[4], "+node3");
}
