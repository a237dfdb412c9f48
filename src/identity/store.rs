//! The directory of secrets: files that are made once and never changed.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{
        DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt,
    },
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::{Files, StoreError, StoreErrorKind};

/// No secret is larger, in bytes.
const LARGEST: u64 = 1 << 20;

/// `build/secrets/`.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
    /// Whether what is missing is an error.
    complete: bool,
}

/// A store in which no other run makes anything, until this is dropped.
#[derive(Debug)]
pub struct Locked<'s> {
    store: &'s Store,
    // Closing it frees the lock, also when the process dies.
    _lock: File,
}

impl Store {
    /// Names the directory. Nothing is read or made yet.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), complete: false }
    }

    /// Names a directory of which all must be there: nothing is ever made.
    #[must_use]
    pub fn complete(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), complete: true }
    }

    /// Returns the path of a file by its name, as `nodes/node3/token`.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Reads a file; none is there before it is made.
    ///
    /// # Errors
    /// If it cannot be read, is no small file, or if others than its owner
    /// may get at it, as ssh(1) refuses such keys.
    pub fn load(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(name);
        let at = |kind: StoreErrorKind| kind.at(&path);
        let io = |e| at(StoreErrorKind::io("read")(e));
        // Asked before it is opened: opening a pipe would wait for ever.
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(io(e)),
        };
        if !metadata.is_file() || metadata.len() > LARGEST {
            return Err(at(StoreErrorKind::NotOurs));
        }
        // Ours are 0600 in directories of 0700. Some file systems have no
        // modes, and copies lose them: either is worth a word.
        closed(&self.dir)?;
        closed(&path)?;
        let mut content = Vec::new();
        File::open(&path)
            .and_then(|f| f.take(LARGEST).read_to_end(&mut content))
            .map_err(io)?;
        Ok(Some(content))
    }

    /// Reads a file, or makes it if it is not there. Of several runs at the
    /// same time one makes it, and the others get what that one made.
    ///
    /// # Errors
    /// As [`Store::load`]; if it cannot be written; and what `make` gives.
    pub fn load_or_make(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<Vec<u8>, StoreErrorKind>,
    ) -> Result<Vec<u8>, StoreError> {
        // What is there needs no lock, so a read-only directory will do.
        if let Some(content) = self.load(name)? {
            return Ok(content);
        }
        if self.complete {
            return Err(StoreErrorKind::Missing.at(&self.path(name)));
        }
        let locked = self.lock()?;
        if let Some(content) = self.load(name)? {
            return Ok(content);
        }
        let content = make().map_err(|kind| kind.at(&self.path(name)))?;
        locked.put(name, &content)?;
        Ok(content)
    }

    /// Removes a file; returns whether there was one.
    ///
    /// # Errors
    /// If it is there and cannot be removed.
    pub(super) fn remove(&self, name: &str) -> Result<bool, StoreError> {
        let path = self.path(name);
        let removed = match fs::remove_file(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            other => other.and_then(|()| {
                let folder = path.parent().unwrap_or(&self.dir);
                File::open(folder)?.sync_all()?;
                Ok(true)
            }),
        };
        removed.map_err(|e| StoreErrorKind::io("remove")(e).at(&path))
    }

    /// Returns whether there is anything at the place of a set of files.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub(super) fn has(&self, dir: &str) -> Result<bool, StoreError> {
        let path = self.path(dir);
        match fs::symlink_metadata(&path) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(StoreErrorKind::io("read")(e).at(&path)),
        }
    }

    /// Makes the directory where it is missing, and waits until no other run
    /// has it locked.
    ///
    /// # Errors
    /// If the directory or its lock cannot be made, or nothing is to be.
    pub fn lock(&self) -> Result<Locked<'_>, StoreError> {
        if self.complete {
            return Err(StoreErrorKind::Missing.at(&self.dir));
        }
        make_dir(&self.dir)?;
        let path = self.dir.join(".lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|e| StoreErrorKind::io("open")(e).at(&path))?;
        lock.lock().map_err(|e| StoreErrorKind::io("lock")(e).at(&path))?;
        let locked = Locked { store: self, _lock: lock };
        if !self.path(".gitignore").exists() {
            locked
                .put(".gitignore", b"# Secrets: never to be committed.\n*\n")?;
        }
        Ok(locked)
    }
}

impl Locked<'_> {
    /// Writes a file that is not there yet: whole and on the disk, or not at
    /// all, and never over another.
    fn put(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        let path = self.store.path(name);
        let folder = path.parent().unwrap_or(&self.store.dir);
        make_dirs(&self.store.dir, folder)?;
        let write = || -> io::Result<()> {
            // Made with mode 0600, see `tempfile::Builder::permissions`.
            let mut file = NamedTempFile::new_in(folder)?;
            file.write_all(content)?;
            file.as_file().sync_all()?;
            file.persist_noclobber(&path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|e| StoreErrorKind::io("write")(e).at(&path))
    }

    /// Writes a set of files into the directory `dir`, which is not there
    /// yet: it appears whole and on the disk, or not at all.
    pub(super) fn put_all(
        &self,
        dir: &str,
        files: &Files,
    ) -> Result<(), StoreError> {
        let (top, path) = (&self.store.dir, self.store.path(dir));
        // What a run that was cut off has left.
        let part = format!(".{dir}.part");
        let part_path = self.store.path(&part);
        match fs::remove_dir_all(&part_path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(StoreErrorKind::io("remove")(e).at(&part_path));
            }
            _ => {}
        }
        for (name, text) in files {
            self.put(&format!("{part}/{name}"), text.reveal().as_bytes())?;
        }
        // Never over a directory that holds anything, see rename(2).
        fs::rename(&part_path, &path)
            .and_then(|()| File::open(top)?.sync_all())
            .map_err(|e| StoreErrorKind::io("write")(e).at(&path))
    }
}

/// Makes the directories from `top` to `folder` below it.
fn make_dirs(top: &Path, folder: &Path) -> Result<(), StoreError> {
    let mut dir = top.to_owned();
    for name in folder.strip_prefix(top).into_iter().flatten() {
        dir.push(name);
        make_dir(&dir)?;
    }
    Ok(())
}

/// Makes one directory for its owner alone; those above it as usual.
fn make_dir(dir: &Path) -> Result<(), StoreError> {
    let io = |e| StoreErrorKind::io("make the directory")(e).at(dir);
    if let Some(above) = dir.parent() {
        fs::create_dir_all(above).map_err(io)?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {
            let above = dir.parent().filter(|p| *p != Path::new(""));
            let above = above.unwrap_or(Path::new("."));
            File::open(above).and_then(|d| d.sync_all()).map_err(io)?;
            // Some file systems have no modes: before there is a secret.
            closed(dir)
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => closed(dir),
        Err(e) => Err(io(e)),
    }
}

/// Refuses what others than its owner may get at.
fn closed(path: &Path) -> Result<(), StoreError> {
    let metadata = fs::metadata(path)
        .map_err(|e| StoreErrorKind::io("read")(e).at(path))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.mode() & 0o077 != 0 {
        return Err(StoreErrorKind::Mode { mode }.at(path));
    }
    Ok(())
}
