//! Files that are not what they should be: each is refused in its own words,
//! and nothing of it is kept.

use std::fs;

use crate::support::{
    archive::{pipe, xz, zip},
    env::Env,
    files_under, repository,
    server::Server,
    sha256,
};

const PATH: &str = "/stock.img";

fn machine() -> Env {
    let env = Env::new();
    env.write(
        "inventory.yml",
        "all:\n  hosts:\n    node1: {ansible_host: 10.0.0.1}\n\
         \x20 vars:\n    ssh_authorized_keys: []\n",
    );
    env
}

/// A build that must be a mismatch, say `said`, and leave nothing.
fn refused(env: &Env, image: &[&str], said: &str) {
    let args = [&["build", "node1", "--image"], image].concat();
    let outcome = env.run(&args);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert!(outcome.stderr.contains(said), "`{said}`: {outcome}");
    assert!(outcome.stderr.contains("\nhint: "), "{outcome}");
    assert!(!env.work().join("build").exists(), "{outcome}");
    assert!(!env.work().join("piflash.lock").exists(), "{outcome}");
    for dir in ["images", "partial"] {
        let left = files_under(&env.home().join(".cache/piflash").join(dir));
        assert!(left.is_empty(), "{left:?} {outcome}");
    }
}

/// Whether they come by download or lie on the disk: the digest of the bad
/// file itself is right here, as where the vendor's own file is bad.
#[test]
fn bad_archives() {
    let image = b"a line that is like the next one\n".repeat(99_000);
    let good = xz(&image);
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 0x10;
    let gz = pipe("gzip", &["-1"], &image);
    let zst = pipe("zstd", &["-q", "-1", "--check"], &image);
    let far = pipe("zstd", &["-q", "-1", "--long=28"], &image);
    let cut = |packed: &[u8]| packed[..packed.len() - 9].to_vec();
    let no_member = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let env = machine();
    let server = Server::start();
    let mut told = Vec::new();
    for (bad, said) in [
        (flipped, "its xz data is damaged"),
        (cut(&good), "its xz data is truncated"),
        (cut(&gz), "its gzip data is truncated"),
        (cut(&zst), "its zstd data is truncated"),
        ([&good[..], b"more"].concat(), "something behind its xz data"),
        ([&gz[..], b"more"].concat(), "something behind its gzip data"),
        ([&zst[..], b"more"].concat(), "something behind its zstd data"),
        (
            zip(&[("a.img", &image), ("b.img", &image)]),
            "the zip holds 2 files instead of one image",
        ),
        (no_member.to_vec(), "the zip holds 0 files instead of one image"),
        (far, "its zstd window is 268435456 bytes, and more than 134217728"),
        (b"BZh91AY&SY".to_vec(), "it is bzip2"),
        (b"QFI\xfb\0\0\0\x03".to_vec(), "it is qcow2"),
        (Vec::new(), "it is empty"),
    ] {
        env.write("stock.img", &bad);
        refused(&env, &["stock.img"], said);
        server.put(PATH, &bad);
        let (url, digest) = (server.url(PATH), sha256(&bad));
        refused(&env, &[&url, "--image-sha256", &digest], said);
        told.push(said);
    }
    let count = told.len();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), count);
}

/// The digest is that of the good file.
#[test]
fn another_file_than_the_one_that_was_named() {
    let packed = fs::read(repository().join("images/demo/demo.img.zst"));
    let raw = zstd::decode_all(&packed.unwrap()[..]).unwrap();
    let good = xz(&raw);
    let mut other = raw.clone();
    other[1 << 20] ^= 1;
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 0x10;
    let env = machine();
    let server = Server::start();
    let (url, digest) = (server.url(PATH), sha256(&good));
    for (bad, said) in [
        (xz(&other), "the download's SHA-256 is"),
        (raw.clone(), "the download's SHA-256 is"),
        (flipped, "its xz data is damaged"),
    ] {
        server.put(PATH, &bad);
        refused(&env, &[&url, "--image-sha256", &digest], said);
    }
    server.put(PATH, &good);
    let args = ["build", "node1", "--image", &url, "--image-sha256", &digest];
    let outcome = env.run(&args);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let cache = env.home().join(".cache/piflash/images");
    let image = cache.join(format!("{}.img", sha256(&raw)));
    assert!(fs::read(image).unwrap() == raw);
}

/// Where the cache's disk is full under the image.
#[test]
fn a_full_disk_is_told_and_nothing_is_taken_for_whole() {
    let packed = fs::read(repository().join("images/demo/demo.img.zst"));
    let packed = packed.unwrap();
    let server = Server::start();
    server.put(PATH, &packed);
    let (url, digest) = (server.url(PATH), sha256(&packed));
    let args = ["build", "node1", "--image", &url, "--image-sha256", &digest];
    let env = machine();
    let cache = env.home().join(".cache/piflash");
    fs::create_dir_all(cache.join("partial")).unwrap();
    let image = format!("download-{digest}.img");
    let path = cache.join("partial").join(&image);
    std::os::unix::fs::symlink("/dev/full", path).unwrap();
    let full = env.run(&args);
    assert_eq!(full.code, Some(1), "{full}");
    for said in ["no space left for", &image, "make room"] {
        assert!(full.stderr.contains(said), "`{said}`: {full}");
    }
    assert!(!env.work().join("build").exists(), "{full}");
    assert_eq!(files_under(&cache.join("images")).len(), 0);
    let outcome = env.run(&args);
    assert_eq!(outcome.code, Some(0), "{outcome}");
}
