//! Several nodes at once, and parts of them.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use super::outputs::check_sums;
use crate::support::{
    env::{Env, Outcome},
    files_under,
    oracle::run,
    repository,
};

/// Three nodes on an image in a file, with their secrets from before.
fn fleet(secrets: Option<&Env>) -> Env {
    let env = Env::new();
    let demo = repository().join("images/demo/demo.img.zst");
    let image = env.work().join("stock.img");
    let (demo, to) = (demo.to_str().unwrap(), image.to_str().unwrap());
    run("zstd", &["-dq", "--sparse", demo, "-o", to]).unwrap();
    let hosts: String = (1..=3)
        .map(|n| format!("    node{n}: {{ansible_host: 10.0.0.{n}}}\n"))
        .collect();
    env.write(
        "inventory.yml",
        format!(
            "all:\n  hosts:\n{hosts}  vars:\n    gateway: 10.0.0.254\n    \
             ssh_authorized_keys: []\n    image: stock.img\n"
        ),
    );
    if let Some(from) = secrets {
        fs::create_dir(env.work().join("build")).unwrap();
        let status = Command::new("cp")
            .arg("-a")
            .arg(from.work().join("build/secrets"))
            .arg(env.work().join("build/secrets"))
            .status();
        assert!(status.unwrap().success());
    }
    env
}

fn build(env: &Env, more: &[&str]) -> Outcome {
    env.run(&[&["build"], more].concat())
}

fn files(env: &Env) -> Vec<String> {
    let dir = env.work().join("build/images");
    let name = |path: &Path| path.file_name()?.to_str().map(str::to_owned);
    files_under(&dir).iter().filter_map(|path| name(path)).collect()
}

/// With `SOURCE_DATE_EPOCH`, which every test has, the same inputs give the
/// same bytes: in every format, with bases prepared anew, and however many
/// nodes are built at once.
#[test]
fn jobs_and_caches_do_not_show() {
    let all = ["--all", "--format=img,xz,zst", "--bmap"];
    let one = fleet(None);
    let outcome = build(&one, &[&all[..], &["--jobs=1"]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let four = fleet(Some(&one));
    let outcome = build(&four, &[&all[..], &["-j", "4"]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let names = files(&one);
    assert_eq!(names.len(), 3 * 5 + 1);
    assert_eq!(names, files(&four));
    let others = ["piflash.lock", "build/known_hosts"].map(str::to_owned);
    let images = names.iter().map(|name| format!("build/images/{name}"));
    for name in images.chain(others) {
        assert!(one.read(&name) == four.read(&name), "{name}");
    }
    let lock: Value =
        serde_json::from_slice(&four.read("piflash.lock")).unwrap();
    assert_eq!(lock["nodes"].as_object().unwrap().len(), 3);
    let config = String::from_utf8(four.read("build/ssh_config")).unwrap();
    assert_eq!(config.matches("HostName").count(), 3, "{config}");
    for n in 1..=3 {
        let row = format!("node{n}  built   ");
        assert!(outcome.stderr.contains(&row), "{row}: {outcome}");
    }
}

#[test]
fn one_that_fails_does_not_stop_the_others() {
    let env = fleet(None);
    fs::create_dir_all(env.work().join("build/images/node2.img")).unwrap();
    let outcome = build(&env, &["--all", "--jobs=2"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    for said in [
        "node1  built ",
        "node2  failed",
        "node3  built ",
        "error: 1 of 3 nodes failed\n",
        "cannot build node2:\n",
        "it is a directory",
        "build these again: node2",
    ] {
        assert!(outcome.stderr.contains(said), "`{said}`: {outcome}");
    }
    check_sums(&env, &["node1.img", "node3.img"]);
    let lock: Value =
        serde_json::from_slice(&env.read("piflash.lock")).unwrap();
    assert_eq!(lock["nodes"].as_object().unwrap().len(), 2);
    // Alone it is its own error.
    let alone = build(&env, &["node2"]);
    assert_eq!(alone.code, Some(1), "{alone}");
    assert!(alone.stderr.starts_with("error: cannot build node2\n"), "{alone}");
    fs::remove_dir(env.work().join("build/images/node2.img")).unwrap();
    let again = build(&env, &["node2"]);
    assert_eq!(again.code, Some(0), "{again}");
    check_sums(
        &env,
        &[1, 2, 3]
            .map(|n| format!("node{n}.img"))
            .each_ref()
            .map(String::as_str),
    );
}

#[test]
fn shards_share_the_work() {
    let env = fleet(None);
    for (shard, nodes) in
        [("1/2", &["node1", "node3"][..]), ("2/2", &["node2"])]
    {
        let before = files(&env);
        let outcome = build(&env, &["--all", "--shard", shard, "--format=zst"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let mut new = files(&env);
        new.retain(|name| !before.contains(name) && name.ends_with(".zst"));
        let wanted: Vec<_> =
            nodes.iter().map(|node| format!("{node}.img.zst")).collect();
        assert_eq!(new, wanted);
    }
    let all = [1, 2, 3].map(|n| format!("node{n}.img.zst"));
    check_sums(&env, &all.each_ref().map(String::as_str));
    let none = build(&env, &["--all", "--shard=6/7"]);
    assert_eq!(none.code, Some(0), "{none}");
    assert!(none.stderr.contains("nothing to build"), "{none}");
    for bad in [&["--all", "--shard=4/3"][..], &["node1", "--shard=1/2"]] {
        let outcome = build(&env, bad);
        assert_eq!(outcome.code, Some(2), "{outcome}");
    }
    // What a matrix is made of.
    let plan = env.run(&["plan", "--all", "--json"]);
    assert_eq!(plan.code, Some(0), "{plan}");
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["version"], 1);
    let nodes = plan["nodes"].as_array().unwrap();
    let names: Vec<_> = nodes.iter().map(|node| &node["node"]).collect();
    assert_eq!(names, ["node1", "node2", "node3"]);
    assert!(nodes.iter().all(|node| node["image"] == "stock.img"));
}
