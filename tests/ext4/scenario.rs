//! Images to begin with: a small root tree on every feature set, roomy,
//! nearly full, fragmented, or short of inodes.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::support::ext4::{
    FeatureSet, debugfs, e2fsck_clean, e2fsck_index, mke2fs, noise, run_ok,
};
use crate::support::ext4_judges::{
    Tree, View, assert_same, debugfs_view, ext4_view, without_xattrs,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scenario {
    Roomy,
    NearlyFull,
    Fragmented,
    FewInodes,
}

/// An image and what debugfs reads in it.
pub struct Base {
    pub bytes: Vec<u8>,
    pub view: View,
}

/// Names of a directory that takes several blocks, some with high bytes
/// (hashes depend on whether `char` is signed).
pub fn index_name(number: usize) -> String {
    let umlaut = if number.is_multiple_of(3) { "ä" } else { "-" };
    format!("entry{umlaut}{number:05}")
}

fn put(path: &Path, content: &[u8], mode: u32, time: u64) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time);
    let file = fs::File::options().write(true).open(path);
    if let Ok(file) = file {
        file.set_modified(time).unwrap();
    }
}

/// Lays out the tree that mke2fs copies.
pub fn build_tree(root: &Path, index_entries: usize, fragments: usize) {
    for dir in
        ["etc/ssl/certs", "usr/local/bin", "var/lib/rancher", "index", "frag"]
    {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    put(
        &root.join("etc/hosts"),
        b"127.0.0.1 localhost\n",
        0o644,
        1_700_000_000,
    );
    put(&root.join("etc/hostname"), b"raspberrypi\n", 0o644, 1_700_000_001);
    put(&root.join("etc/empty"), b"", 0o600, 1_700_000_002);
    put(&root.join("etc/shadow"), b"root:*:\n", 0o640, 1_700_000_003);
    put(&root.join("etc/block"), &noise(4096, 1), 0o644, 1_700_000_004);
    put(&root.join("usr/local/bin/tool"), &noise(300_001, 2), 0o4755, 1);
    put(&root.join("var/big"), &noise(1_500_000, 3), 0o644, 1_900_000_000);
    fs::hard_link(root.join("etc/hosts"), root.join("etc/hosts.link")).unwrap();
    fs::hard_link(root.join("var/big"), root.join("var/big.link")).unwrap();
    symlink("hosts", root.join("etc/fast")).unwrap();
    symlink("x".repeat(59), root.join("etc/longest-fast")).unwrap();
    symlink("y".repeat(60), root.join("etc/shortest-slow")).unwrap();
    symlink("z/".repeat(200), root.join("etc/slow")).unwrap();
    symlink("usr/local", root.join("local")).unwrap();
    for number in 0..index_entries {
        let path = root.join("index").join(index_name(number));
        put(&path, b"", 0o644, 1_600_000_000);
    }
    for number in 0..fragments {
        let path = root.join("frag").join(format!("f{number:04}"));
        put(&path, &noise(8192, number as u64), 0o644, 1_600_000_000);
    }
}

fn header(image: &Path, field: &str) -> u64 {
    let text = run_ok("dumpe2fs", &["-h", image.to_str().unwrap()]);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap_or_else(|| panic!("no {field} in\n{text}"));
    line.trim().parse().unwrap()
}

fn make(set: FeatureSet, scenario: Scenario) -> Base {
    let dir = TempDir::new().unwrap();
    let (tree, image) = (dir.path().join("tree"), dir.path().join("base.img"));
    let fragments = if scenario == Scenario::Fragmented { 700 } else { 0 };
    let small = set.name == "1k" || set.name.contains("128");
    let index_entries = if small { 150 } else { 300 };
    build_tree(&tree, index_entries, fragments);
    // lost+found, ten reserved inodes, an orphan file, and what is below.
    let inodes = format!("-N{}", index_entries + 48);
    let mut more = vec!["-Jsize=4"];
    if scenario == Scenario::FewInodes {
        more.push(&inodes);
    } else {
        more.push("-N4096");
    }
    mke2fs(&image, 16, set, &more, Some(&tree));
    let mut commands = vec![
        "ea_set /etc/hosts user.small value".to_owned(),
        format!("ea_set /etc/hostname user.large {}", "v".repeat(400)),
        format!("ea_set /usr/local/bin/tool user.large {}", "w".repeat(300)),
        "fallocate /var/unwritten 0 9".to_owned(),
    ];
    commands.insert(3, "write /dev/null /var/unwritten".to_owned());
    commands.push("set_inode_field /var/unwritten size 5000".to_owned());
    for number in (0..fragments).filter(|number| number % 2 == 1) {
        commands.push(format!("rm /frag/f{number:04}"));
    }
    debugfs(&image, true, &commands);
    e2fsck_index(&image);
    if scenario == Scenario::NearlyFull {
        let free = header(&image, "Free blocks:");
        let size = header(&image, "Block size:");
        let left = 50_000 / size + 12;
        let filler = dir.path().join("filler");
        let len = free.saturating_sub(left) * size;
        fs::write(&filler, vec![0x5A; usize::try_from(len).unwrap()]).unwrap();
        let source = filler.to_str().unwrap();
        debugfs(&image, true, &[format!("write {source} /filler")]);
    }
    e2fsck_clean(&image);
    if !set.options.iter().any(|option| option.contains("^dir_index")) {
        let dump = debugfs(&image, false, &["htree_dump /index".to_owned()]);
        assert!(dump.contains("Root node dump"), "no index: {dump}");
    }
    let view = debugfs_view(&image);
    let bytes = fs::read(&image).unwrap();
    compare_ext4_view(bytes.clone(), &view.tree, set);
    Base { bytes, view }
}

/// Compares with ext4-view, but for the files it misreads: unwritten
/// extents, and what it does not support at all.
pub fn compare_ext4_view(bytes: Vec<u8>, expected: &Tree, set: FeatureSet) {
    // It calls 128-byte inodes truncated, and wants `filetype`.
    if ["128-byte-inodes", "old-habits"].contains(&set.name) {
        return;
    }
    let mut found = ext4_view(bytes);
    let mut expected = without_xattrs(expected);
    // ext4-view shows the bytes of unwritten extents; debugfs and the
    // kernel read zeros.
    for tree in [&mut found, &mut expected] {
        tree.remove("/var/unwritten");
    }
    assert_same(&format!("ext4-view ({})", set.name), &found, &expected);
}

type Cache = Mutex<HashMap<(FeatureSet, Scenario), Arc<OnceLock<Base>>>>;

/// Returns the base image, made once per run.
pub fn base(set: FeatureSet, scenario: Scenario) -> Arc<OnceLock<Base>> {
    static CACHE: OnceLock<Cache> = OnceLock::new();
    let cell = {
        let mut cache = CACHE.get_or_init(Cache::default).lock().unwrap();
        Arc::clone(cache.entry((set, scenario)).or_default())
    };
    cell.get_or_init(|| make(set, scenario));
    cell
}
