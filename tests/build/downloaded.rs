//! A base image by URL, from a server on this machine.

use std::{fs, process::Command};

use crate::support::{
    env::{Env, Outcome},
    image::Case,
    server::{Server, Step},
    sha256,
};

const PATH: &str = "/images/stock.img.xz";

/// A vendor with one image, and its digest.
struct Vendor {
    server: Server,
    case: Case,
    sha256: String,
    size: usize,
}

impl Vendor {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let case = Case::load("bullseye");
        let raw = dir.path().join("stock.img");
        case.write(&raw).unwrap();
        let status = Command::new("xz")
            .args(["-1", "-T2", "--block-size=16MiB"])
            .arg(&raw)
            .status()
            .expect("is Debian's package xz-utils installed?");
        assert!(status.success());
        let packed = fs::read(dir.path().join("stock.img.xz")).unwrap();
        let server = Server::start();
        server.put(PATH, &packed);
        Self { server, case, sha256: sha256(&packed), size: packed.len() }
    }

    /// A machine whose inventory names the image by `sha256`.
    fn customer(&self, sha256: &str) -> Env {
        let env = Env::new();
        env.write(
            "inventory.yml",
            format!(
                "all:\n  hosts:\n    node1: {{ansible_host: 10.0.0.1}}\n\
                 \x20 vars:\n    ssh_authorized_keys: []\n\
                 \x20   image: {}\n    image_sha256: {sha256}\n",
                self.server.url(PATH)
            ),
        );
        env
    }
}

fn build(env: &Env, more: &[&str]) -> Outcome {
    env.run(&[&["build", "node1"], more].concat())
}

#[test]
fn an_empty_cache_is_filled_and_the_second_build_needs_no_network() {
    let vendor = Vendor::start();
    let env = vendor.customer(&vendor.sha256);
    let offline = build(&env, &["--offline"]);
    assert_eq!(offline.code, Some(1), "{offline}");
    assert!(offline.stderr.contains("without --offline"), "{offline}");

    let first = build(&env, &[]);
    assert_eq!(first.code, Some(0), "{first}");
    assert!(first.stderr.contains("verified    pinned hash"), "{first}");
    let built = env.read("build/images/node1.img");
    assert_eq!(vendor.server.requests().len(), 1);
    let lock: serde_json::Value =
        serde_json::from_slice(&env.read("piflash.lock")).unwrap();
    let image = &lock["nodes"]["node1"]["image"];
    assert_eq!(image["name"], "stock.img.xz");
    assert_eq!(image["download_sha256"], vendor.sha256);

    let second = build(&env, &["--offline", "--locked"]);
    assert_eq!(second.code, Some(0), "{second}");
    assert!(env.read("build/images/node1.img") == built);
    assert_eq!(vendor.server.requests().len(), 0);

    // The same as from the raw image itself, under the name that the card's
    // manifest has.
    env.write("raw/README", "");
    vendor.case.write(&env.work().join("raw/stock.img.xz")).unwrap();
    let local = build(&env, &["--image", "raw/stock.img.xz"]);
    assert_eq!(local.code, Some(0), "{local}");
    assert!(env.read("build/images/node1.img") == built);
}

#[test]
fn a_cut_connection_is_resumed() {
    let vendor = Vendor::start();
    let env = vendor.customer(&vendor.sha256);
    vendor.server.script(PATH, [Step::Cut(vendor.size / 2)]);
    let outcome = build(&env, &[]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let requests = vendor.server.requests();
    let ranges: Vec<_> =
        requests.iter().map(|r| r.header("range").is_some()).collect();
    assert_eq!(ranges, [false, true]);
}

#[test]
fn another_file_than_was_named_becomes_no_card() {
    let vendor = Vendor::start();
    let env = vendor.customer(&sha256(b"what was expected"));
    let outcome = build(&env, &[]);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    for said in ["node1", "SHA-256", &vendor.sha256, "do not use it"] {
        assert!(outcome.stderr.contains(said), "`{said}`: {outcome}");
    }
    assert!(!env.work().join("build").exists());
    let images = env.home().join(".cache/piflash/images");
    let kept = fs::read_dir(images).map_or(0, Iterator::count);
    assert_eq!(kept, 0, "{outcome}");
}

#[test]
fn names_of_the_catalogue() {
    let env = Env::new();
    let inventory = "all:\n  children:\n    raspbian:\n      hosts:\n\
                     \x20       node1: {ansible_host: 10.0.0.1}\n\
                     \x20 vars:\n    ssh_authorized_keys: []\n";
    env.write("inventory.yml", inventory);
    let args = ["--image", "raspios-bokworm"];
    let unknown = build(&env, &args);
    assert_eq!(unknown.code, Some(2), "{unknown}");
    for said in ["`raspios-bokworm`", "raspios-bookworm", "piflash images"] {
        assert!(unknown.stderr.contains(said), "`{said}`: {unknown}");
    }
    for (name, code, said) in [
        ("stock.img.xz", 1, "stock.img.xz cannot be read"),
        ("ftp://host/stock.img", 2, "nothing by ftp"),
    ] {
        let outcome = build(&env, &["--image", name]);
        assert_eq!(outcome.code, Some(code), "{outcome}");
        assert!(outcome.stderr.contains(said), "{outcome}");
    }
    // Without an image in the inventory, the group's newest is taken.
    let stock = build(&env, &["--offline"]);
    assert_eq!(stock.code, Some(1), "{stock}");
    for said in ["-lite.img.xz", "not in the cache"] {
        assert!(stock.stderr.contains(said), "`{said}`: {stock}");
    }
    let unproven = ["--image", "http://127.0.0.1:9/x.img"];
    let unproven = build(&env, &unproven);
    assert_eq!(unproven.code, Some(3), "{unproven}");
    assert!(unproven.stderr.contains("--insecure"), "{unproven}");
}
