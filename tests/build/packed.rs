//! A base image in a compressed file of the user's own.

use std::{
    fs,
    os::unix::fs::{FileExt, MetadataExt},
    path::PathBuf,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use crate::support::{
    archive::{pipe, xz, zip},
    env::{Env, Outcome},
    events, files_under, repository, sha256,
};

fn raw() -> Vec<u8> {
    let packed = fs::read(repository().join("images/demo/demo.img.zst"));
    zstd::decode_all(&packed.unwrap()[..]).unwrap()
}

/// A machine with these files in `rack/`; its inventory names the first.
fn with(files: &[(&str, &[u8])]) -> Env {
    let env = Env::new();
    for (name, content) in files {
        env.write(&format!("rack/{name}"), content);
    }
    inventory(&env, &format!("image: {}", files[0].0));
    env
}

fn inventory(env: &Env, vars: &str) {
    env.write(
        "rack/inventory.yml",
        format!(
            "all:\n  hosts:\n    node1: {{ansible_host: 10.0.0.1}}\n\
             \x20 vars:\n    ssh_authorized_keys: []\n    {vars}\n"
        ),
    );
}

const BUILD: [&str; 5] =
    ["--progress=json", "-i", "rack/inventory.yml", "build", "node1"];

fn build(env: &Env, more: &[&str]) -> Outcome {
    env.run(&[&BUILD, more].concat())
}

/// Builds; returns the stages before those of every build.
fn stages(env: &Env, more: &[&str]) -> Vec<String> {
    let outcome = build(env, more);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let events = outcome.events();
    let done = events::of(&events, "finish").into_iter();
    let stages = done.map(|event| event["stage"].as_str().unwrap().to_owned());
    stages.take_while(|stage| stage != "edit").collect()
}

fn built(env: &Env) -> Vec<u8> {
    env.read("build/images/node1.img")
}

fn image_of(env: &Env) -> serde_json::Value {
    let lock = env.read("rack/piflash.lock");
    let lock: serde_json::Value = serde_json::from_slice(&lock).unwrap();
    lock["nodes"]["node1"]["image"].clone()
}

fn cached(env: &Env) -> Vec<PathBuf> {
    files_under(&env.home().join(".cache/piflash/images"))
}

fn partial(env: &Env) -> Vec<PathBuf> {
    files_under(&env.home().join(".cache/piflash/partial"))
}

#[test]
fn every_format_gives_what_the_raw_image_gives() {
    let raw = raw();
    let packed = [
        // Told by their content, whatever their name, which the card has too.
        ("xz/base.img", xz(&raw)),
        ("gz/base.img", pipe("gzip", &["-1"], &raw)),
        ("zst/base.img", pipe("zstd", &["-q", "-1"], &raw)),
        ("zip/base.img", zip(&[("node.img", &raw)])),
    ];
    let env = with(&[("raw/base.img", &raw)]);
    assert_eq!(stages(&env, &[]), ["hash-base"]);
    let expected = built(&env);
    for (name, packed) in &packed {
        env.write(&format!("rack/{name}"), packed);
        inventory(&env, &format!("image: ./{name}"));
        let first = stages(&env, &["--offline"]);
        assert_eq!(first, ["hash-base", "unpack"], "{name}");
        assert!(built(&env) == expected, "{name}");
        let image = image_of(&env);
        assert_eq!(image["name"], "base.img");
        assert_eq!(image["sha256"], sha256(&raw));
        assert_eq!(image["download_sha256"], sha256(packed));
        let again = stages(&env, &["--offline", "--locked"]);
        assert!(!again.contains(&"unpack".to_owned()), "{name}: {again:?}");
        assert!(built(&env) == expected, "{name}");
    }
    // All are one image, sparse, with one record; the first is known still.
    let [image, _] = &cached(&env)[..] else { panic!("{:?}", cached(&env)) };
    let taken = fs::metadata(image).unwrap().blocks() * 512;
    assert!(taken < raw.len() as u64 / 2, "{taken} of {}", raw.len());
    assert_eq!(partial(&env), Vec::<PathBuf>::new());
    inventory(&env, "image: xz/base.img");
    let again = stages(&env, &[]);
    assert!(!again.contains(&"unpack".to_owned()), "{again:?}");
    let verify = env.run(&["images", "verify"]);
    assert!(verify.stderr.contains("1 images"), "{verify}");
    let fetch = env.run(&["-i", "rack/inventory.yml", "images", "fetch"]);
    assert!(fetch.stderr.contains("unpacked in the cache"), "{fetch}");
    let prune = env.run(&["images", "prune"]);
    assert!(prune.stderr.contains("rack/xz/base.img"), "{prune}");
    assert_eq!(cached(&env), Vec::<PathBuf>::new());
}

#[test]
fn it_is_unpacked_again_only_when_its_content_changed() {
    let mut raw = raw();
    let env = with(&[("base.img.xz", &xz(&raw))]);
    let file = env.work().join("rack/base.img.xz");
    assert_eq!(stages(&env, &[]), ["hash-base", "unpack"]);
    // So new that the next change might have the same time.
    sleep(Duration::from_millis(3100));
    let again = stages(&env, &["--locked"]);
    assert!(!again.contains(&"unpack".to_owned()), "{again:?}");
    assert_eq!(stages(&env, &[]), [""; 0]);
    // Never by what is remembered of it alone.
    assert_eq!(stages(&env, &["--locked"]), ["verify"]);

    // Another time, another name: read, and known.
    let open = || fs::OpenOptions::new().write(true).open(&file).unwrap();
    open().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(stages(&env, &["--locked"]), ["hash-base", "verify"]);
    let copy = env.work().join("copy");
    fs::copy(&file, &copy).unwrap();
    let args = ["--image", copy.to_str().unwrap()];
    assert_eq!(stages(&env, &args), ["hash-base"]);

    // Other content.
    raw[1 << 20] ^= 1;
    fs::write(&file, xz(&raw)).unwrap();
    let drift = build(&env, &["--locked"]);
    assert_eq!(drift.code, Some(2), "{drift}");
    assert!(drift.stderr.contains("would drift"), "{drift}");
    sleep(Duration::from_millis(3100));
    let again = stages(&env, &[]);
    assert!(!again.contains(&"unpack".to_owned()), "{again:?}");
    assert_eq!(image_of(&env)["sha256"], sha256(&raw));
}

#[test]
fn a_damaged_image_in_the_cache_is_replaced() {
    let raw = raw();
    let env = with(&[("base.img.xz", &xz(&raw))]);
    assert_eq!(stages(&env, &[]), ["hash-base", "unpack"]);
    let expected = built(&env);
    let [image, record] = &cached(&env)[..] else { panic!() };
    let open = || fs::OpenOptions::new().write(true).open(image).unwrap();
    let damages: [(&str, &dyn Fn()); 4] = [
        ("changed", &|| open().write_all_at(b"?", 5000).unwrap()),
        ("shorter", &|| open().set_len(1 << 20).unwrap()),
        ("gone", &|| fs::remove_file(image).unwrap()),
        ("without a record", &|| fs::remove_file(record).unwrap()),
    ];
    for (name, damage) in damages {
        damage();
        let again = stages(&env, &["--offline", "--locked"]);
        let [.., unpack, verify] = &again[..] else { panic!("{again:?}") };
        assert_eq!([unpack, verify], ["unpack", "verify"], "{name}");
        assert!(built(&env) == expected, "{name}");
        assert!(fs::read(image).unwrap() == raw, "{name}");
    }
}

#[test]
fn two_runs_share_one_image() {
    let env = with(&[("base.img.xz", &xz(&raw()))]);
    let start = |dir: &str| {
        Command::new(env!("CARGO_BIN_EXE_piflash"))
            .args(BUILD)
            .args(["--build-dir", dir])
            .env_clear()
            .env("HOME", env.home())
            .env("TMPDIR", env.home())
            .current_dir(env.work())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let runs = ["one", "two"].map(start);
    let mut unpacked = 0;
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success());
        let events = events::parse(&String::from_utf8(output.stderr).unwrap());
        let starts = events::of(&events, "start").into_iter();
        unpacked += starts.filter(|event| event["stage"] == "unpack").count();
    }
    assert_eq!(unpacked, 1);
    assert_eq!(cached(&env).len(), 2);
}

#[test]
fn a_digest_that_is_given_is_compared() {
    let raw = raw();
    let packed = xz(&raw);
    let env = with(&[("base.img.xz", &packed), ("base.img", &raw)]);
    for (name, content) in [("base.img.xz", &packed), ("base.img", &raw)] {
        let (good, bad) = (sha256(content), sha256(b"else"));
        inventory(&env, &format!("image: {name}\n    image_sha256: {bad}"));
        let refused = build(&env, &[]);
        assert_eq!(refused.code, Some(3), "{refused}");
        for said in [&good, &bad, name, "do not use it"] {
            assert!(refused.stderr.contains(said), "`{said}`: {refused}");
        }
        assert!(!env.work().join("build").exists());
        inventory(&env, &format!("image: {name}\n    image_sha256: {good}"));
        stages(&env, &[]);
        fs::remove_dir_all(env.work().join("build")).unwrap();
    }
    // Also beside a name of the catalogue.
    let args = ["--image", "raspios-bookworm", "--image-sha256", &sha256(b"")];
    let refused = build(&env, &[&args[..], &["--offline"]].concat());
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(refused.stderr.contains("has the SHA-256"), "{refused}");
    let args = ["--image", "demo", "--image-sha256", &sha256(b"")];
    let refused = build(&env, &[&args[..], &["--offline"]].concat());
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(refused.stderr.contains("leave image_sha256 out"), "{refused}");
}

#[test]
fn a_cache_is_needed_and_must_have_room() {
    let packed = xz(&raw());
    let env = with(&[("base.img.xz", &packed)]);
    let homeless = env.command().env_remove("HOME").args(BUILD).output();
    let homeless = homeless.unwrap();
    assert_eq!(homeless.status.code(), Some(1));
    let said = String::from_utf8_lossy(&homeless.stderr);
    for words in ["is compressed (xz)", "no cache", "PIFLASH_CACHE"] {
        assert!(said.contains(words), "`{words}`: {said}");
    }

    let dir = env.home().join(".cache/piflash/partial");
    fs::create_dir_all(&dir).unwrap();
    let to = dir.join(format!("download-{}.img", sha256(&packed)));
    std::os::unix::fs::symlink("/dev/full", &to).unwrap();
    let full = build(&env, &[]);
    assert_eq!(full.code, Some(1), "{full}");
    for said in ["no space left for", "PIFLASH_CACHE", "partial/download-"] {
        assert!(full.stderr.contains(said), "`{said}`: {full}");
    }
    assert_eq!(partial(&env), Vec::<PathBuf>::new());
    assert_eq!(cached(&env), Vec::<PathBuf>::new());
    stages(&env, &[]);
}
