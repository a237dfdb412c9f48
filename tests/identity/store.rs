//! The directory of secrets itself.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use piflash::identity::{HostKeys, Store, StoreErrorKind};

use crate::support::oracle;

#[test]
fn of_many_at_once_one_makes_and_all_get_it() {
    let dir = tempfile::tempdir().unwrap();
    let made = AtomicUsize::new(0);
    let barrier = Barrier::new(16);
    thread::scope(|scope| {
        let runs: Vec<_> = (0..16_u8)
            .map(|run| {
                let (made, barrier) = (&made, &barrier);
                let store = Store::new(dir.path().join("build/secrets"));
                scope.spawn(move || {
                    barrier.wait();
                    store
                        .load_or_make("nodes/n/token", || {
                            made.fetch_add(1, Ordering::SeqCst);
                            Ok(vec![run; 1000])
                        })
                        .unwrap()
                })
            })
            .collect();
        let found: Vec<Vec<u8>> =
            runs.into_iter().map(|run| run.join().unwrap()).collect();
        assert_eq!(found[0].len(), 1000);
        assert!(found.iter().all(|content| *content == found[0]));
    });
    assert_eq!(made.load(Ordering::SeqCst), 1);
}

#[test]
fn a_failed_making_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("secrets"));
    let error = store
        .load_or_make("token", || Err(StoreErrorKind::Make("no luck".into())))
        .unwrap_err();
    assert!(error.to_string().ends_with("token: cannot be made: no luck"));
    assert_eq!(store.load("token").unwrap(), None);
    assert_eq!(store.load_or_make("token", || Ok(vec![1])).unwrap(), [1]);
    assert_eq!(store.load_or_make("token", || panic!()).unwrap(), [1]);
}

#[test]
fn what_is_no_small_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let set = |path: &str, mode| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(dir.path().join(path), mode).unwrap();
    };
    set("", 0o700);
    fs::create_dir(dir.path().join("directory")).unwrap();
    let large = fs::File::create(dir.path().join("large")).unwrap();
    large.set_len((1 << 20) + 1).unwrap();
    let pipe = dir.path().join("pipe");
    oracle::run("mkfifo", &["-m", "600", pipe.to_str().unwrap()]).unwrap();
    for name in ["directory", "large", "pipe"] {
        set(name, 0o700);
        let error = store.load(name).unwrap_err();
        assert!(matches!(error.kind, StoreErrorKind::NotOurs), "{error}");
        assert!(error.hint().contains("restore"), "{}", error.hint());
    }
}

/// Hundreds of keys: numbers with leading zeros among them, which have
/// been a trap of this format.
#[test]
fn every_key_is_one_to_openssh() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("secrets"));
    for number in 0..150 {
        let node = format!("n{number}");
        let keys = HostKeys::load_or_make(&store, &node).unwrap();
        assert_eq!(HostKeys::load_or_make(&store, &node).unwrap(), keys);
        for (key, kind) in keys.iter().zip(["ed25519", "ecdsa"]) {
            let path = store.path(&format!("nodes/{node}/ssh_host_{kind}_key"));
            let path = path.to_str().unwrap();
            let said = oracle::run("ssh-keygen", &["-y", "-f", path]).unwrap();
            assert_eq!(String::from_utf8(said).unwrap().trim(), key.public());
            assert!(!format!("{key:?}").contains("PRIVATE"));
        }
    }
}
