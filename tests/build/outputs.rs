//! What a build writes: every format, the same image in each.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::support::{
    bmap::copy_onto,
    env::{Env, Outcome},
    events,
    oracle::{self, run},
    repository,
    server::Server,
    sha256, tree, xz,
};

/// Partitions of the demo image, in bytes.
const BOOT: u64 = 8 << 20;
const ROOT: u64 = 48 << 20;

fn build(env: &Env, more: &[&str]) -> Outcome {
    let example = repository().join("examples/homelab.yml");
    let args = ["-i", example.to_str().unwrap(), "build"];
    let image = ["--image", "demo", "--offline"];
    env.run(&[&args[..], more, &image].concat())
}

fn path(env: &Env, name: &str) -> String {
    let path = env.work().join("build/images").join(name);
    path.to_str().unwrap().to_owned()
}

/// `sha256sum -c`, which must find these files.
pub fn check_sums(env: &Env, files: &[&str]) {
    let output = Command::new("sha256sum")
        .args(["--strict", "-c", "SHA256SUMS"])
        .env("LC_ALL", "C")
        .current_dir(env.work().join("build/images"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    let found: Vec<&str> =
        said.lines().filter_map(|line| line.strip_suffix(": OK")).collect();
    assert_eq!(found, files);
}

#[test]
fn every_format_holds_the_same_image() {
    let env = Env::new();
    let formats = ["node3", "--format", "xz,img,zst,xz", "--bmap"];
    let outcome = build(&env, &formats);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let image = fs::read(path(&env, "node3.img")).unwrap();
    let (xz, zst) = (path(&env, "node3.img.xz"), path(&env, "node3.img.zst"));
    run("xz", &["-t", &xz]).unwrap();
    run("zstd", &["-q", "-t", &zst]).unwrap();
    assert!(run("xz", &["-dc", &xz]).unwrap() == image);
    assert!(run("zstd", &["-dc", &zst]).unwrap() == image);
    let files =
        ["node3.img", "node3.img.bmap", "node3.img.xz", "node3.img.zst"];
    check_sums(&env, &files);
    for said in files {
        let line = format!("build/images/{said}\n");
        assert!(outcome.stderr.contains(&line), "{line}: {outcome}");
    }

    let node: Value =
        serde_json::from_slice(&env.read("build/images/node3.json")).unwrap();
    assert_eq!(node["version"], 1);
    assert_eq!(node["image"]["sha256"], sha256(&image));
    assert_eq!(node["base"]["name"], "demo");
    let outputs = node["outputs"].as_array().unwrap();
    assert_eq!(outputs.len(), 4);
    for output in outputs {
        let content = fs::read(path(&env, output["file"].as_str().unwrap()));
        let content = content.unwrap();
        assert_eq!(output["size"], content.len());
        assert_eq!(output["sha256"], sha256(&content), "{output}");
    }
}

#[test]
fn a_card_that_is_written_by_the_map_has_every_file() {
    let env = Env::new();
    let args = ["node3", "--format", "img,xz", "--bmap"];
    let outcome = build(&env, &args);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("bmaptool copy"), "{outcome}");
    let (image, card) = (path(&env, "node3.img"), path(&env, "card"));
    let len = fs::metadata(&image).unwrap().len();
    let map = path(&env, "node3.img.bmap");
    for from in [&image, &path(&env, "node3.img.xz")] {
        // The program finds the map by the image's name, also if that is of
        // the compressed one.
        run("bmaptool", &["copy", from, &card]).unwrap();
        // What a card held before.
        fs::write(&card, vec![0xa5; len as usize]).unwrap();
        let [from, map, card] = [from, &map, &card].map(Path::new);
        copy_onto(from, map, card).unwrap();
        let table = |image: &Path| {
            let dump = oracle::sfdisk_dump(image).unwrap();
            // It repeats the path.
            dump.replace(image.to_str().unwrap(), "image")
        };
        assert_eq!(table(card), table(Path::new(&image)));
        oracle::e2fsck(card, ROOT).unwrap();
        oracle::fsck_vfat(card, BOOT, ROOT - BOOT).unwrap();
        let image = Path::new(&image);
        let (ours, theirs) =
            (tree::ext4(image, ROOT).unwrap(), tree::ext4(card, ROOT).unwrap());
        assert!(ours.len() > 100);
        assert_eq!(tree::diff(&ours, &theirs), [""; 0]);
        let (ours, theirs) =
            (tree::fat(image, BOOT).unwrap(), tree::fat(card, BOOT).unwrap());
        assert_eq!(tree::diff(&ours, &theirs), [""; 0]);
        // Free space was left alone.
        let written = fs::read(card).unwrap();
        let garbage = vec![0xa5; 1 << 20];
        let at = written.windows(1 << 20).step_by(1 << 20);
        assert!(at.filter(|part| **part == garbage[..]).count() > 50);
    }
}

#[test]
fn checksums_can_be_left_out_and_old_maps_go() {
    let env = Env::new();
    let both = build(&env, &["node3", "--format=img,zst", "--bmap"]);
    assert_eq!(both.code, Some(0), "{both}");
    check_sums(&env, &["node3.img", "node3.img.bmap", "node3.img.zst"]);
    let bare = build(&env, &["node3", "--no-checksums"]);
    assert_eq!(bare.code, Some(0), "{bare}");
    // A map of the old image would not fit the new one.
    assert!(fs::metadata(path(&env, "node3.img.bmap")).is_err());
    check_sums(&env, &["node3.img.zst"]);
    let node: Value =
        serde_json::from_slice(&env.read("build/images/node3.json")).unwrap();
    assert_eq!(node["outputs"][0]["sha256"], Value::Null);
    let unknown = build(&env, &["node3", "--format", "gz"]);
    assert_eq!(unknown.code, Some(2), "{unknown}");
}

fn stages(outcome: &Outcome) -> Vec<String> {
    let events = outcome.events();
    let starts = events::of(&events, "start").into_iter();
    let stage = |event: &Value| event["stage"].as_str().unwrap().to_owned();
    starts.map(stage).collect()
}

/// A base is prepared once, out of the blocks of the download where it can.
#[test]
fn a_base_is_prepared_once_and_kept() {
    let packed = xz::demo();
    let server = Server::start();
    server.put("/stock.img.xz", &packed);
    let env = Env::new();
    let inventory = format!(
        "all:\n  hosts: {{node1: {{ansible_host: 10.0.0.1}}}}\n  vars:\n    \
         ssh_authorized_keys: []\n    image: {}\n    image_sha256: {}\n",
        server.url("/stock.img.xz"),
        sha256(&packed)
    );
    env.write("inventory.yml", inventory);
    let args = ["--progress=json", "build", "node1", "--format=xz"];
    let first = env.run(&args);
    assert_eq!(first.code, Some(0), "{first}");
    assert!(stages(&first).contains(&"prepare".to_owned()), "{first}");
    let image = fs::read(path(&env, "node1.img.xz")).unwrap();

    let cache = env.home().join(".cache/piflash");
    let prepared = || -> Vec<_> {
        let files = fs::read_dir(cache.join("prepared")).unwrap();
        let paths = files.map(|entry| entry.unwrap().path());
        paths.filter(|p| p.extension().is_some_and(|e| e == "xz")).collect()
    };
    let [base] = &prepared()[..] else { panic!("{first}") };
    let record = fs::read(base.with_extension("json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(record["recipe"]["taken_from"], sha256(&packed));
    let content = fs::read(base).unwrap();
    assert_eq!(record["sha256"], sha256(&content));

    // The second build takes it as it is.
    let args = [&args[..], &["--offline"]].concat();
    let second = env.run(&args);
    assert_eq!(second.code, Some(0), "{second}");
    assert!(!stages(&second).contains(&"prepare".to_owned()), "{second}");
    assert!(fs::read(path(&env, "node1.img.xz")).unwrap() == image);

    // A damaged one is found, and made again as it was.
    let mut bad = content.clone();
    bad[1000] ^= 1;
    fs::write(base, &bad).unwrap();
    let verify = env.run(&["images", "verify"]);
    assert_eq!(verify.code, Some(3), "{verify}");
    assert!(verify.stderr.contains("a prepared base"), "{verify}");
    let third = env.run(&args);
    assert_eq!(third.code, Some(0), "{third}");
    assert!(stages(&third).contains(&"prepare".to_owned()), "{third}");
    assert!(fs::read(base).unwrap() == content);
    assert!(fs::read(path(&env, "node1.img.xz")).unwrap() == image);
    let verify = env.run(&["images", "verify"]);
    assert_eq!(verify.code, Some(0), "{verify}");

    // So is a download that was kept.
    fs::remove_file(base).unwrap();
    let kept = cache.join("packed").join(format!("{}.xz", sha256(&packed)));
    let mut bad = packed.clone();
    bad[packed.len() / 2] ^= 1;
    fs::write(&kept, &bad).unwrap();
    let fourth = env.run(&args[1..]);
    assert_eq!(fourth.code, Some(0), "{fourth}");
    assert!(fourth.stderr.contains("damaged"), "{fourth}");
    assert!(!kept.exists());
    let again = run("xz", &["-dc", &path(&env, "node1.img.xz")]).unwrap();
    fs::write(path(&env, "before.xz"), &image).unwrap();
    assert!(again == run("xz", &["-dc", &path(&env, "before.xz")]).unwrap());

    let prune = env.run(&["images", "prune"]);
    assert_eq!(prune.code, Some(0), "{prune}");
    assert!(prune.stderr.contains("1 prepared bases"), "{prune}");
    assert!(prepared().is_empty());
}
