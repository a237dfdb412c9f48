use super::support::{PATH, Setup, noise};
use crate::support::server::{Resource, Step};
use piflash::{
    base::{
        cache::{Cache, Wanted},
        signature::{Keyring, Verification},
    },
    progress::Silent,
};
use std::{
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

fn range_of(from: usize) -> String {
    format!("bytes={from}-")
}

/// Positions all over the file, and its edges.
fn cuts(len: usize) -> Vec<usize> {
    let mut cuts: Vec<_> = noise(24 * 4, 77)
        .chunks(4)
        .map(|c| u32::from_le_bytes(c.try_into().unwrap()) as usize % len)
        .chain([0, 1, 511, 512, 513, 65_536, len - 1])
        .collect();
    cuts.sort_unstable();
    cuts
}

/// The connection breaks, the run gives up, the next one goes on.
#[test]
fn cut_at_any_byte_and_run_again() {
    let mut setup = Setup::new();
    setup.options.attempts = 1;
    for cut in cuts(setup.packed.len()) {
        let dir = tempfile::tempdir().unwrap();
        setup.cache = Cache::open(dir.path());
        setup.server.script(PATH, [Step::Cut(cut)]);
        let error = setup.refused();
        assert!(error.contains("gave up after 1 tries"), "{error}");
        setup.get_image();
        let requests = setup.server.requests();
        assert_eq!(requests.len(), 2);
        let sent = requests.iter().map(|request| request.sent);
        assert_eq!(sent.collect::<Vec<_>>(), [cut, setup.packed.len() - cut]);
        let range = requests[1].header("range");
        let expected = (cut > 0).then(|| range_of(cut));
        assert_eq!(range, expected.as_deref());
        assert_eq!(requests[1].header("if-range").is_some(), cut > 0);
    }
}

/// The connection breaks again and again in one run.
#[test]
fn cut_often_in_one_run() {
    let setup = Setup::new();
    let steps = [1, 100, 0, 70_000, 0, 0, 5, 300_000, 17];
    setup.server.script(PATH, steps.map(Step::Cut));
    setup.get_image();
    let requests = setup.server.requests();
    assert_eq!(requests.len(), steps.len() + 1);
    let sent: usize = requests.iter().map(|request| request.sent).sum();
    assert_eq!(sent, setup.packed.len());
}

#[test]
fn a_changed_file_is_never_joined() {
    let mut setup = Setup::new();
    setup.options.attempts = 1;
    setup.unpinned();
    setup.server.script(PATH, [Step::Cut(100_000)]);
    setup.refused();
    setup.image.rotate_left(4096);
    setup.packed = super::support::xz(&setup.image);
    setup.server.put(PATH, &setup.packed);
    setup.get_image();
    let requests = setup.server.requests();
    // If-Range got a 200, which is asked for again from the start.
    assert_eq!(requests.len(), 3);
    assert!(requests[1].header("if-range").is_some());
    assert_eq!(requests[2].header("range"), None);
}

/// The same where the server answers 206 with another ETag.
#[test]
fn a_server_that_ignores_if_range_is_not_trusted() {
    let mut setup = Setup::new();
    setup.options.attempts = 1;
    setup.unpinned();
    setup.server.script(PATH, [Step::Cut(100_000)]);
    setup.refused();
    setup.image.rotate_left(4096);
    let len = setup.packed.len();
    setup.packed = super::support::xz(&setup.image);
    setup.server.put(PATH, &setup.packed);
    let range = format!("bytes 100000-{}/{len}", len - 1);
    setup.server.script(PATH, [Step::Range(range)]);
    setup.get_image();
    assert_eq!(setup.server.requests().len(), 3);
}

#[test]
fn a_whole_answer_to_a_range_starts_again() {
    let setup = Setup::new();
    setup.server.script(PATH, [Step::Cut(100_000), Step::Whole]);
    setup.get_image();
    let requests = setup.server.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[1].header("range").unwrap(), range_of(100_000));
    assert_eq!(requests[2].header("range"), None);

    // A server that breaks and cannot resume is given up some time.
    let setup = Setup::new();
    setup.server.change(PATH, |resource| resource.no_ranges = true);
    setup.server.script(PATH, (0..40).map(|_| Step::Cut(100_000)));
    let error = setup.refused();
    assert!(error.contains("start again 3 times"), "{error}");
}

#[test]
fn wrong_ranges_are_refused() {
    let setup = Setup::new();
    let len = setup.packed.len();
    let total = format!("bytes 100000-{}/{}", len - 1, len + 1);
    for (range, word) in [
        (format!("bytes 99999-{}/{len}", len - 1), "99999-"),
        (format!("bytes 0-{}/{len}", len - 1), "bytes 0-"),
        ("bytes 100000-5/9".to_owned(), "100000-5/9"),
        ("rubbish".to_owned(), "rubbish"),
        (total, "instead of"),
    ] {
        let setup = Setup::with(setup.image.clone(), setup.packed.clone());
        setup.server.script(PATH, [Step::Cut(100_000), Step::Range(range)]);
        let error = setup.refused();
        assert!(error.contains(word), "{error}");
        assert_eq!(setup.server.requests().len(), 2);
        setup.get_image();
    }
}

/// A run ended when all bytes were there but before they were used.
#[test]
fn a_complete_part_needs_no_request() {
    let mut setup = Setup::new();
    setup.options.attempts = 1;
    setup.server.script(PATH, [Step::Cut(setup.packed.len() - 1)]);
    setup.refused();
    let name = format!("image-{}.part", setup.wanted.image_sha256.unwrap());
    let part = setup.cache.dir().join("partial").join(name);
    std::fs::write(part, &setup.packed).unwrap();
    setup.server.requests();
    setup.get_image();
    assert_eq!(setup.server.requests().len(), 0);
}

#[test]
fn nothing_more_to_send_is_the_end() {
    let mut setup = Setup::new();
    setup.options.attempts = 1;
    setup.wanted.download_size = None;
    let len = setup.packed.len();
    // It claims more than it has: the rest of nothing is a 416.
    setup.server.script(PATH, [Step::Length(len as u64 + 10)]);
    setup.refused();
    setup.get_image();
    let requests = setup.server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].header("range").unwrap(), range_of(len));
    assert_eq!(requests[1].sent, 0);
}

#[test]
fn without_a_validator_only_a_pinned_file_is_resumed() {
    for pinned in [true, false] {
        let mut setup = Setup::new();
        setup.options.attempts = 1;
        setup.wanted.trust = Verification::HashOnly;
        if !pinned {
            setup.unpinned();
        }
        // A weak ETag does not promise the same bytes.
        let weak = Resource {
            body: Arc::new(setup.packed.clone()),
            etag: Some("W/\"1\"".to_owned()),
            ..Resource::default()
        };
        setup.server.put_resource(PATH, weak);
        setup.server.script(PATH, [Step::Cut(100_000)]);
        setup.refused();
        setup.get_image();
        let requests = setup.server.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[1].header("range").is_some(), pinned);
        assert_eq!(requests[1].header("if-range"), None);
    }
}

#[test]
fn a_date_validates_too() {
    let mut setup = Setup::new();
    setup.options.attempts = 1;
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    setup.server.change(PATH, |resource| {
        resource.etag = None;
        resource.last_modified = Some(date.to_owned());
    });
    setup.server.script(PATH, [Step::Cut(100_000)]);
    setup.refused();
    setup.get_image();
    let requests = setup.server.requests();
    assert_eq!(requests[1].header("if-range"), Some(date));
    assert_eq!(requests[1].header("range").unwrap(), range_of(100_000));
}

/// A power cut may leave a file of the right size with wrong bytes.
#[test]
fn a_damaged_part_is_replaced() {
    let mut setup = Setup::new();
    setup.options.attempts = 1;
    setup.server.script(PATH, [Step::Cut(200_000)]);
    setup.refused();
    let name = format!("image-{}.part", setup.wanted.image_sha256.unwrap());
    let part = setup.cache.dir().join("partial").join(name);
    let mut bytes = std::fs::read(&part).unwrap();
    assert_eq!(bytes.len(), 200_000);
    bytes[150_000] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    setup.get_image();
    let requests = setup.server.requests();
    assert_eq!(requests.last().unwrap().header("range"), None);
}

const URL: &str = "PIFLASH_TEST_FETCH_URL";
const DIR: &str = "PIFLASH_TEST_FETCH_DIR";
const DIGEST: &str = "PIFLASH_TEST_FETCH_DIGEST";

/// Not a test by itself: the process that others start.
#[test]
fn fetcher() {
    let Ok(url) = std::env::var(URL) else { return };
    let wanted = Wanted {
        url,
        download_sha256: None,
        download_size: None,
        image_sha256: Some(std::env::var(DIGEST).unwrap().parse().unwrap()),
        image_size: None,
        trust: Verification::PinnedHash,
        signed: None,
    };
    let cache = Cache::open(std::env::var_os(DIR).unwrap());
    let (options, _) = super::support::options();
    cache.get(&wanted, &Keyring::default(), &options, &Silent).unwrap();
}

fn start(setup: &Setup) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fetch::resume::fetcher"])
        .env(URL, &setup.wanted.url)
        .env(DIR, setup.cache.dir())
        .env(DIGEST, setup.wanted.image_sha256.unwrap().to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn killed_and_run_again_it_goes_on() {
    let mut setup = Setup::new();
    setup.wanted.download_sha256 = None;
    setup.wanted.download_size = None;
    let name = format!("image-{}.part", setup.wanted.image_sha256.unwrap());
    let part = setup.cache.dir().join("partial").join(name);
    for least in [1, 200_000, 600_000] {
        let _ = std::fs::remove_dir_all(setup.cache.dir());
        let pause = Duration::from_millis(20);
        setup.server.change(PATH, |resource| resource.pause = pause);
        let mut child = start(&setup);
        let end = Instant::now() + Duration::from_secs(20);
        let len = || std::fs::metadata(&part).map_or(0, |found| found.len());
        while len() < least {
            assert!(Instant::now() < end, "nothing arrives");
            assert!(child.try_wait().unwrap().is_none(), "it ended");
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let arrived = len();
        assert!(arrived < setup.packed.len() as u64, "too late");
        assert_eq!(setup.images(), [""; 0]);
        setup.server.change(PATH, |resource| resource.pause = Duration::ZERO);
        setup.server.requests();
        setup.get_image();
        let requests = setup.server.requests();
        assert_eq!(requests.len(), 1);
        let range = requests[0].header("range").unwrap();
        assert_eq!(range, range_of(arrived as usize));
        assert_eq!(
            requests[0].sent as u64,
            setup.packed.len() as u64 - arrived
        );
    }
}

/// The image grows while bytes are still to come.
#[test]
fn unpacking_does_not_wait_for_the_end() {
    let setup = Setup::new();
    let pause = Duration::from_millis(60);
    setup.server.change(PATH, |resource| resource.pause = pause);
    let name = format!("image-{}", setup.wanted.image_sha256.unwrap());
    let partial = setup.cache.dir().join("partial");
    let part = partial.join(format!("{name}.part"));
    let image = partial.join(format!("{name}.img"));
    let len = |path| std::fs::metadata(path).map_or(0, |found| found.len());
    std::thread::scope(|scope| {
        let getting = scope.spawn(|| setup.get_image());
        let end = Instant::now() + Duration::from_secs(20);
        while len(&image) == 0 {
            assert!(Instant::now() < end, "nothing is unpacked");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(len(&part) < setup.packed.len() as u64, "it waited");
        getting.join().unwrap();
    });
}

#[test]
fn processes_and_threads_share_one_download() {
    let setup = Setup::new();
    let pause = Duration::from_millis(20);
    setup.server.change(PATH, |resource| resource.pause = pause);
    let mut children = [start(&setup), start(&setup)];
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..3).map(|_| scope.spawn(|| setup.get().unwrap())).collect();
        for thread in threads {
            setup.is_image(&thread.join().unwrap());
        }
    });
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let requests = setup.server.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
}
