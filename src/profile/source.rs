//! Where profiles and first-boot files come from: the binary itself, and a
//! directory of the user's that adds to it or replaces parts of it.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use include_dir::{Dir, include_dir};

static PROFILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/profiles");
static FIRSTBOOT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/firstboot");

/// The embedded files, and the user's own `profiles/` above them.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    user: Option<PathBuf>,
}

impl Source {
    pub(super) fn new(user: Option<&Path>) -> Self {
        Self { user: user.map(Path::to_owned) }
    }

    /// Returns the text of a file by its path below `profiles/`.
    pub(super) fn profile(&self, path: &str) -> io::Result<Option<String>> {
        if let Some(user) = &self.user {
            match fs::read_to_string(user.join(path)) {
                Ok(text) => return Ok(Some(text)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(text_of(&PROFILES, path))
    }

    /// Returns the text of a file by its path below `firstboot/`.
    pub(super) fn firstboot(path: &str) -> Option<String> {
        text_of(&FIRSTBOOT, path)
    }

    /// Returns the names, without `.yaml`, of the files in a folder of
    /// `profiles/`, sorted.
    pub(super) fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut names = BTreeSet::new();
        let mut add = |path: &Path| {
            if path.extension().is_some_and(|e| e == "yaml")
                && let Some(stem) = path.file_stem().and_then(|s| s.to_str())
            {
                names.insert(stem.to_owned());
            }
        };
        if let Some(dir) = PROFILES.get_dir(folder) {
            dir.files().for_each(|file| add(file.path()));
        }
        if let Some(user) = &self.user {
            match fs::read_dir(user.join(folder)) {
                Ok(entries) => {
                    for entry in entries {
                        add(&entry?.path());
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(names.into_iter().collect())
    }
}

fn text_of(dir: &Dir<'_>, path: &str) -> Option<String> {
    dir.get_file(path)?.contents_utf8().map(str::to_owned)
}
