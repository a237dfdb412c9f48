//! What was removed or replaced is gone: the raw image is searched.

use piflash::fs::Editor;
use tempfile::TempDir;

use super::scenario::{Scenario, base};
use crate::support::ext4::{Disk, FEATURE_SETS, NOW, meta};
use crate::support::ext4_judges::judge;

const SECRET: &[u8] = b"wpa-psk=5f9d1c3e";

/// `len` bytes of nothing but the secret.
fn secret(len: usize) -> Vec<u8> {
    SECRET.iter().copied().cycle().take(len).collect()
}

fn count(bytes: &[u8]) -> usize {
    let first = SECRET[0];
    let at = bytes.iter().enumerate().filter(|(_, byte)| **byte == first);
    at.filter(|(at, _)| bytes[*at..].starts_with(SECRET)).count()
}

fn text(len: usize) -> String {
    String::from_utf8(secret(len)).unwrap()
}

#[test]
fn nothing_is_left_of_what_was_removed_or_replaced() {
    for set in FEATURE_SETS {
        let base = base(set, Scenario::Roomy);
        let disk = Disk::new(base.get().unwrap().bytes.clone());
        let mut fs = disk.open();
        let meta = meta(0o600, 0, 0, NOW);
        fs.mkdir("/secrets", meta).unwrap();
        for (name, len) in
            [("large", 300_000), ("small", 700), ("shorter", 20_000)]
        {
            fs.write(&format!("/secrets/{name}"), &secret(len), meta).unwrap();
        }
        fs.write("/etc/replaced", &secret(9000), meta).unwrap();
        fs.symlink("/secrets/fast", &text(48), meta).unwrap();
        fs.symlink("/secrets/slow", &text(480), meta).unwrap();
        fs.write(&format!("/etc/{}", text(32)), &vec![], meta).unwrap();
        fs.commit().unwrap();
        assert!(count(&disk.bytes()) > 300_000 / SECRET.len());

        let mut fs = disk.open();
        fs.remove("/secrets/large").unwrap();
        fs.write("/secrets/shorter", &b"none".to_vec(), meta).unwrap();
        fs.commit().unwrap();
        fs.write("/etc/replaced", &vec![b'-'; 5000], meta).unwrap();
        // Never committed, and gone all the same.
        fs.write("/etc/brief", &secret(50_000), meta).unwrap();
        fs.write("/etc/brief", &b"none".to_vec(), meta).unwrap();
        fs.remove("/secrets").unwrap();
        fs.remove(&format!("/etc/{}", text(32))).unwrap();
        fs.commit().unwrap();
        let bytes = disk.bytes();
        assert_eq!(count(&bytes), 0, "{}", set.name);
        judge(&bytes, TempDir::new().unwrap().path());
    }
}

#[test]
fn attributes_of_removed_files_are_gone() {
    for set in FEATURE_SETS {
        let dir = TempDir::new().unwrap();
        let image = dir.path().join("attributes.img");
        let base = base(set, Scenario::Roomy);
        std::fs::write(&image, &base.get().unwrap().bytes).unwrap();
        let commands = [
            format!("ea_set /etc/shadow user.s {}", text(32)),
            format!("ea_set /etc/block user.l {}", text(480)),
        ];
        crate::support::ext4::debugfs(&image, true, &commands);
        let disk = Disk::new(std::fs::read(&image).unwrap());
        assert!(count(&disk.bytes()) > 30, "{}", set.name);
        let mut fs = disk.open();
        fs.remove("/etc/shadow").unwrap();
        fs.remove("/etc/block").unwrap();
        fs.commit().unwrap();
        let bytes = disk.bytes();
        assert_eq!(count(&bytes), 0, "{}", set.name);
        judge(&bytes, dir.path());
    }
}
