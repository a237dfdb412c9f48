//! Whole inventories.

mod bad;
mod good;
mod precedence;
mod random;
mod render;

use std::{
    fs,
    path::{Path, PathBuf},
};

use piflash::inventory::{Inventory, InventoryErrors, load};
use tempfile::TempDir;

/// A directory with an inventory and what is beside it.
pub struct Lab {
    dir: TempDir,
}

impl Lab {
    /// Puts the text into `inventory.yml`.
    pub fn new(text: impl AsRef<[u8]>) -> Self {
        let lab = Self { dir: TempDir::new().unwrap() };
        lab.file("inventory.yml", text)
    }

    /// Adds a file.
    pub fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Loads it; the home directory is `home` in the lab.
    pub fn load(&self) -> Result<Inventory, InventoryErrors> {
        let home = self.dir.path().join("home");
        load(&self.dir.path().join("inventory.yml"), Some(&home))
    }

    /// Loads it, which must succeed.
    #[track_caller]
    pub fn good(&self) -> Inventory {
        match self.load() {
            Ok(inventory) => inventory,
            Err(errors) => panic!("{errors}"),
        }
    }

    /// Gives the problems, which there must be, without the directory.
    #[track_caller]
    pub fn errors(&self) -> String {
        match self.load() {
            Ok(inventory) => panic!("loads: {inventory:#?}"),
            Err(errors) => self.relative(&errors.to_string()),
        }
    }

    /// Gives the warnings without the directory.
    #[track_caller]
    pub fn warnings(&self) -> String {
        let warnings = self.good().warnings;
        let lines: Vec<String> =
            warnings.iter().map(ToString::to_string).collect();
        self.relative(&lines.join("\n"))
    }

    fn relative(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.dir.path().display()), "")
    }
}

/// Gives the problems of one inventory.
#[track_caller]
pub fn errors(text: &str) -> String {
    Lab::new(text).errors()
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
