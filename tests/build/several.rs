//! Nodes that want different base images, from a server on this machine.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    env::Env,
    events, files_under,
    server::Step,
    vendor::{Image, Vendor},
};

const PAUSE: Duration = Duration::from_millis(15);

fn cache(env: &Env) -> std::path::PathBuf {
    env.home().join(".cache/piflash")
}

/// Names below a directory of the cache.
fn names(env: &Env, dir: &str) -> Vec<String> {
    let files = files_under(&cache(env).join(dir));
    let name = |path: &Path| path.file_name()?.to_str().map(str::to_owned);
    files.iter().filter_map(|path| name(path)).collect()
}

fn part(env: &Env, vendor: &Vendor, index: usize) -> u64 {
    let name = format!("download-{}.part", vendor.images[index].sha256);
    let path = cache(env).join("partial").join(name);
    fs::metadata(path).map_or(0, |found| found.len())
}

#[test]
fn missing_images_are_downloaded_side_by_side_and_each_once() {
    let vendor = Vendor::start(5, PAUSE);
    // node2 and node6 share one.
    let env = vendor.customer(&[0, 1, 2, 3, 4, 1]);
    let outcome = env.run(&["--progress", "json", "build", "--all"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(vendor.asked(), [1, 2, 3, 4, 5].map(path));
    assert_eq!(vendor.server.most_at_once(), 3);
    assert_eq!(names(&env, "partial"), [""; 0]);

    let lock: serde_json::Value =
        serde_json::from_slice(&env.read("piflash.lock")).unwrap();
    for (node, index) in [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 1)] {
        let name = format!("node{node}");
        assert!(!env.read(&format!("build/images/{name}.img")).is_empty());
        let image = &lock["nodes"][&name]["image"];
        assert_eq!(image["download_sha256"], vendor.images[index].sha256);
    }

    // Every byte of each is told, and nothing is built before all is there.
    let events = outcome.events();
    let downloads: Vec<_> = events::of(&events, "finish")
        .into_iter()
        .filter(|event| event["stage"] == "download")
        .collect();
    assert_eq!(downloads.len(), 5);
    for event in downloads {
        let name = event["name"].as_str().unwrap();
        let image = vendor.images.iter().find(|i| i.path.ends_with(name));
        assert_eq!(event["done"], image.unwrap().size);
        assert_eq!(event["total"], event["done"]);
    }
    let stages: Vec<_> = events::of(&events, "start")
        .into_iter()
        .map(|event| event["stage"].as_str().unwrap())
        .collect();
    assert_eq!(&stages[..5], ["download"; 5]);
    assert!(!stages[5..].contains(&"download"), "{stages:?}");

    let again = env.run(&["build", "--all", "--offline", "--locked"]);
    assert_eq!(again.code, Some(0), "{again}");
    assert_eq!(vendor.asked(), [""; 0]);
}

fn path(number: usize) -> String {
    format!("/os/{number}.img.zst")
}

#[test]
fn what_was_fetched_before_is_built_without_a_network() {
    let vendor = Vendor::start(3, Duration::ZERO);
    let env = vendor.customer(&[0, 1, 2, 1]);
    let missing = env.run(&["images", "fetch", "--offline"]);
    assert_eq!(missing.code, Some(1), "{missing}");
    let some = env.run(&["images", "fetch", "node2", "node4", "node2"]);
    assert_eq!(some.code, Some(0), "{some}");
    let said = "2.img.zst: Debian GNU/Linux 13 (trixie), arm64 (pinned hash)\n";
    assert_eq!(some.stderr, said);
    assert_eq!(vendor.asked(), [path(2)]);
    let all = env.run(&["images", "fetch"]);
    assert_eq!(all.code, Some(0), "{all}");
    assert_eq!(vendor.asked(), [path(1), path(3)]);
    assert!(!env.work().join("build").exists());
    assert!(!env.work().join("piflash.lock").exists());

    let built = env.run(&["build", "--all", "--offline"]);
    assert_eq!(built.code, Some(0), "{built}");
    assert_eq!(vendor.asked(), [""; 0]);
    let unknown = env.run(&["images", "fetch", "node9"]);
    assert_eq!(unknown.code, Some(2), "{unknown}");
    assert!(unknown.stderr.contains("node9"), "{unknown}");
}

#[test]
fn one_that_fails_leaves_the_others_whole_and_what_it_has_itself() {
    // Long enough for the failing one to be tried twice.
    let vendor = Vendor::start(3, Duration::from_millis(60));
    let env = vendor.customer(&[0, 1, 1, 2]);
    let failing = &vendor.images[1];
    let gone = Step::Status(404, vec![]);
    vendor.server.script(&failing.path, [Step::Cut(300_000), gone]);
    let outcome = env.run(&["--progress=json", "build", "--all"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let events = outcome.events();
    let error = events.last().unwrap();
    assert_eq!(error["event"], "error");
    assert_eq!(error["text"], "no usable image for node2, node3");
    let causes = error["causes"].to_string();
    assert!(causes.contains(&failing.path) && causes.contains("404"));
    let failed = events::of(&events, "fail");
    assert_eq!(failed.len(), 1, "{outcome}");
    assert_eq!(failed[0]["name"], "2.img.zst");
    assert_eq!(failed[0]["done"], 300_000);
    let said = events::of(&events, "message");
    let said = said[0]["text"].as_str().unwrap();
    assert!(said.contains("the other downloads go on"), "{said}");

    assert!(!env.work().join("build").exists());
    assert_eq!(names(&env, "images").len(), 4, "{outcome}");
    assert_eq!(part(&env, &vendor, 1), 300_000);
    let verify = env.run(&["images", "verify"]);
    assert!(
        verify.stderr.contains("2 images and 0 artefacts in the cache"),
        "{verify}"
    );

    vendor.asked();
    let again = env.run(&["build", "--all"]);
    assert_eq!(again.code, Some(0), "{again}");
    let requests = vendor.server.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert_eq!(requests[0].header("range"), Some("bytes=300000-"));
}

#[test]
fn several_that_fail_are_all_named() {
    // Seen at their ends: both are under way by then.
    let vendor = Vendor::start(2, Duration::from_millis(30));
    let env = vendor.customer(&[0, 1]);
    for image in &vendor.images {
        vendor.server.change(&image.path, |resource| {
            let body = std::sync::Arc::make_mut(&mut resource.body);
            body[1 << 20] ^= 1;
        });
    }
    let outcome = env.run(&["build", "node2", "node1"]);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    let (first, second) = (&vendor.images[0], &vendor.images[1]);
    for said in [
        "no usable image for node1, node2",
        "    for node1:\n",
        "    for node2:\n",
        &first.path,
        &second.path,
        &first.sha256,
        &second.sha256,
    ] {
        assert!(outcome.stderr.contains(said), "`{said}`: {outcome}");
    }
    assert_eq!(outcome.stderr.matches("hint: ").count(), 1, "{outcome}");
    assert_eq!(names(&env, "images"), [""; 0]);
    assert!(!env.work().join("build").exists());
}

fn start(env: &Env, build_dir: &str) -> Child {
    // What a shell starts in the background ignores Ctrl-C, and so would
    // this when the tests are run there.
    Command::new("/usr/bin/env")
        .arg("--default-signal=INT")
        .arg(env!("CARGO_BIN_EXE_piflash"))
        .args(["--progress", "json", "build", "--all"])
        .args(["--build-dir", build_dir])
        .env_clear()
        .env("HOME", env.home())
        .env("TMPDIR", env.home())
        .current_dir(env.work())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn an_interrupt_leaves_nothing_half_and_all_to_go_on_with() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        // Slow enough that a busy machine does not come too late.
        let vendor = Vendor::start(3, Duration::from_millis(400));
        let env = vendor.customer(&[0, 1, 2]);
        let mut child = start(&env, "build");
        let end = Instant::now() + Duration::from_secs(20);
        let parts = || [0, 1, 2].map(|index| part(&env, &vendor, index));
        while parts().iter().any(|len| *len < 200_000) {
            assert!(Instant::now() < end, "nothing arrives: {:?}", parts());
            assert!(child.try_wait().unwrap().is_none(), "it ended");
            sleep(Duration::from_millis(2));
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(!output.status.success());
        // Up to the last, lines are whole.
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.lines().count() >= 3 && told.ends_with('\n'), "{told}");
        for line in told.lines() {
            let event: events::Event = serde_json::from_str(line).unwrap();
            assert_eq!(event["stage"], "download");
        }
        let arrived = parts();
        for (len, image) in arrived.iter().zip(&vendor.images) {
            assert!(*len < image.size as u64, "too late");
        }
        assert_eq!(names(&env, "images"), [""; 0]);
        assert!(!env.work().join("build").exists());
        assert!(!env.work().join("piflash.lock").exists());

        vendor.hurry();
        vendor.asked();
        let again = env.run(&["build", "--all"]);
        assert_eq!(again.code, Some(0), "{again}");
        let mut requests = vendor.server.requests();
        requests.sort_by(|a, b| a.target.cmp(&b.target));
        assert_eq!(requests.len(), 3, "{requests:?}");
        for (request, len) in requests.iter().zip(arrived) {
            let range = format!("bytes={len}-");
            assert_eq!(request.header("range"), Some(range.as_str()));
        }
        let verify = env.run(&["images", "verify"]);
        assert!(verify.stderr.contains("3 images"), "{verify}");
        assert_eq!(names(&env, "partial"), [""; 0]);
    }
}

#[test]
fn two_builds_at_once_share_a_download() {
    let vendor = Vendor::start(1, PAUSE);
    let env = vendor.customer(&[0]);
    let runs = ["one", "two"].map(|dir| start(&env, dir));
    let stages = runs.map(|run| {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success());
        let events = events::parse(&String::from_utf8(output.stderr).unwrap());
        let first = events::of(&events, "start")[0]["stage"].clone();
        first.as_str().unwrap().to_owned()
    });
    let mut stages = stages.to_vec();
    stages.sort();
    assert_eq!(stages, ["download", "wait-for-another-run"]);
    assert_eq!(vendor.asked(), [path(1)]);
    let read = |dir: &str| env.read(&format!("{dir}/images/node1.img"));
    assert_eq!(read("one").len(), read("two").len());
}

/// The connection breaks and the run fails; the next one goes on, and has
/// the same image.
#[test]
fn cut_at_any_byte_and_run_again() {
    let vendor = Vendor::start(1, Duration::ZERO);
    let Image { path, sha256: _, size } = &vendor.images[0];
    let expected = {
        let env = vendor.customer(&[0]);
        assert_eq!(env.run(&["images", "fetch"]).code, Some(0));
        names(&env, "images")
    };
    let third = size / 3;
    for cut in [0, 1, 3, 4, 18, 511, 512, third, 2 * third, size - 1] {
        let env = vendor.customer(&[0]);
        let gone = Step::Status(404, vec![]);
        vendor.server.script(path, [Step::Cut(cut), gone]);
        let failed = env.run(&["build", "node1"]);
        assert_eq!(failed.code, Some(1), "{failed}");
        assert_eq!(part(&env, &vendor, 0), cut as u64);
        assert_eq!(names(&env, "images"), [""; 0]);
        assert!(!env.work().join("build").exists(), "{failed}");
        vendor.asked();

        let fetch = env.run(&["images", "fetch"]);
        assert_eq!(fetch.code, Some(0), "{cut}: {fetch}");
        let [request] = &vendor.server.requests()[..] else { panic!() };
        assert_eq!(request.sent, size - cut);
        // By their digests, which are read again.
        assert_eq!(names(&env, "images"), expected, "{cut}");
        let verify = env.run(&["images", "verify"]);
        assert_eq!(verify.code, Some(0), "{cut}: {verify}");
    }
}
