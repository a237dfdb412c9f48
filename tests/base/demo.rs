//! The embedded image is what its script makes, and sound.

use crate::support::{
    image::Case,
    oracle::{self, run},
    repository, sha256, tree,
};
use piflash::base::demo;
use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

const BOOT: u64 = 16384 * 512;
const ROOT: u64 = 98304 * 512;

/// The embedded image as a named file.
fn unpacked(dir: &Path) -> PathBuf {
    let mut image = demo::unpack(dir).unwrap();
    let path = dir.join("demo.img");
    io::copy(&mut image, &mut File::create(&path).unwrap()).unwrap();
    path
}

#[test]
fn unpacks_sparse_and_unnamed() {
    let dir = tempfile::tempdir().unwrap();
    let image = demo::unpack(dir.path()).unwrap();
    let metadata = image.metadata().unwrap();
    assert_eq!(metadata.len(), demo::record().unwrap().size);
    // 160 MiB, of which the tables and some hundred small files are data.
    assert!(metadata.blocks() * 512 < 8 << 20, "{} blocks", metadata.blocks());
    assert_eq!(metadata.nlink(), 0);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn is_small_enough_to_embed() {
    let packed = repository().join("images/demo/demo.img.zst");
    assert!(packed.metadata().unwrap().len() < 256 << 10);
}

#[test]
fn foreign_tools_find_it_sound() {
    let dir = tempfile::tempdir().unwrap();
    let image = unpacked(dir.path());
    oracle::e2fsck(&image, ROOT).unwrap();
    oracle::fsck_vfat(&image, BOOT, ROOT - BOOT).unwrap();
    let table = oracle::sfdisk_json(&image).unwrap();
    let table = &table["partitiontable"];
    assert_eq!(table["label"], "dos");
    assert_eq!(table["id"], "0x70693f1a");
    let partition = |n: usize, key: &str| table["partitions"][n][key].clone();
    assert_eq!(partition(0, "start"), 16384);
    assert_eq!(partition(0, "type"), "c");
    assert_eq!(partition(1, "start"), 98304);
    assert_eq!(partition(1, "type"), "83");
}

#[test]
fn holds_the_tree_that_is_beside_its_script() {
    let dir = tempfile::tempdir().unwrap();
    let image = unpacked(dir.path());
    let case = Case::load("trixie-cloud-init");
    let made = dir.path().join("made.img");
    case.write(&made).unwrap();
    let (boot, root) = case.offsets();
    let expected = tree::lines(&made, boot, root).unwrap();
    let found = tree::lines(&image, BOOT, ROOT).unwrap();
    assert_eq!(tree::diff(&expected, &found), Vec::<String>::new());
    assert!(expected.len() > 150, "{}", expected.len());
}

/// The script makes the committed image again: the same bytes with the same
/// mke2fs, the same files with any other.
#[test]
fn its_script_makes_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let script = repository().join("images/demo/build.sh");
    let mut sums = Vec::new();
    for name in ["one", "two"] {
        let out = dir.path().join(name);
        fs::create_dir(&out).unwrap();
        let output = Command::new(&script).arg(&out).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let packed = out.join("demo.img.zst");
        let packed = packed.to_str().unwrap();
        let image = run("zstd", &["-dqc", packed]).unwrap();
        sums.push(sha256(&image));
        fs::write(dir.path().join("made.img"), image).unwrap();
    }
    assert_eq!(sums[0], sums[1], "two runs gave different bytes");

    let committed = demo::record().unwrap();
    let record = fs::read_to_string(dir.path().join("two/demo.yaml")).unwrap();
    let made: demo::DemoRecord = serde_saphyr::from_str(&record).unwrap();
    assert_eq!(made.sha256, sums[1]);
    if made.mke2fs == committed.mke2fs {
        assert_eq!(made, committed, "run images/demo/build.sh and commit");
        return;
    }
    let image = unpacked(dir.path());
    let expected = tree::lines(&image, BOOT, ROOT).unwrap();
    let found = tree::lines(&dir.path().join("made.img"), BOOT, ROOT).unwrap();
    assert_eq!(tree::diff(&expected, &found), Vec::<String>::new());
}
