use super::support::{BUILD_TIME, Judged, META, bytes, mcopy, mkfs, open};
use piflash::{
    disk::{Memory, Overlay, Zeros},
    fs::{Editor, Fat, FileKind, FsErrorKind, Reader},
};
use proptest::prelude::*;
use std::{collections::BTreeMap, sync::Arc};

/// FAT type, sectors per cluster, size in KiB.
const VOLUMES: [(u32, u32, u64); 6] = [
    (12, 1, 1440),
    (12, 8, 8192),
    (16, 1, 8192),
    (16, 4, 16384),
    (32, 1, 36_000),
    (32, 4, 150_000),
];

const NAMES: [&str; 14] = [
    "cmdline.txt",
    "CMDLINE.TXT",
    "config.txt",
    "overlays",
    "Overlays",
    "user-data",
    "network-config",
    "a.b.c.d",
    ".hidden",
    "with space.and dot.txt",
    "gr\u{f6}\u{df}e.txt",
    "KERNEL8.IMG",
    "exactly-13-ch",
    "a-very-long-name-that-takes-many-directory-entries-and-goes-on-\
     for-quite-a-while-so-that-directories-have-to-grow.configuration",
];

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<usize>, usize, u8),
    Mkdir(Vec<usize>),
    Remove(Vec<usize>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let path = prop::collection::vec(0..NAMES.len(), 1..3);
    let size =
        prop_oneof![Just(0usize), Just(512), Just(2048), 1usize..20_000,];
    let step = prop_oneof![
        5 => (path.clone(), size, any::<u8>())
            .prop_map(|(p, s, b)| Step::Write(p, s, b)),
        3 => path.clone().prop_map(Step::Mkdir),
        2 => path.prop_map(Step::Remove),
    ];
    prop::collection::vec(step, 1..40)
}

/// What a volume should hold: keys in upper case, then the stored name.
type Model = BTreeMap<String, (String, Option<Vec<u8>>)>;

fn upper(path: &str) -> String {
    path.to_uppercase()
}

fn apply(model: &mut Model, fat: &mut Fat<Arc<Memory>>, step: &Step) {
    let path_of = |names: &[usize]| -> String {
        names.iter().map(|n| format!("/{}", NAMES[*n])).collect()
    };
    let (Step::Write(names, ..) | Step::Mkdir(names) | Step::Remove(names)) =
        step;
    let path = path_of(names);
    let parent = path_of(&names[..names.len() - 1]);
    let stored_parent = match model.get(&upper(&parent)) {
        _ if parent.is_empty() => Some(String::new()),
        Some((name, None)) => Some(name.clone()),
        _ => None,
    };
    let old = model.get(&upper(&path)).cloned();
    let stored = || {
        let leaf = NAMES[names[names.len() - 1]];
        format!("{}/{leaf}", stored_parent.clone().unwrap_or_default())
    };
    match step {
        Step::Write(_, size, byte) => {
            let content: Vec<u8> =
                (0..*size).map(|i| (i / 7) as u8 ^ byte).collect();
            let done = fat.write(&path, &content, META);
            match (&stored_parent, old) {
                (None, _) => {
                    assert!(done.is_err(), "{path}");
                }
                (_, Some((_, None))) => assert!(matches!(
                    done.unwrap_err().kind,
                    FsErrorKind::WrongKind(_)
                )),
                (_, Some((name, Some(_)))) => {
                    done.unwrap();
                    model.insert(upper(&path), (name, Some(content)));
                }
                (_, None) => {
                    done.unwrap();
                    model.insert(upper(&path), (stored(), Some(content)));
                }
            }
        }
        Step::Mkdir(_) => {
            let done = fat.mkdir(&path, META);
            match (&stored_parent, old) {
                (None, _) | (_, Some((_, Some(_)))) => {
                    assert!(done.is_err(), "{path}");
                }
                (_, Some((_, None))) => done.unwrap(),
                (_, None) => {
                    done.unwrap();
                    model.insert(upper(&path), (stored(), None));
                }
            }
        }
        Step::Remove(_) => {
            fat.remove(&path).unwrap();
            let key = upper(&path);
            let below = format!("{key}/");
            model.retain(|k, _| *k != key && !k.starts_with(&below));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PIFLASH_FAT_CASES")
            .ok()
            .and_then(|n| n.parse().ok())
            .unwrap_or(40),
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_edits_leave_a_clean_volume(
        which in 0..VOLUMES.len(),
        steps in steps(),
    ) {
        let (bits, per_cluster, kib) = VOLUMES[which];
        let untouched: Vec<u8> = (0..3000u32).map(|i| i as u8).collect();
        let volume = mkfs(bits, per_cluster, kib);
        let volume = mcopy(&volume, "/start4.elf", &untouched);
        let volume = mcopy(&volume, "/cmdline.txt", b"console=tty1\n");
        let mut results = Vec::new();
        let mut model = Model::new();
        for _ in 0..2 {
            let (memory, mut fat) = open(volume.clone());
            let name = "/cmdline.txt".to_owned();
            model = Model::new();
            model.insert(
                upper(&name),
                (name, Some(b"console=tty1\n".to_vec())),
            );
            let name = "/start4.elf".to_owned();
            model.insert(upper(&name), (name, Some(untouched.clone())));
            for step in &steps {
                apply(&mut model, &mut fat, step);
            }
            prop_assert!(bytes(&*memory) == volume, "written before commit");
            fat.commit().unwrap();
            for (name, content) in model.values() {
                let stat = fat.stat(name).unwrap().unwrap();
                match content {
                    None => prop_assert_eq!(stat.kind, FileKind::Directory),
                    Some(content) => {
                        prop_assert_eq!(stat.size, content.len() as u64);
                        prop_assert!(fat.read(name).unwrap() == *content);
                    }
                }
            }
            results.push(bytes(&*memory));
        }
        prop_assert!(results[0] == results[1], "not deterministic");
        let judged = Judged::clean(&results[0]);
        let mut names: Vec<_> =
            model.values().map(|(name, _)| name.clone()).collect();
        names.sort();
        prop_assert_eq!(judged.list(), names);
        for (name, content) in model.values() {
            if let Some(content) = content {
                prop_assert!(judged.read(name) == *content, "{}", name);
            }
        }
    }
}

#[test]
fn the_stored_name_and_fixed_times_stay() {
    let volume = mcopy(&mkfs(32, 1, 36_000), "/CmdLine.txt", b"old\n");
    let (memory, mut fat) = open(volume);
    fat.write("/cmdline.TXT", &b"new".to_vec(), META).unwrap();
    fat.mkdir("/new directory", META).unwrap();
    fat.commit().unwrap();
    let names: Vec<_> =
        fat.read_dir("/").unwrap().into_iter().map(|e| e.name).collect();
    assert_eq!(names, ["CmdLine.txt", "new directory"]);
    let stat = fat.stat("/CMDLINE.txt").unwrap().unwrap();
    assert_eq!(stat.meta.mtime, BUILD_TIME);
    let judged = Judged::clean(&bytes(&*memory));
    let listing = judged.mdir("/");
    assert!(listing.contains("2025-06-18   3:07"), "{listing}");
    assert_eq!(judged.read("/CmdLine.txt"), b"new");
    let dots = judged.mdir("/new directory");
    assert!(dots.contains("..           <DIR>     2025-06-18"), "{dots}");
}

/// Writes junk to all clusters of a fresh volume but FAT32's root directory.
fn fill_free_clusters(volume: &mut [u8]) {
    let word = |at: usize| {
        usize::from(u16::from_le_bytes([volume[at], volume[at + 1]]))
    };
    let (entries, mut fat) = (word(17), word(22));
    let mut root = 0;
    if fat == 0 {
        fat = word(36);
        root = usize::from(volume[13]) * 512;
    }
    let data = (word(14) + 2 * fat) * 512 + entries * 32 + root;
    volume[data..].fill(b'J');
}

/// More entries than a cluster holds, where old data lies: `fatfs` alone
/// lets it come to life in FAT32's root directory.
#[test]
fn directories_grow_into_dirty_clusters() {
    for (bits, per_cluster, kib) in VOLUMES {
        let mut volume = mkfs(bits, per_cluster, kib);
        fill_free_clusters(&mut volume);
        let (memory, mut fat) = open(volume);
        fat.mkdir("/sub", META).unwrap();
        let many = if bits == 32 { 120 } else { 60 };
        for i in 0..many {
            let content = vec![i as u8; 10];
            for dir in ["", "/sub"] {
                let name = format!("{dir}/network-config-{i}");
                fat.write(&name, &content, META).unwrap();
            }
        }
        for i in 0..5 {
            fat.mkdir(&format!("/sub/directory-{i}"), META).unwrap();
            fat.mkdir(&format!("/directory-{i}"), META).unwrap();
        }
        fat.commit().unwrap();
        let judged = Judged::clean(&bytes(&*memory));
        assert_eq!(judged.list().len(), 1 + 2 * many + 10, "FAT{bits}");
        assert_eq!(judged.read("/network-config-7"), [7; 10]);
        assert_eq!(judged.read("/sub/network-config-8"), [8; 10]);
    }
}

#[test]
fn a_full_volume_is_named_before_anything_is_written() {
    for (bits, per_cluster, kib) in VOLUMES {
        let volume = mkfs(bits, per_cluster, kib);
        let cluster = u64::from(per_cluster) * 512;
        let (memory, mut fat) = open(volume.clone());
        let error = fat.write("/big", &Zeros(kib * 1024), META).unwrap_err();
        let FsErrorKind::NoSpace { what: "bytes", needed, available } =
            error.kind
        else {
            panic!("{error}");
        };
        assert_eq!(needed, (kib * 1024).next_multiple_of(cluster));
        assert!(available < needed && available > kib * 900);
        fat.commit().unwrap();
        assert!(bytes(&*memory) == volume, "FAT{bits} was changed");
        // To the last cluster, and not one more.
        fat.write("/big", &Zeros(available), META).unwrap();
        fat.write("/empty", &Zeros(0), META).unwrap();
        let full = fat.write("/more", &Zeros(1), META).unwrap_err();
        assert!(
            matches!(full.kind, FsErrorKind::NoSpace { available: 0, .. }),
            "{full}"
        );
        assert!(fat.mkdir("/dir", META).is_err());
        fat.write("/BIG", &Zeros(available - 1), META).unwrap();
        fat.commit().unwrap();
        Judged::clean(&bytes(&*memory));
        fat.remove("/big").unwrap();
        fat.write("/more", &Zeros(available), META).unwrap();
        fat.commit().unwrap();
        let judged = Judged::clean(&bytes(&*memory));
        assert_eq!(judged.list(), ["/empty", "/more"]);
    }
}

#[test]
fn a_fixed_root_directory_can_be_full() {
    let (memory, mut fat) = open(mkfs(12, 1, 1440));
    let mut made = 0;
    let error = loop {
        match fat.write(&format!("/file-{made}.text"), &Zeros(0), META) {
            Ok(()) => made += 1,
            Err(error) => break error,
        }
    };
    let FsErrorKind::NoSpace { what, .. } = error.kind else {
        panic!("{error}");
    };
    assert_eq!(what, "directory entries");
    fat.commit().unwrap();
    assert_eq!(Judged::clean(&bytes(&*memory)).list().len(), made);
}

#[test]
fn refuses_what_fat_cannot_hold() {
    let (_, mut fat) = open(mkfs(16, 4, 16_384));
    fat.mkdir("/d", META).unwrap();
    fat.write("/f", &Zeros(3), META).unwrap();
    for bad in ["/a:b", "/a\u{7}", "/dot.", "/space ", "/a\\b", "/d/\u{1f980}"]
    {
        let error = fat.write(bad, &Zeros(1), META).unwrap_err();
        assert!(matches!(error.kind, FsErrorKind::BadPath(_)), "{error}");
        assert_eq!(error.path.as_deref(), Some(bad));
    }
    let long = format!("/{}", "x".repeat(256));
    assert!(fat.mkdir(&long, META).is_err());
    fat.mkdir(&long[..256], META).unwrap();
    for bad in ["relative", "/d/../f", "/./f"] {
        let error = fat.read(bad).unwrap_err();
        assert!(matches!(error.kind, FsErrorKind::BadPath(_)), "{error}");
    }
    let kind = |error: piflash::fs::FsError| error.kind;
    assert!(matches!(
        kind(fat.symlink("/l", "f", META).unwrap_err()),
        FsErrorKind::Unsupported(_)
    ));
    assert!(matches!(
        kind(fat.write("/none/x", &Zeros(1), META).unwrap_err()),
        FsErrorKind::NotFound
    ));
    assert!(matches!(
        kind(fat.write("/f/x", &Zeros(1), META).unwrap_err()),
        FsErrorKind::WrongKind(_)
    ));
    assert!(matches!(
        kind(fat.write("/d", &Zeros(1), META).unwrap_err()),
        FsErrorKind::WrongKind(_)
    ));
    assert!(matches!(
        kind(fat.read("/d").unwrap_err()),
        FsErrorKind::WrongKind(_)
    ));
    assert!(matches!(
        kind(fat.write("/huge", &Zeros(1 << 32), META).unwrap_err()),
        FsErrorKind::Unsupported(_)
    ));
    assert!(fat.stat("/f/x").unwrap().is_none());
    fat.remove("/nothing").unwrap();
    assert!(fat.remove("/").is_err());
}

/// A small edit changes few blocks of the image.
#[test]
fn unchanged_sectors_stay_unchanged() {
    let base = mcopy(&mkfs(32, 1, 100_000), "/cmdline.txt", b"console=a\n");
    let base: Arc<dyn piflash::disk::ReadAt> = Arc::new(base);
    let overlay = Arc::new(Overlay::new(base));
    let mut fat = Fat::open(overlay.clone(), BUILD_TIME).unwrap();
    fat.write("/cmdline.txt", &b"console=b\n".to_vec(), META).unwrap();
    fat.commit().unwrap();
    let changed: u64 =
        overlay.changed().unwrap().iter().map(|(_, len)| len).sum();
    // Its cluster and its directory entry.
    assert!(changed <= 8192, "{changed}");
    fat.write("/new.txt", &b"x".to_vec(), META).unwrap();
    fat.commit().unwrap();
    let changed: u64 =
        overlay.changed().unwrap().iter().map(|(_, len)| len).sum();
    assert!(changed <= 6 * 4096, "{changed}");
}

/// Run with `--ignored --nocapture` for figures.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stderr, reason = "the figures")]
fn measure_small_writes_on_a_large_volume() {
    let volume = mkfs(32, 1, 512 << 10);
    let volume = mcopy(&volume, "/kernel8.img", &vec![1; 60 << 20]);
    let (_, mut fat) = open(volume);
    let start = std::time::Instant::now();
    for i in 0..10 {
        fat.write(&format!("/small-{i}.txt"), &Zeros(700), META).unwrap();
        eprintln!("{i}: {:?}", start.elapsed());
    }
    fat.commit().unwrap();
    eprintln!("10 small writes: {:?}", start.elapsed());
    let start = std::time::Instant::now();
    assert_eq!(fat.read("/kernel8.img").unwrap().len(), 60 << 20);
    eprintln!("60 MiB read: {:?}", start.elapsed());
    let start = std::time::Instant::now();
    fat.write("/initramfs8", &vec![2; 10 << 20], META).unwrap();
    fat.commit().unwrap();
    eprintln!("10 MiB written: {:?}", start.elapsed());
}

/// What was removed or replaced is not in the raw volume any more: neither
/// in free clusters nor behind the end of what replaced it.
#[test]
fn nothing_is_left_of_what_was_removed_or_replaced() {
    const SECRET: &[u8] = b"wpa-psk=5f9d1c3e";
    let secret = |len: usize| -> Vec<u8> {
        SECRET.iter().copied().cycle().take(len).collect()
    };
    let count = |bytes: &[u8]| {
        let parts = bytes.windows(SECRET.len());
        parts.filter(|part| *part == SECRET).count()
    };
    for (bits, per_cluster, kib) in
        [(12, 4, 2048), (16, 2, 16_384), (32, 1, 40_000)]
    {
        let (memory, mut fat) = open(mkfs(bits, per_cluster, kib));
        fat.mkdir("/dir", META).unwrap();
        for path in ["/dir/a.txt", "/dir/b.txt", "/shorter.txt", "/tail.txt"] {
            fat.write(path, &secret(9000), META).unwrap();
        }
        fat.commit().unwrap();
        assert!(count(&bytes(&memory)) > 4 * 500);
        fat.write("/shorter.txt", &b"none".to_vec(), META).unwrap();
        fat.write("/tail.txt", &vec![b'-'; 8900], META).unwrap();
        fat.remove("/dir").unwrap();
        fat.commit().unwrap();
        let left = bytes(&memory);
        assert_eq!(count(&left), 0, "FAT{bits}");
        let judged = Judged::clean(&left);
        assert_eq!(judged.read("shorter.txt"), b"none");
        assert_eq!(judged.read("tail.txt"), vec![b'-'; 8900]);
    }
}
