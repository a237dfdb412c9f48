//! A disk that loses bits: whatever is kept in the cache, no build takes a
//! wrong byte of it for right.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::{
    sinks::mounted::on,
    support::{
        env::{Env, Outcome},
        events, files_under,
        oracle::run,
        repository,
        server::Server,
        sha256, xz,
    },
};

const OUTPUTS: [&str; 3] = ["node1.img", "node1.img.xz", "node1.img.zst"];

struct Site {
    env: Env,
    server: Server,
    /// What a build gives whose cache is whole.
    right: Vec<Vec<u8>>,
}

impl Site {
    /// With all that a cache can hold of an image: itself, its download, and
    /// a prepared base of each format.
    fn new() -> Self {
        let packed = xz::demo();
        let server = Server::start();
        server.put("/stock.img.xz", &packed);
        let env = Env::new();
        let inventory = format!(
            "all:\n  hosts: {{node1: {{ansible_host: 10.0.0.1}}}}\n  \
             vars:\n    ssh_authorized_keys: []\n    image: {}\n    \
             image_sha256: {}\n",
            server.url("/stock.img.xz"),
            sha256(&packed)
        );
        env.write("inventory.yml", inventory);
        let mut site = Self { env, server, right: Vec::new() };
        let first = site.build(&[]);
        assert_eq!(first.code, Some(0), "{first}");
        site.right = site.outputs();
        site.copy(".cache", "whole");
        site
    }

    /// The cache is again as the first build left it.
    fn restore(&self) {
        fs::remove_dir_all(self.env.home().join(".cache")).unwrap();
        self.copy("whole", ".cache");
    }

    fn copy(&self, from: &str, to: &str) {
        let [from, to] = [from, to].map(|name| self.env.home().join(name));
        let [from, to] = [&from, &to].map(|path| path.to_str().unwrap());
        run("cp", &["-a", from, to]).unwrap();
    }

    fn build(&self, more: &[&str]) -> Outcome {
        self.build_as("img,xz,zst", more)
    }

    fn build_as(&self, formats: &str, more: &[&str]) -> Outcome {
        let format = format!("--format={formats}");
        let args = ["--progress=json", "build", "node1", &format];
        self.env.run(&[&args[..], more].concat())
    }

    fn outputs(&self) -> Vec<Vec<u8>> {
        let read = |name: &&str| self.env.read(&format!("build/images/{name}"));
        OUTPUTS.iter().map(read).collect()
    }

    /// Requests of the image since the last call.
    fn downloads(&self) -> usize {
        let requests = self.server.requests();
        requests.iter().filter(|r| r.target == "/stock.img.xz").count()
    }

    /// The files of the cache below a directory that end so.
    fn cached(&self, dir: &str, end: &str) -> PathBuf {
        let dir = self.env.home().join(".cache/piflash").join(dir);
        let mut files = files_under(&dir);
        files.retain(|path| path.to_str().unwrap().ends_with(end));
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }

    /// A build is right, or it failed and left the outputs of the last one;
    /// returns whether it is right.
    fn is_never_wrong(&self, what: &str, formats: &str, more: &[&str]) -> bool {
        let outcome = self.build_as(formats, more);
        assert!(self.outputs() == self.right, "{what}: {outcome}");
        if outcome.code == Some(0) {
            return true;
        }
        assert_eq!(outcome.code, Some(3), "{what}: {outcome}");
        assert!(outcome.stderr.contains("loses bits"), "{what}: {outcome}");
        false
    }
}

/// Flips a bit as a disk does: nothing else about the file changes.
fn rot(path: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let times = file.metadata().unwrap().modified().unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    file.set_modified(times).unwrap();
}

/// To prepare an image takes long: once is enough for all of this.
#[test]
fn what_rots_in_the_cache_reaches_no_output() {
    let site = Site::new();
    flipped_bits(&site);
    site.restore();
    a_locked_build_reads_all_of_what_it_builds_from(&site);
    site.restore();
    what_verify_finds_is_replaced(&site);
    site.restore();
    a_cache_without_checksums_gets_them(&site);
    site.restore();
    a_rotten_download(&site);
}

fn flipped_bits(site: &Site) {
    let kept = [
        // Whatever is made, is made of it.
        ("images", ".img", "img,xz,zst"),
        ("prepared", ".xz", "xz"),
        ("prepared", ".zst", "zst"),
    ];
    for (dir, end, formats) in kept {
        // In its header, its data, its index, its footer.
        let size = fs::metadata(site.cached(dir, end)).unwrap().len();
        for at in [0, size / 3, size - 40, size - 1] {
            let file = site.cached(dir, end);
            let before = fs::read(&file).unwrap();
            rot(&file, at);
            let what = format!("{dir}/*{end} at {at}");
            let right = site.is_never_wrong(&what, formats, &["--offline"]);
            match (right, end) {
                (true, _) => {}
                // Made anew below, of a download that has rotted too.
                (false, ".xz") => {
                    site.restore();
                    continue;
                }
                (false, _) => {
                    assert!(site.is_never_wrong(&what, formats, &[]), "{what}")
                }
            }
            // Whoever had it was not taken at its word.
            let after = fs::read(site.cached(dir, end)).unwrap();
            assert!(after == before, "{what} stayed");
        }
    }
}

/// The download is read when a base is made of it.
fn a_rotten_download(site: &Site) {
    for dir in ["prepared", "packed"] {
        let file = site.cached(dir, ".xz");
        rot(&file, fs::metadata(&file).unwrap().len() / 3);
    }
    let offline = ["--offline"];
    assert!(!site.is_never_wrong("both", "xz", &offline));
    let outcome = site.build_as("xz", &offline);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("was damaged, and is gone"), "{outcome}");
    let packed = site.env.work().join("build/images/node1.img.xz");
    let again = run("xz", &["-dc", packed.to_str().unwrap()]).unwrap();
    assert!(again == site.right[0]);
}

/// Checksums are nothing that a cache depends on: without them, as from a
/// version that made none, all is read once, and nothing downloaded again.
fn a_cache_without_checksums_gets_them(site: &Site) {
    let cache = site.env.home().join(".cache/piflash");
    let sums = cache.join("sums");
    let made = files_under(&sums);
    assert_eq!(made.len(), 4, "{made:?}");
    site.downloads();
    let content: Vec<_> = made.iter().map(|p| fs::read(p).unwrap()).collect();
    let again = |said: bool| {
        let outcome = site.build(&["--offline"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let named = outcome.stderr.contains("had no checksums");
        assert_eq!(named, said, "{outcome}");
        assert!(site.outputs() == site.right);
    };
    again(false);
    fs::remove_dir_all(&sums).unwrap();
    again(true);
    again(false);
    // That of the download is made when it is read again.
    let found = files_under(&sums);
    assert_eq!(found.len(), 3, "{found:?}");
    for path in found {
        let number = made.iter().position(|made| *made == path).unwrap();
        assert!(fs::read(&path).unwrap() == content[number]);
        // Of no use: as if there were none.
        rot(&path, 30);
    }
    again(true);
    again(false);

    // Without any, a file that is damaged is not taken for right.
    fs::remove_dir_all(&sums).unwrap();
    rot(&site.cached("images", ".img"), 1 << 20);
    assert_eq!(site.downloads(), 0);
    assert!(site.is_never_wrong("without checksums", "img,xz,zst", &[]));
    assert!(site.downloads() > 0);
}

/// What has checksums is not read whole for each build; what is locked is.
fn a_locked_build_reads_all_of_what_it_builds_from(site: &Site) {
    let stages = |more: &[&str]| {
        let outcome = site.build(more);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let events = outcome.events();
        let started = events::of(&events, "start").into_iter();
        let verify = started.filter(|event| event["stage"] == "verify");
        verify.count()
    };
    assert_eq!(stages(&["--offline"]), 0);
    // The image, and a prepared base of each format.
    assert_eq!(stages(&["--offline", "--locked"]), 3);
}

/// What `images verify` finds is not used again, though it looks as it was.
fn what_verify_finds_is_replaced(site: &Site) {
    let verify = |code| {
        let outcome = site.env.run(&["images", "verify"]);
        assert_eq!(outcome.code, Some(code), "{outcome}");
    };
    verify(0);
    for (dir, end) in [("images", ".img"), ("prepared", ".zst")] {
        rot(&site.cached(dir, end), 4000);
        verify(3);
        let outcome = site.build(&[]);
        assert_eq!(outcome.code, Some(0), "{dir}: {outcome}");
        assert!(site.outputs() == site.right, "{dir}: {outcome}");
        verify(0);
    }
}

/// Blocks that an image shares with its base pass nobody who compares them,
/// unless the file system does.
#[test]
#[ignore = "needs root and a loop device"]
fn shared_blocks_are_read_again_once_a_week() {
    let xfs = ["-q", "-m", "reflink=1"];
    on("mkfs.xfs", "xfsprogs", &xfs, "loop", |mount| shared(mount, true));
    on("mkfs.btrfs", "btrfs-progs", &["-q"], "loop", |mount| {
        shared(mount, false);
    });
}

/// Builds on this file system, where the base is to be read again or not.
fn shared(mount: &Path, again: bool) {
    let env = Env::new();
    let demo = repository().join("images/demo/demo.img.zst");
    let [cache, built] = ["cache", "build"].map(|name| mount.join(name));
    env.write(
        "inventory.yml",
        "all:\n  hosts: {node1: {ansible_host: 10.0.0.1}}\n  vars:\n    \
         ssh_authorized_keys: []\n",
    );
    let build = || {
        let outcome = env.run(&[
            "--progress=json",
            "build",
            "node1",
            "--image",
            demo.to_str().unwrap(),
            "--no-checksums",
            "--offline",
            "--cache-dir",
            cache.to_str().unwrap(),
            "--build-dir",
            built.to_str().unwrap(),
        ]);
        let events = outcome.events();
        let started = events::of(&events, "start").into_iter();
        let mut stages = started.map(|event| event["stage"].clone());
        (outcome.code, stages.any(|stage| stage == "verify"), outcome)
    };
    let first = build();
    assert_eq!((first.0, first.1), (Some(0), false), "{}", first.2);
    let only = |dir: &str| {
        let mut files = files_under(&cache.join(dir));
        files.retain(|path| path.extension().unwrap() != "json");
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    };
    let (image, sums) = (only("images"), only("sums"));
    let days_ago = |days: u64| {
        let file = fs::File::options().append(true).open(&sums).unwrap();
        let age = Duration::from_secs(days * 24 * 3600);
        file.set_modified(SystemTime::now() - age).unwrap();
    };
    // In the free space, which no edit of this node reads.
    let place = 150 << 20;
    rot(&image, place);
    for (days, read) in [(6, false), (8, again)] {
        days_ago(days);
        let (code, verified, outcome) = build();
        assert_eq!(verified, read, "{days} {outcome}");
        assert_eq!(code, Some(if read { 3 } else { 0 }), "{days} {outcome}");
    }
    // It is unpacked anew, and then it is known to be right for a week.
    let (code, _, outcome) = build();
    assert_eq!(code, Some(0), "{outcome}");
    let mut byte = [1];
    let file = fs::File::open(only("images")).unwrap();
    file.read_exact_at(&mut byte, place).unwrap();
    assert_eq!(byte == [0], again);
    days_ago(8);
    let (code, verified, outcome) = build();
    assert_eq!((code, verified), (Some(0), again), "{outcome}");
    assert!(!build().1);
}
