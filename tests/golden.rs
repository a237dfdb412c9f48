//! One node on each release: what is planned and what it changes.
//!
//! `tests/cases/NAME/` holds the release's files (`image.yaml`), the
//! inventory, and three snapshots: `plan.snap`, what `piflash plan` prints,
//! `files.snap`, what it writes into files, and `tree.snap`, what building
//! changed in the two file systems, as others read them.

use std::{fs, path::Path};

use crate::support::{env::Env, image::Case, oracle, repository, tree};

/// One test a case, so that they run side by side.
macro_rules! cases {
    ($($test:ident: $name:literal,)*) => {
        const NAMES: &[&str] = &[$($name),*];
        $(
            #[test]
            fn $test() {
                becomes_a_node($name);
            }
        )*
    };
}

cases! {
    bookworm: "bookworm",
    bullseye: "bullseye",
    buster: "buster",
    debian: "debian",
    trixie: "trixie",
    trixie_cloud_init: "trixie-cloud-init",
    ubuntu_20_04: "ubuntu-20.04",
    ubuntu_22_04: "ubuntu-22.04",
    ubuntu_24_04: "ubuntu-24.04",
    ubuntu_25_10: "ubuntu-25.10",
}

#[test]
fn no_case_is_forgotten() {
    let mut names: Vec<String> = fs::read_dir(repository().join("tests/cases"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, NAMES);
}

fn snapshots(name: &str) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(repository().join("tests/cases").join(name));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

fn inventory(name: &str) -> Vec<u8> {
    let path =
        repository().join("tests/cases").join(name).join("inventory.yml");
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Each partition is sound to its own checker.
fn assert_sound(image: &Path, case: &Case) {
    let (boot, root) = case.offsets();
    let len = case.table().partitions[0].len;
    oracle::e2fsck(image, root).unwrap();
    oracle::fsck_vfat(image, boot, len).unwrap();
}

/// What is written into the files of this release: the same first-boot
/// files and accounts everywhere are left to others.
fn contents(plan: &str) -> String {
    let plan: serde_json::Value = serde_json::from_str(plan).unwrap();
    let mut text = String::new();
    for edit in plan["edits"].as_array().unwrap() {
        let path = edit["path"].as_str().unwrap();
        let Some(content) = edit["content"].as_str() else { continue };
        let own = ["/usr/local/", "/etc/systemd/system/"];
        if !own.iter().any(|folder| path.starts_with(folder)) {
            text += &format!("=== {path}\n{content}\n");
        }
    }
    text
}

fn becomes_a_node(name: &str) {
    let case = Case::load(name);
    let env = Env::new();
    let base = env.work().join("base.img");
    case.write(&base).unwrap();
    env.write("inventory.yml", inventory(name));
    env.known_identity();

    let plan = env.run(&["plan", "node3", "--image", "base.img"]);
    assert_eq!(plan.code, Some(0), "{name}: {plan}");
    let json = env.run(&["plan", "node3", "--image", "base.img", "--json"]);
    assert_eq!(json.code, Some(0), "{name}: {json}");
    let build = env.run(&["build", "node3", "--image", "base.img"]);
    assert_eq!(build.code, Some(0), "{name}: {build}");

    let image = env.work().join("build/images/node3.img");
    assert_sound(&image, &case);
    assert_eq!(
        oracle::sfdisk_dump(&base).unwrap().replace("base.img", ""),
        oracle::sfdisk_dump(&image)
            .unwrap()
            .replace("build/images/node3.img", "")
    );
    let (boot, root) = case.offsets();
    let before = tree::lines(&base, boot, root).unwrap();
    let after = tree::lines(&image, boot, root).unwrap();
    let changes = tree::diff(&before, &after).join("\n");
    snapshots(name).bind(|| {
        insta::assert_snapshot!("plan", plan.stdout);
        insta::assert_snapshot!("files", contents(&json.stdout));
        insta::assert_snapshot!("tree", changes);
    });
}
