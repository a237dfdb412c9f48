//! What a card holds of the secrets: each is for root alone, and none lies
//! on the FAT partition.

use std::fs;

use super::{ECDSA, KEY};
use crate::support::{
    env::Env, files_under, image::Case, oracle, releases::Releases, repository,
    sha256, tree,
};

/// Every file of the card whose content is one of the secrets, and every
/// trace of one anywhere on the FAT.
fn check(name: &str) {
    let case = Case::load(name);
    let env = Env::new();
    case.write(&env.work().join("base.img")).unwrap();
    let inventory = format!("tests/cases/{name}/inventory.yml");
    let inventory = fs::read_to_string(repository().join(inventory)).unwrap();
    let releases = Releases::start();
    let vars = format!("  vars:\n{}", releases.variables());
    env.write("inventory.yml", inventory.replace("  vars:\n", &vars));
    let outcome = env.run(&["build", "node3", "--image", "base.img"]);
    assert_eq!(outcome.code, Some(0), "{name}: {outcome}");

    let image = env.work().join("build/images/node3.img");
    let (boot, root) = case.offsets();
    let lines = tree::ext4(&image, root).unwrap();
    for key in [KEY, ECDSA] {
        let private = env.read(key);
        let hash = sha256(&private);
        let holding: Vec<&str> = lines
            .iter()
            .filter(|line| line.contains(&hash))
            .map(|line| line.split(&hash).next().unwrap().trim())
            .collect();
        let file = key.rsplit('/').next().unwrap();
        let len = private.len();
        let expected = [
            format!("root/etc/piflash/ssh/{file} 0600 0:0 {len}"),
            format!("root/etc/ssh/{file} 0600 0:0 {len}"),
        ];
        assert_eq!(holding, expected, "{name}");

        // Nor is it part of another file: the body of the key is nowhere
        // else on the card.
        let text = String::from_utf8(private).unwrap();
        let part = text.lines().nth(2).unwrap().as_bytes();
        // So small a file is in one block.
        let found = fs::read(&image)
            .unwrap()
            .chunks(4096)
            .filter(|block| block.iter().any(|byte| *byte != 0))
            .flat_map(|block| block.windows(part.len()))
            .filter(|bytes| *bytes == part)
            .count();
        assert_eq!(found, 2, "{name}");
    }
    let dir = "root/etc/piflash/ssh 0700 0:0";
    assert!(lines.iter().any(|line| line.starts_with(dir)), "{name}");

    let out = env.work().join("fat");
    fs::create_dir(&out).unwrap();
    oracle::mcopy_all(&image, boot, &out).unwrap();
    for file in files_under(&out) {
        let content = fs::read(&file).unwrap();
        let content = String::from_utf8_lossy(&content);
        assert!(!content.contains("PRIVATE KEY"), "{}", file.display());
    }
    // The service that would remove them is off.
    let wanted = "regenerate_ssh_host_keys.service";
    assert!(!lines.iter().any(|l| l.contains(".wants/") && l.contains(wanted)));
}

#[test]
fn secrets_of_buster() {
    check("buster");
}

#[test]
fn secrets_of_bookworm() {
    check("bookworm");
}

#[test]
fn secrets_of_trixie_with_cloud_init() {
    check("trixie-cloud-init");
}

#[test]
fn secrets_of_ubuntu() {
    check("ubuntu-24.04");
}
