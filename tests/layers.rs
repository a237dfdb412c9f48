//! Rules of the source itself: who may use whom, and how long a file is.

use crate::support::{files_under, repository};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// DESIGN.md's table: the rooms that each room may use. `progress` is for
/// all; `commands` may use everything; `main` and `lib` are no rooms.
const MAY_USE: [(&str, &[&str]); 11] = [
    ("inventory", &[]),
    ("identity", &["inventory"]),
    ("base", &["disk", "fs"]),
    ("profile", &["inventory"]),
    ("plan", &["inventory", "identity", "base", "profile"]),
    ("disk", &[]),
    ("fs", &["disk"]),
    ("sink", &["disk"]),
    ("node", &["inventory"]),
    ("ui", &[]),
    ("progress", &[]),
];

/// The only bridge from a plan to bytes.
const BRIDGE: &str = "src/fs/apply/";

/// A file's room: the first name below `src/`.
fn room(path: &str) -> &str {
    let name = path.strip_prefix("src/").unwrap();
    name.split('/').next().unwrap().trim_end_matches(".rs")
}

/// The rooms that a source names, with the line of each.
fn used(source: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    let code: String = source
        .lines()
        .map(|line| {
            let code = line.split("//").next().unwrap_or_default();
            format!("{code}\n")
        })
        .collect();
    for prefix in ["crate::", "piflash::"] {
        for (at, _) in code.match_indices(prefix) {
            // `pub(in crate::x)` is a use as well; `my_crate::` is not.
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            for name in first_names(&code[at + prefix.len()..]) {
                found.entry(name).or_insert(line);
            }
        }
    }
    found
}

/// The names that a path begins with: one, or those of a `{...}` group.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        let text = text.trim_start();
        let is_part = |c: &char| c.is_alphanumeric() || *c == '_';
        text.chars().take_while(is_part).collect()
    };
    let path = path.trim_start();
    let Some(group) = path.strip_prefix('{') else {
        return vec![name(path)];
    };
    let mut names = vec![name(group)];
    let mut depth = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(&group[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// What `path` with this content may not use.
fn violations(path: &str, source: &str) -> Vec<String> {
    let own = room(path);
    if matches!(own, "commands" | "main" | "lib") {
        return Vec::new();
    }
    let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == own)
    else {
        return vec![format!("{path}: {own} is no room of DESIGN.md's table")];
    };
    used(source)
        .into_iter()
        .filter(|(name, _)| {
            let bridge = path.starts_with(BRIDGE) && name == "plan";
            let shared = name == own || name == "progress" || name == "self";
            !(shared || bridge || allowed.contains(&name.as_str()))
        })
        .map(|(name, line)| format!("{path}:{line}: {own} may not use {name}"))
        .collect()
}

fn sources(dir: &str) -> Vec<(String, String)> {
    let top = repository();
    files_under(&top.join(dir))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .map(|path| {
            let name = path.strip_prefix(top).unwrap().display().to_string();
            let source = fs::read_to_string(&path).unwrap();
            (name, source)
        })
        .collect()
}

#[test]
fn rooms_use_only_what_the_design_allows() {
    let found: Vec<String> = sources("src")
        .iter()
        .flat_map(|(path, source)| violations(path, source))
        .collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn the_rule_finds_every_spelling() {
    let names = |source: &str| used(source).into_keys().collect::<Vec<_>>();
    assert_eq!(names("use crate::fs::Reader;"), ["fs"]);
    assert_eq!(
        names("use crate::{\n    base::{facts::A, probe},\n    fs,\n};"),
        ["base", "fs"]
    );
    assert_eq!(
        names("pub(in crate::disk) fn f(x: crate::ui::Ui) {}"),
        ["disk", "ui"]
    );
    assert_eq!(names("// use crate::ui::Ui;\n/// [`x`](crate::plan)"), [""; 0]);
    assert_eq!(names("use my_crate::ui;"), [""; 0]);

    let bad = "use crate::ui::Ui;";
    assert_eq!(
        violations("src/disk/mod.rs", bad),
        ["src/disk/mod.rs:1: disk may not use ui"]
    );
    let plan = "use crate::{plan::Plan, progress::Progress};";
    assert!(violations("src/fs/apply/mod.rs", plan).is_empty());
    assert_eq!(violations("src/fs/mod.rs", plan).len(), 1);
    assert!(violations("src/commands/build.rs", bad).is_empty());
    assert_eq!(violations("src/misc.rs", "").len(), 1);
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let long: Vec<String> = ["src", "tests"]
        .iter()
        .flat_map(|dir| sources(dir))
        .filter(|(_, source)| source.lines().count() > 500)
        .map(|(path, source)| format!("{path}: {}", source.lines().count()))
        .collect();
    assert_eq!(long, Vec::<String>::new());
}

/// Every file below `tests/` is reached from one of its roots, so that none is
/// left out of the run unseen; the same for `src/`.
#[test]
fn no_file_is_forgotten() {
    for (dir, roots) in [
        (
            "tests",
            &[
                "tests/main.rs",
                "tests/vm/main.rs",
                "tests/standins/kubernetes/main.rs",
            ][..],
        ),
        ("src", &["src/lib.rs", "src/main.rs"]),
    ] {
        let sources: BTreeMap<_, _> = sources(dir).into_iter().collect();
        let mut reached = BTreeSet::new();
        let mut pending: Vec<String> =
            roots.iter().map(|&root| root.to_owned()).collect();
        while let Some(path) = pending.pop() {
            let source = sources.get(&path);
            let source = source.unwrap_or_else(|| panic!("no {path}"));
            pending.extend(modules(&path, source, &sources));
            reached.insert(path);
        }
        let forgotten: Vec<_> =
            sources.keys().filter(|path| !reached.contains(*path)).collect();
        assert_eq!(forgotten, Vec::<&String>::new());
    }
}

/// Names and versions of the packages of a lock file.
fn locked(path: &str) -> BTreeSet<(String, String)> {
    let text = fs::read_to_string(repository().join(path)).unwrap();
    let value = |line: &str, key: &str| {
        let rest = line.strip_prefix(key)?.strip_prefix(" = \"")?;
        rest.strip_suffix('"').map(str::to_owned)
    };
    let lines: Vec<&str> = text.lines().collect();
    let pairs = lines.windows(2).filter_map(|pair| {
        Some((value(pair[0], "name")?, value(pair[1], "version")?))
    });
    pairs.collect()
}

/// What is fuzzed is what is released; and nothing of it is built twice.
#[test]
fn fuzz_targets_have_the_versions_of_the_program() {
    let ours = locked("Cargo.lock");
    let names: BTreeSet<&str> =
        ours.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains("piflash"), "{names:?}");
    let theirs = locked("fuzz/Cargo.lock");
    let known = theirs.iter().filter(|(name, _)| names.contains(&**name));
    let others: Vec<_> =
        known.filter(|package| !ours.contains(package)).collect();
    assert!(
        others.is_empty(),
        "{others:?}: copy Cargo.lock to fuzz/ and run `cargo metadata` there"
    );
}

/// The files of the modules that `path` declares.
fn modules(
    path: &str,
    source: &str,
    sources: &BTreeMap<String, String>,
) -> Vec<String> {
    let parent = Path::new(path).parent().unwrap().display().to_string();
    let stem = Path::new(path).file_stem().unwrap().to_str().unwrap();
    let dir = match stem {
        "main" | "lib" | "mod" => parent,
        stem => format!("{parent}/{stem}"),
    };
    let mut found = Vec::new();
    // Of `#[path = "../..."]`.
    let mut elsewhere = None;
    for line in source.lines() {
        let named = line.trim().strip_prefix("#[path = \"../");
        if let Some(named) = named.and_then(|end| end.strip_suffix("\"]")) {
            elsewhere = Some(named);
            continue;
        }
        let elsewhere = elsewhere.take();
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = match words[..] {
            ["mod", name] => name,
            [public, "mod", name] if public.starts_with("pub") => name,
            _ => continue,
        };
        let Some(name) = name.strip_suffix(';') else { continue };
        if let Some(named) = elsewhere {
            let above = Path::new(&dir).parent().unwrap();
            found.push(above.join(named).display().to_string());
            continue;
        }
        let files =
            [format!("{dir}/{name}.rs"), format!("{dir}/{name}/mod.rs")];
        found.extend(files.into_iter().filter(|f| sources.contains_key(f)));
    }
    found
}
