use super::support::{PATH, Setup, chain, names};
use piflash::{
    base::{
        cache::{Cache, Prune},
        digest::Sha256,
        signature::Verification,
    },
    progress::Silent,
};
use std::{
    fs,
    os::unix::fs::{FileExt, MetadataExt},
    path::PathBuf,
    time::Duration,
};

#[test]
fn what_was_cached_is_recorded() {
    let setup = Setup::new();
    let cached = setup.get_image();
    let entries = setup.cache.list().unwrap();
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!(entry.url, setup.wanted.url);
    assert_eq!(entry.image_sha256, Sha256::of(&setup.image));
    assert_eq!(entry.download_sha256, Sha256::of(&setup.packed));
    assert_eq!(entry.image_size, setup.image.len() as u64);
    assert_eq!(entry.download_size, setup.packed.len() as u64);
    assert_eq!(entry.verified, Verification::PinnedHash);
    let age = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs()
        .checked_sub(entry.fetched);
    assert!(age.is_some_and(|age| age < 60));
    let text = fs::read_to_string(cached.path.with_extension("json")).unwrap();
    assert!(text.contains("\"by\": \"pinned-hash\""), "{text}");
    // Sparse: the 2.7 MiB of zeros take no room.
    let blocks = cached.file.file().metadata().unwrap().blocks();
    assert!(blocks * 512 < 2 << 20, "{blocks}");
    assert_eq!(setup.cache.verify(&Silent).unwrap(), []);
}

#[test]
fn an_entry_is_found_by_whatever_is_known() {
    let mut setup = Setup::new();
    setup.get_image();
    setup.options.offline = true;
    let full = setup.wanted.clone();
    setup.wanted.image_sha256 = None;
    assert!(setup.get_image().hit);
    setup.wanted.download_sha256 = None;
    // By its URL alone: it was verified when it came.
    assert_eq!(setup.get_image().verified, Verification::PinnedHash);
    setup.wanted = full.clone();
    setup.wanted.url = "http://mirror.invalid/other".to_owned();
    assert!(setup.get_image().hit);
    setup.wanted.image_sha256 = Some(Sha256::of(b"other"));
    let error = setup.get().unwrap_err().to_string();
    assert!(error.contains("not in the cache"), "{error}");
    assert!(error.contains("http://mirror.invalid/other"), "{error}");
    assert_eq!(setup.server.requests().len(), 1);
}

#[test]
fn offline_touches_nothing() {
    let mut setup = Setup::new();
    setup.options.offline = true;
    let error = setup.get().unwrap_err();
    assert!(error.to_string().contains("--offline"), "{error}");
    assert!(error.hint().contains("without --offline"));
    assert!(!setup.cache.dir().exists());
    assert_eq!(setup.server.requests().len(), 0);
}

#[test]
fn nothing_unverified_without_saying_so() {
    let mut setup = Setup::new();
    setup.unpinned();
    setup.options.insecure = false;
    let error = setup.refused();
    assert!(error.contains("cannot be verified"), "{error}");
    assert_eq!(setup.server.requests().len(), 0);
    setup.options.insecure = true;
    assert_eq!(setup.get_image().verified, Verification::None);
    assert!(setup.get_image().hit);
    // Nor when it is in the cache already.
    setup.options.insecure = false;
    let error = setup.get().unwrap_err().to_string();
    assert!(error.contains("cannot be verified"), "{error}");
    // A digest that became known is as good as one known before.
    setup.wanted.image_sha256 = Some(Sha256::of(&setup.image));
    let cached = setup.get_image();
    assert!(cached.hit);
    assert_eq!(cached.verified, Verification::PinnedHash);
    assert_eq!(setup.server.requests().len(), 1);
}

/// Each kind of damage to a cached image.
#[test]
fn damage_is_found_and_repaired() {
    let setup = Setup::new();
    let path = setup.get_image().path;
    let open = || fs::OpenOptions::new().write(true).open(&path).unwrap();
    let record = path.with_extension("json");
    let damages: [(&str, &dyn Fn()); 6] = [
        ("changed", &|| open().write_all_at(b"?", 5).unwrap()),
        ("longer", &|| {
            let size = setup.image.len() as u64;
            open().set_len(size + 1).unwrap();
        }),
        ("empty", &|| open().set_len(0).unwrap()),
        ("gone", &|| fs::remove_file(&path).unwrap()),
        ("without a record", &|| fs::remove_file(&record).unwrap()),
        ("with a bad record", &|| fs::write(&record, "{").unwrap()),
    ];
    for (name, damage) in damages {
        setup.server.requests();
        damage();
        let cached = setup.get_image();
        assert!(!cached.hit, "{name}");
        assert_eq!(setup.server.requests().len(), 1, "{name}");
    }
}

#[test]
fn damage_is_told_offline() {
    let mut setup = Setup::new();
    let path = setup.get_image().path;
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"?", 5).unwrap();
    setup.options.offline = true;
    let error = chain(&setup.get().unwrap_err());
    assert!(error.contains("is damaged"), "{error}");
    assert!(error.contains(&path.display().to_string()), "{error}");
    let damaged = setup.cache.verify(&Silent).unwrap();
    assert_eq!(damaged.len(), 1);
    assert_eq!(damaged[0].image_sha256, Sha256::of(&setup.image));
}

/// Copied or touched: read once more, not downloaded once more.
#[test]
fn another_time_of_change_is_looked_into() {
    let setup = Setup::new();
    let path = setup.get_image().path;
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert!(setup.get_image().hit);
    assert_eq!(setup.cache.list().unwrap()[0].mtime, (0, 0));
    assert!(setup.get_image().hit);
    assert_eq!(setup.server.requests().len(), 1);
}

/// Only the full check sees a change that hides its time.
#[test]
fn verify_reads_everything() {
    let setup = Setup::new();
    let path = setup.get_image().path;
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    file.write_all_at(b"?", 5).unwrap();
    file.set_modified(time).unwrap();
    assert_eq!(setup.cache.verify(&Silent).unwrap().len(), 1);
}

#[test]
fn prune_removes_what_it_should() {
    let mut setup = Setup::new();
    let cached = setup.get_image();
    let day = Duration::from_secs(86400);
    let young = Prune { older_than: Some(day), dry_run: false };
    let pruned = setup.cache.prune(&young).unwrap();
    assert_eq!(pruned.entries, []);
    assert_eq!(setup.images().len(), 2);

    // What a broken run left, and one under way.
    let partial = setup.cache.dir().join("partial");
    let locks = setup.cache.dir().join("locks");
    for name in ["url-1.part", "url-1.part.json", "url-1.img", "url-2.part"] {
        fs::write(partial.join(name), "x").unwrap();
    }
    let busy = fs::File::create(locks.join("url-2.lock")).unwrap();
    busy.lock().unwrap();
    let all = Prune { older_than: None, dry_run: true };
    let would = setup.cache.prune(&all).unwrap();
    assert_eq!((would.entries.len(), would.leftovers), (1, 3));
    assert!(would.freed >= 1 << 20);
    assert_eq!(setup.images().len(), 2);
    let all = Prune { dry_run: false, ..all };
    assert_eq!(setup.cache.prune(&all).unwrap(), would);
    assert_eq!(setup.images(), [""; 0]);
    assert_eq!(names(&partial), ["url-2.part"]);
    // Whoever has it open keeps it.
    let mut start = vec![0; 4096];
    cached.file.file().read_exact_at(&mut start, 0).unwrap();
    assert!(setup.image.starts_with(&start));
    fs::remove_file(partial.join("url-2.part")).unwrap();
    setup.options.insecure = false;
    setup.server.change(PATH, |_| {});
    setup.get_image();
}

#[test]
fn the_usual_directory() {
    let usual = |list: &[(&str, &str)]| {
        Cache::usual_dir(|name| {
            let found = list.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| PathBuf::from(value))
        })
    };
    let dir = |text: &str| Some(PathBuf::from(text));
    let (home, xdg) = (("HOME", "/home/me"), ("XDG_CACHE_HOME", "/var/x"));
    assert_eq!(usual(&[home]), dir("/home/me/.cache/piflash"));
    assert_eq!(usual(&[home, xdg]), dir("/var/x/piflash"));
    let own = ("PIFLASH_CACHE", "mine");
    assert_eq!(usual(&[home, xdg, own]), dir("mine"));
    let relative = ("XDG_CACHE_HOME", "x");
    assert_eq!(usual(&[home, relative]), dir("/home/me/.cache/piflash"));
    assert_eq!(usual(&[]), None);
}
