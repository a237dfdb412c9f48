//! What nodes need beside their images: through the cache, from a server
//! that may do what it likes.

use super::support::{chain, names, options};
use crate::support::{
    releases::{APT_KEY, MANIFEST, Releases, path, program, sums_path},
    server::{Resource, Step},
    sha256,
};
use piflash::{
    base::{
        artefact::{
            Artefact, ArtefactError, ArtefactErrorKind as Kind, ArtefactFile,
            Form, Gathered, Store, apt_key, flannel_manifest, gather,
        },
        cache::{Cache, Prune},
        digest::Sha256,
        facts::Architecture,
        fetch::FetchOptions,
    },
    disk::Cursor,
    plan::Content,
    progress::Silent,
};
use std::{fs, sync::Arc, thread, time::Duration};

const ARM64: Architecture = Architecture::Arm64;

/// A server, an empty cache, and k3s.
struct Setup {
    releases: Releases,
    dir: tempfile::TempDir,
    cache: Cache,
    store: Store,
    options: FetchOptions,
    k3s: Artefact,
}

impl Setup {
    fn new() -> Self {
        let releases = Releases::start();
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().join("cache"));
        let store = Store::of(&cache);
        let k3s = releases.k3s(None, ARM64).program();
        let (options, _) = options();
        Self { releases, dir, cache, store, options, k3s }
    }

    fn get(
        &self,
        artefact: &Artefact,
        pin: Option<Sha256>,
    ) -> Result<ArtefactFile, ArtefactError> {
        self.store.get(artefact, pin, &self.options, &Silent)
    }

    fn got(&self, artefact: &Artefact) -> ArtefactFile {
        self.get(artefact, None).unwrap_or_else(|e| panic!("{}", chain(&e)))
    }

    /// Fails, and leaves nothing under a good name.
    fn refused(&self, artefact: &Artefact) -> ArtefactError {
        let error = self.get(artefact, None).expect_err("it was accepted");
        assert_eq!(names(&self.dir.path().join("cache/artefacts")), [""; 0]);
        assert!(!error.hint().is_empty());
        error
    }

    /// Puts something at an artefact's place, and its digest on the list.
    fn put_listed(&self, artefact: &Artefact, content: &[u8]) {
        self.releases.put(artefact, content);
        let list = format!("{}  {}\n", sha256(content), artefact.name);
        self.releases.server.put(&sums_path(artefact), list.as_bytes());
    }

    fn requests(&self) -> usize {
        self.releases.server.requests().len()
    }
}

#[test]
fn k3s_of_each_architecture() {
    let setup = Setup::new();
    for architecture in [ARM64, Architecture::Armhf, Architecture::Amd64] {
        let k3s = setup.releases.k3s(None, architecture);
        let file = setup.got(&k3s.program());
        let content = program(architecture);
        assert!(fs::read(&file.path).unwrap() == content);
        assert_eq!(file.sha256, Sha256::of(&content));
        assert_eq!(file.size, content.len() as u64);
        assert_eq!(file.version.as_deref(), Some(k3s.version.as_str()));
        assert!(!file.hit);
        // As a plan puts it into an image.
        let planned = Content::from(&file);
        assert_eq!(planned.len(), file.size);
        let read = Sha256::of_reader(Cursor::new(&planned), |_| {});
        assert_eq!(read.unwrap(), file.sha256);
        assert!(!setup.got(&k3s.images()).hit);
    }
    // Each with its checksums; and then nothing is asked for again.
    assert_eq!(setup.requests(), 12);
    assert!(setup.got(&setup.k3s).hit);
    assert_eq!(setup.requests(), 0);
    assert_eq!(names(&setup.cache.dir().join("partial")), [""; 0]);
}

#[test]
fn the_second_time_needs_no_network() {
    let mut setup = Setup::new();
    setup.options.offline = true;
    let error = setup.refused(&setup.k3s);
    assert!(error.is_offline() && !error.is_mismatch());
    assert!(error.hint().contains("without --offline"));
    assert!(!setup.cache.dir().exists());
    setup.options.offline = false;
    setup.got(&setup.k3s);
    assert_eq!(setup.requests(), 2);
    setup.options.offline = true;
    assert!(setup.got(&setup.k3s).hit);
    assert_eq!(setup.requests(), 0);
    // From another mirror, by what the lock says of it.
    let mut other = setup.k3s.clone();
    other.url = "http://mirror.invalid/k3s-arm64".to_owned();
    assert!(setup.get(&other, None).unwrap_err().is_offline());
    let pin = Some(Sha256::of(&program(ARM64)));
    assert!(setup.get(&other, pin).unwrap().hit);
}

#[test]
fn a_release_that_does_not_exist() {
    let setup = Setup::new();
    let none = setup.releases.k3s(Some("v1.99.9+k3s1"), ARM64).program();
    let error = setup.refused(&none);
    let said = chain(&error);
    for words in ["k3s-arm64 v1.99.9+k3s1", "404", &none.url] {
        assert!(said.contains(words), "`{words}`: {said}");
    }
    assert!(error.hint().contains("k3s_version"), "{}", error.hint());
    assert!(!error.is_mismatch());
}

#[test]
fn another_file_than_the_list_says() {
    let setup = Setup::new();
    let mut other = program(ARM64);
    other[5000] ^= 1;
    setup.releases.put(&setup.k3s, &other);
    let error = setup.refused(&setup.k3s);
    assert!(error.is_mismatch());
    let said = chain(&error);
    for digest in [sha256(&other), sha256(&program(ARM64))] {
        assert!(said.contains(&digest), "{said}");
    }
    assert_eq!(names(&setup.cache.dir().join("partial")), [""; 0]);
}

#[test]
fn a_list_without_a_row_or_without_sense() {
    let setup = Setup::new();
    let digest = sha256(&program(ARM64));
    for list in [
        String::new(),
        format!("{digest}  k3s-armhf\n"),
        format!("{digest}  dist/k3s-arm64\n"),
        "0123  k3s-arm64\n".to_owned(),
        "<b>Not here</b>".to_owned(),
    ] {
        let path = sums_path(&setup.k3s);
        setup.releases.server.put(&path, list.as_bytes());
        let error = setup.refused(&setup.k3s);
        assert!(error.is_mismatch());
        let said = chain(&error);
        assert!(said.contains("has no checksum of k3s-arm64"), "{said}");
        assert!(said.contains("sha256sum-arm64.txt"), "{said}");
    }
}

/// Even where the list agrees with what is wrong.
#[test]
fn what_is_no_program_for_the_node_never_becomes_one() {
    let setup = Setup::new();
    for (content, said) in [
        (b"Sorry, we are down for maintenance.".to_vec(), "not an ELF program"),
        (b"\x7fELF".to_vec(), "not an ELF program"),
        (Vec::new(), "not an ELF program"),
        (program(Architecture::Amd64), "one for amd64"),
        (program(Architecture::Armhf), "one for armhf"),
    ] {
        setup.put_listed(&setup.k3s, &content);
        let error = setup.refused(&setup.k3s);
        assert!(error.is_mismatch());
        let chain = chain(&error);
        let said = format!("program for arm64, but {said}");
        assert!(chain.contains(&said), "`{said}`: {chain}");
    }
    let page = b"<!DOCTYPE html><title>Log in</title>";
    setup.put_listed(&setup.k3s, page);
    let said = chain(&setup.refused(&setup.k3s));
    assert!(said.contains("a web page instead of the file"), "{said}");
    let images = setup.releases.k3s(None, ARM64).images();
    setup.put_listed(&images, b"not compressed at all");
    let said = chain(&setup.refused(&images));
    assert!(said.contains("it is no file compressed by zstd"), "{said}");
}

#[test]
fn a_cut_connection_is_resumed() {
    let setup = Setup::new();
    let path = path(&setup.k3s.url).to_owned();
    setup.releases.server.script(&path, [Step::Cut(100_000)]);
    setup.got(&setup.k3s);
    let requests = setup.releases.server.requests();
    let ranges: Vec<_> =
        requests.iter().filter_map(|r| r.header("range")).collect();
    assert_eq!(ranges.len(), 1, "{requests:?}");
    assert_ne!(ranges, ["bytes=0-"]);
}

/// A run that gave up leaves what it had; another one goes on there.
#[test]
fn a_later_run_goes_on() {
    let mut setup = Setup::new();
    let path = path(&setup.k3s.url).to_owned();
    setup.options.attempts = 1;
    setup.releases.server.script(&path, [Step::Cut(200_000)]);
    let said = chain(&setup.refused(&setup.k3s));
    assert!(said.contains("broke off"), "{said}");
    assert_eq!(names(&setup.cache.dir().join("partial")).len(), 2);
    setup.releases.server.requests();
    let file = setup.got(&setup.k3s);
    assert!(fs::read(&file.path).unwrap() == program(ARM64));
    let sent: usize =
        setup.releases.server.requests().iter().map(|r| r.sent).sum();
    assert!(sent < 150_000, "{sent}");
}

/// What a power cut left of a download is not what arrived.
#[test]
fn a_damaged_part_is_downloaded_again() {
    let mut setup = Setup::new();
    let path = path(&setup.k3s.url).to_owned();
    setup.options.attempts = 1;
    setup.releases.server.script(&path, [Step::Cut(200_000)]);
    setup.refused(&setup.k3s);
    let partial = setup.cache.dir().join("partial");
    let part = partial.join(&names(&partial)[0]);
    let mut content = fs::read(&part).unwrap();
    content[1000] ^= 1;
    fs::write(&part, content).unwrap();
    let file = setup.got(&setup.k3s);
    assert!(fs::read(&file.path).unwrap() == program(ARM64));
}

#[test]
fn a_damaged_file_is_found_and_replaced() {
    let mut setup = Setup::new();
    let path = setup.got(&setup.k3s).path;
    let damages: [&dyn Fn(); 4] = [
        &|| {
            let mut content = fs::read(&path).unwrap();
            content[9999] ^= 1;
            fs::write(&path, content).unwrap();
        },
        &|| fs::write(&path, "").unwrap(),
        &|| fs::remove_file(&path).unwrap(),
        &|| {
            fs::OpenOptions::new()
                .write(true)
                .open(&path)
                .and_then(|file| file.set_len(1000))
                .unwrap()
        },
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        damage();
        setup.options.offline = true;
        let error = setup.get(&setup.k3s, None).unwrap_err();
        assert!(error.is_offline(), "{number}");
        let damaged = matches!(*error.kind, Kind::Damaged { .. });
        assert_eq!(damaged, path.exists(), "{number}");
        let found = setup.store.verify(&Silent).unwrap();
        assert_eq!(found.len(), usize::from(path.exists()), "{number}");
        setup.options.offline = false;
        setup.requests();
        assert!(!setup.got(&setup.k3s).hit, "{number}");
        assert_eq!(setup.requests(), 2, "{number}");
        assert_eq!(setup.store.verify(&Silent).unwrap(), []);
    }
}

#[test]
fn several_runs_share_one_download() {
    let setup = Arc::new(Setup::new());
    let path = path(&setup.k3s.url).to_owned();
    let slow = |resource: &mut Resource| {
        resource.pause = Duration::from_millis(50);
    };
    setup.releases.server.change(&path, slow);
    let runs: Vec<_> = (0..4)
        .map(|_| {
            let setup = Arc::clone(&setup);
            thread::spawn(move || setup.got(&setup.k3s).hit)
        })
        .collect();
    let hits: Vec<bool> = runs.into_iter().map(|r| r.join().unwrap()).collect();
    assert_eq!(hits.iter().filter(|hit| !**hit).count(), 1, "{hits:?}");
    assert_eq!(setup.requests(), 2);
}

#[test]
fn texts_of_a_kubeadm_cluster() {
    let setup = Setup::new();
    let manifest =
        flannel_manifest(Some(&setup.releases.flannel_url())).unwrap();
    assert_eq!(setup.got(&manifest).text().unwrap(), MANIFEST);
    let key = apt_key(None, Some(&setup.releases.k8s_url())).unwrap();
    assert_eq!(setup.got(&key).text().unwrap(), APT_KEY);
    let many = "x".repeat((1 << 20) + 1);
    for (artefact, content, said) in [
        (&manifest, "apiVersion: v1\nkind: [", "it is no manifest"),
        (&manifest, "Sorry, this is the wrong place.", "it is no manifest"),
        (&manifest, "kind: Namespace\n", "apiVersion"),
        (&manifest, "apiVersion: ''\nkind: ''\n", "without apiVersion"),
        (&manifest, "---\n---\n", "there is none in it"),
        (&manifest, "", "there is none in it"),
        (&manifest, &many, "more than 1048576 bytes"),
        (&key, "Sorry, this is the wrong place.", "armored OpenPGP"),
        (&key, &APT_KEY[..200], "armored OpenPGP"),
        (&key, "", "armored OpenPGP"),
    ] {
        let setup = Setup::new();
        let wrong = Artefact {
            url: setup.releases.server.url("/wrong"),
            ..artefact.clone()
        };
        setup.releases.put(&wrong, content.as_bytes());
        let error = setup.refused(&wrong);
        assert!(error.is_mismatch(), "{error}");
        let found = chain(&error);
        assert!(found.contains(said), "`{said}`: {found}");
    }
}

#[test]
fn any_file_by_its_url() {
    let setup = Setup::new();
    let url = setup.releases.server.url("/pub/tool.tgz?token=secret");
    let content = b"what it holds";
    setup.releases.server.put("/pub/tool.tgz?token=secret", content);
    let wrong = Artefact::url(&url, Some(Sha256::of(b"else")));
    let error = setup.refused(&wrong);
    assert!(matches!(*error.kind, Kind::Digest { .. }), "{error}");
    let right = Artefact::url(&url, Some(Sha256::of(content)));
    let file = setup.got(&right);
    assert_eq!(file.name, "tool.tgz");
    assert_eq!(file.text().unwrap().as_bytes(), content);
    for shown in [file.url, chain(&error)] {
        assert!(!shown.contains("secret"), "{shown}");
    }
    let records = setup.cache.dir().join("artefacts");
    for name in names(&records) {
        let text = fs::read_to_string(records.join(&name)).unwrap();
        assert!(!text.contains("secret"), "{name}: {text}");
    }
    // What is known of it comes before where it was.
    assert!(matches!(
        *setup.get(&wrong, None).unwrap_err().kind,
        Kind::Digest { .. }
    ));
}

/// A pin finds a file in the cache, and does not hide what the server has.
#[test]
fn a_pin_is_looked_for_before_the_url() {
    let setup = Setup::new();
    let url = setup.releases.server.url("/key");
    let key = Artefact { form: Form::Any, ..Artefact::url(&url, None) };
    setup.releases.put(&key, b"old");
    let old = setup.got(&key).sha256;
    setup.releases.put(&key, b"new");
    assert_eq!(setup.get(&key, Some(old)).unwrap().sha256, old);
    // Another machine's lock knows the new one.
    let new = Sha256::of(b"new");
    assert_eq!(setup.get(&key, Some(new)).unwrap().sha256, new);
    assert_eq!(setup.got(&key).sha256, new);
    // Of one that nobody has any more, there is what the server has.
    let gone = Sha256::of(b"gone");
    let file = setup.get(&key, Some(gone)).unwrap();
    assert_eq!(file.sha256, new);
}

#[test]
fn only_an_image_that_does_not_boot_may_lack_something() {
    let mut setup = Setup::new();
    let k3s = setup.releases.k3s(None, ARM64);
    setup.got(&k3s.program());
    setup.options.offline = true;
    let wanted = [k3s.program(), k3s.images()];
    let gathered = |may_lack| -> Result<Gathered, ArtefactError> {
        let options = &setup.options;
        gather(&setup.store, &wanted, &|_| None, may_lack, options, &Silent)
    };
    let demo = gathered(true).unwrap();
    assert!(demo.get("k3s-arm64").is_some_and(|file| file.hit));
    assert_eq!(demo.files.len(), 1);
    let [left_out] = &demo.left_out[..] else { panic!("{demo:?}") };
    assert_eq!(left_out.name, "k3s-airgap-images-arm64.tar.zst");
    assert!(gathered(false).unwrap_err().is_offline());

    // With a network, a failure is one for all.
    setup.options.offline = false;
    setup
        .releases
        .server
        .script(path(&wanted[1].url), [Step::Status(403, vec![])]);
    let options = &setup.options;
    gather(&setup.store, &wanted, &|_| None, true, options, &Silent)
        .unwrap_err();
}

#[test]
fn pruning_by_age_and_altogether() {
    let setup = Setup::new();
    let (old, new) = (
        setup.got(&setup.k3s),
        setup.got(&setup.releases.k3s(None, ARM64).images()),
    );
    let dir = setup.cache.dir().join("artefacts");
    // As if the program had come long ago.
    let record = names(&dir)
        .into_iter()
        .map(|name| dir.join(name))
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .find(|path| {
            let text = fs::read_to_string(path).unwrap();
            text.contains(&old.sha256.to_string())
        })
        .unwrap();
    let mut text: serde_json::Value =
        serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    text["fetched"] = 1_000_000.into();
    fs::write(&record, text.to_string()).unwrap();

    let week = Some(Duration::from_secs(7 * 86_400));
    let prune = |older_than, dry_run| {
        setup.store.prune(&Prune { older_than, dry_run }).unwrap()
    };
    let (would, _) = prune(week, true);
    assert_eq!(would.len(), 1);
    assert!(old.path.exists() && record.exists());
    let (pruned, freed) = prune(week, false);
    assert_eq!(pruned, would);
    assert_eq!(pruned[0].sha256, old.sha256);
    assert_eq!(pruned[0].urls, [old.url.as_str()]);
    assert!(freed >= old.size, "{freed}");
    assert!(!old.path.exists() && !record.exists() && new.path.exists());
    // An open file stays readable.
    assert_eq!(old.file.metadata().unwrap().len(), old.size);
    assert_eq!(prune(None, false).0.len(), 1);
    assert_eq!(names(&dir), [""; 0]);
}
