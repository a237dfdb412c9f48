//! The files of a node tell of each other: whenever the power goes, none of
//! them may tell of another one's predecessor.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader, Lines},
    os::unix::fs::FileExt,
    path::PathBuf,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{bmap::copy_onto, env::Env, repository, sha256};

const ARGS: [&str; 7] = [
    "build",
    "node3",
    "--image=demo",
    "--offline",
    "--format=img,zst",
    "--bmap",
    "--quiet",
];

/// Times of builds, whose images have other bytes.
const OLD: &str = "1781740800";
const NEW: &str = "1781740900";

/// All that gives a file a name, or takes one away.
const NAMES: &str = "/^(rename|link|unlink)";

struct Site {
    env: Env,
    /// Digests of the images and of their block maps.
    mapped: Vec<(String, String)>,
}

impl Site {
    fn new() -> Self {
        let mut site = Self { env: Env::new(), mapped: Vec::new() };
        for time in [NEW, OLD] {
            assert!(site.build(time).status().unwrap().success());
            site.map_fits();
        }
        assert_eq!(site.agrees("before").1.len(), 5);
        site.link("build/images", "before");
        site
    }

    /// All is again as the earlier build left it.
    fn restore(&self) {
        fs::remove_dir_all(self.path("")).unwrap();
        self.link("before", "build/images");
    }

    /// Files are replaced, and never written to.
    fn link(&self, from: &str, to: &str) {
        let [from, to] = [from, to].map(|dir| self.env.work().join(dir));
        fs::create_dir(&to).unwrap();
        for file in fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            fs::hard_link(file.path(), to.join(file.file_name())).unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.env.work().join("build/images").join(name)
    }

    fn build(&self, time: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_piflash"));
        command
            .arg("-i")
            .arg(repository().join("examples/homelab.yml"))
            .args(ARGS)
            .env("SOURCE_DATE_EPOCH", time)
            .env("HOME", self.env.home())
            .current_dir(self.env.work())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// The map is that of the image, as bmaptool says.
    fn map_fits(&mut self) {
        let [image, map] = ["node3.img", "node3.img.bmap"].map(|name| {
            let path = self.path(name);
            (sha256(&fs::read(&path).unwrap()), path)
        });
        let card = self.env.work().join("card");
        let len = fs::metadata(&image.1).unwrap().len();
        fs::File::create(&card).unwrap().set_len(len).unwrap();
        // It compares the checksums of all that is mapped.
        copy_onto(&image.1, &map.1, &card).unwrap();
        self.mapped.push((image.0, map.0));
    }

    /// Everything that tells of a file tells what is there; returns whether
    /// the image is the new one, and what is there.
    fn agrees(&self, when: &str) -> (bool, BTreeSet<String>) {
        let sum = |name: &str| {
            fs::read(self.path(name)).ok().map(|content| sha256(&content))
        };
        let image = sum("node3.img").unwrap();
        let is = |name: &str, told: &str| {
            let found = match name {
                "node3.img" => Some(image.clone()),
                other => sum(other),
            };
            assert_eq!(Some(told), found.as_deref(), "{name} {when}");
        };
        let sums = fs::read_to_string(self.path("SHA256SUMS"));
        for line in sums.unwrap_or_default().lines() {
            let (sum, file) = line.split_once("  ").unwrap();
            is(file, sum);
        }
        if let Ok(node) = fs::read(self.path("node3.json")) {
            let node: Value = serde_json::from_slice(&node).unwrap();
            for output in node["outputs"].as_array().unwrap() {
                let file = output["file"].as_str().unwrap();
                is(file, output["sha256"].as_str().unwrap());
            }
            is("node3.img", node["image"]["sha256"].as_str().unwrap());
        }
        if let Some(map) = sum("node3.img.bmap") {
            let fits = self.mapped.contains(&(image.clone(), map));
            assert!(fits, "the map is of another image {when}");
        }
        let files = fs::read_dir(self.path("")).unwrap();
        let name = |file: fs::DirEntry| file.file_name().into_string().unwrap();
        let files = files.map(|file| name(file.unwrap())).collect();
        (self.mapped.first().is_some_and(|new| new.0 == image), files)
    }
}

/// A program that is stopped whenever it has made a system call of some kind.
struct Stopping {
    strace: Child,
    lines: Lines<BufReader<ChildStderr>>,
    /// What threads have called last, as far as it has been said.
    calls: BTreeMap<i32, String>,
    said: String,
}

/// A program that stands still.
struct Stop {
    thread: Pid,
    /// What was called, as strace writes it.
    call: String,
}

impl Stop {
    fn send(&self, signal: Signal) {
        kill_process(self.thread, signal).unwrap();
    }
}

impl Stopping {
    fn start(program: &Command, calls: &str, when: &str) -> Self {
        // Not with --seccomp-bpf, which loses signals.
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-qq", "-o", "/dev/stderr", "-e"])
            .arg(format!("trace={calls}"))
            .args(["-e", &format!("inject={calls}:signal=STOP{when}")])
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(program.get_current_dir().unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        for (name, value) in program.get_envs() {
            strace.env(name, value.unwrap());
        }
        let mut strace = strace.spawn().unwrap();
        let lines = BufReader::new(strace.stderr.take().unwrap()).lines();
        Self { strace, lines, calls: BTreeMap::new(), said: String::new() }
    }

    /// Waits until it stands still; nothing when it came to its end.
    fn next(&mut self) -> Option<Stop> {
        let calls = &mut self.calls;
        for line in self.lines.by_ref().map(Result::unwrap) {
            let traced = line.split_once(' ').and_then(|(thread, event)| {
                Some((thread.parse().ok()?, event.trim()))
            });
            let Some((thread, event)) = traced else {
                self.said.push_str(&line);
                continue;
            };
            if event.contains("stopped by SIGSTOP") {
                // All threads stop: this one is it that called.
                if let Some(call) = calls.remove(&thread) {
                    let thread = Pid::from_raw(thread).unwrap();
                    return Some(Stop { thread, call });
                }
            } else if event.starts_with("<...") {
                // Another thread's line came between its two halves.
                calls.entry(thread).or_default().push_str(event);
            } else if !event.starts_with("---") {
                calls.insert(thread, event.to_owned());
            }
        }
        None
    }

    fn end(mut self) -> (ExitStatus, String) {
        (self.strace.wait().unwrap(), self.said)
    }
}

/// The kernel stops the program at every call that gives a file a name, or
/// takes one away: what is there then is what a kill or a power cut leaves.
#[test]
fn whenever_a_build_ends_nothing_tells_of_another_image() {
    let site = Site::new();
    let mut build = Stopping::start(&site.build(NEW), NAMES, "");
    let (mut stops, mut between) = (0, 0);
    while let Some(stop) = build.next() {
        if stop.call.ends_with("= 0") {
            let (new, there) = site.agrees(&stop.call);
            between += u32::from(new && !there.contains("node3.json"));
            stops += 1;
        }
        stop.send(Signal::CONT);
    }
    let (status, said) = build.end();
    assert!(status.success(), "{status}: {said}");
    assert!(stops > 8 && between > 1, "{stops} {between}");
    assert_eq!(site.agrees("at the end").1.len(), 5);

    // Killed between two of its names; and built again.
    site.restore();
    let mut build = Stopping::start(&site.build(NEW), NAMES, "");
    let mut calls = Vec::new();
    let mut killed = false;
    while let Some(stop) = build.next() {
        let named = stop.call.ends_with("= 0")
            && stop.call.contains("\"build/images/node3.img\"");
        killed |= named;
        stop.send(if named { Signal::KILL } else { Signal::CONT });
        calls.push(stop.call);
    }
    let (status, said) = build.end();
    assert!(killed, "{status}: {said}: {calls:#?}");
    let (new, left) = site.agrees("killed");
    let images = ["node3.img", "node3.img.zst"].map(str::to_owned);
    assert!(new && left == images.into());
    assert!(site.build(NEW).status().unwrap().success());
    assert_eq!(site.agrees("after the next build").1.len(), 5);
}

/// What cannot be replaced ends a build in the middle of its names.
#[test]
fn a_build_that_fails_between_its_names_tells_of_nothing_old() {
    let site = Site::new();
    for number in 1..9 {
        let build = site.build(NEW);
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=rename", "-e"])
            .arg(format!("inject=rename:error=EIO:when={number}"))
            .arg(build.get_program())
            .args(build.get_args())
            .current_dir(site.env.work())
            .stderr(Stdio::null());
        for (name, value) in build.get_envs() {
            strace.env(name, value.unwrap());
        }
        let status = strace.status().unwrap();
        site.agrees(&format!("rename {number} failed"));
        if status.success() {
            assert!(number > 2, "it failed only {number} times");
            return;
        }
        assert_eq!(status.code(), Some(1), "{status}");
        site.restore();
    }
    panic!("it never came to an end");
}

#[test]
fn an_image_of_an_earlier_build_is_named() {
    let site = Site::new();
    let env = &site.env;
    let example = repository().join("examples/homelab.yml");
    let args = ["-i", example.to_str().unwrap(), "build", "node3"];
    let args = [&args[..], &["--image=demo", "--offline"]].concat();
    let outcome = env.run(&args);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let said = "build/images/node3.img.zst is of an earlier build";
    assert!(outcome.stderr.contains(said), "{outcome}");
    assert!(!outcome.stderr.contains("node3.img is of"), "{outcome}");
    assert!(!site.path("node3.img.bmap").exists());
    site.agrees("of one format");
    fs::remove_file(site.path("node3.img.zst")).unwrap();
    let outcome = env.run(&args);
    assert!(!outcome.stderr.contains("earlier build"), "{outcome}");
}

/// Somebody writes to the base while a node is built of it.
#[test]
fn a_raw_base_that_changes_during_a_build_is_noticed() {
    let env = Env::new();
    let demo = fs::read(repository().join("images/demo/demo.img.zst"));
    let raw = zstd::decode_all(&demo.unwrap()[..]).unwrap();
    env.write("base.img", &raw);
    env.write(
        "inventory.yml",
        "all:\n  hosts: {node1: {ansible_host: 10.0.0.1}}\n  vars:\n    \
         ssh_authorized_keys: []\n    image: base.img\n",
    );
    let base = env.work().join("base.img");
    let image = env.work().join("build/images/node1.img");
    let first = env.run(&["build", "node1"]);
    assert_eq!(first.code, Some(0), "{first}");
    let before = fs::read(&image).unwrap();
    type Change<'c> = (&'c str, &'c dyn Fn());
    let changes: [Change; 2] = [
        ("written to", &|| {
            let file = fs::OpenOptions::new().write(true).open(&base);
            file.unwrap().write_all_at(b"another", 1 << 20).unwrap();
        }),
        ("replaced", &|| {
            let other = env.work().join("other.img");
            fs::write(&other, &raw).unwrap();
            fs::rename(&other, &base).unwrap();
        }),
    ];
    for (name, change) in changes {
        let mut build = Command::new(env!("CARGO_BIN_EXE_piflash"));
        build.args(["build", "node1"]).env("HOME", env.home());
        build.current_dir(env.work());
        // It looks for space before it writes an image: by then the base is
        // open, and nothing has a name yet.
        let mut build = Stopping::start(&build, "statfs,fstatfs", ":when=1");
        let stop = build.next().unwrap();
        assert!(stop.call.contains("build/images"), "{}", stop.call);
        change();
        stop.send(Signal::CONT);
        assert!(build.next().is_none());
        let (status, said) = build.end();
        assert_eq!(status.code(), Some(1), "{name}: {said}");
        assert!(said.contains("was changed"), "{name}: {said}");
        assert!(fs::read(&image).unwrap() == before, "{name}");
    }
}
