//! What tests share: made images, foreign tools that judge them, a hermetic
//! run of the program.
// Not every test binary's state of development uses all of it.
#![allow(dead_code)]

pub mod archive;
pub mod bmap;
pub mod env;
pub mod events;
pub mod ext4;
pub mod ext4_judges;
pub mod ext4_view;
pub mod gpg;
pub mod image;
pub mod list;
pub mod memory;
pub mod oracle;
pub mod plan;
pub mod releases;
pub mod server;
pub mod tls;
pub mod tree;
pub mod vendor;
pub mod xz;

use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The repository's top.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Regular files under `dir`, sorted.
pub fn files_under(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(dir) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_symlink() || path.is_file() {
            found.push(path);
        } else {
            found.extend(files_under(&path));
        }
    }
    found.sort();
    found
}
