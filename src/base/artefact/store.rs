//! The files in the cache, and how one is found again.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::{
    Artefact, ArtefactError, ArtefactErrorKind as Kind, NotOfForm, fill, form,
};
use crate::{
    base::{
        FileError,
        cache::Cache,
        digest::Sha256,
        fetch::{FetchOptions, redacted},
        whole,
    },
    progress::Progress,
};

/// The artefacts in a cache, shared by any number of runs.
#[derive(Clone, Debug)]
pub struct Store {
    /// The cache's directory.
    pub(super) dir: PathBuf,
}

/// An artefact, open. It stays readable when the cache is pruned.
#[derive(Clone, Debug)]
pub struct ArtefactFile {
    /// As `k3s-arm64`.
    pub name: String,
    /// Its release, where it has one.
    pub version: Option<String>,
    /// Where it came from, without secrets.
    pub url: String,
    /// Its digest.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
    /// Where it is in the cache.
    pub path: PathBuf,
    /// The file.
    pub file: Arc<File>,
    /// Whether it was there already.
    pub hit: bool,
}

impl ArtefactFile {
    /// Reads it as a text, as a manifest or a key.
    ///
    /// # Errors
    ///
    /// It cannot be read, is no UTF-8 or larger than 1 MiB.
    pub fn text(&self) -> io::Result<String> {
        let not_text = |error: NotOfForm| {
            io::Error::new(io::ErrorKind::InvalidData, error)
        };
        form::text(&self.file)?.map_err(not_text)
    }
}

/// What is written down of the file behind a URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    format: u32,
    /// Without secrets.
    pub(super) url: String,
    pub(super) sha256: Sha256,
    /// When it was downloaded, in seconds since 1970.
    pub(super) fetched: u64,
}

const FORMAT: u32 = 1;

impl Store {
    /// Takes the artefacts of a cache.
    #[must_use]
    pub fn of(cache: &Cache) -> Self {
        Self { dir: cache.dir().to_owned() }
    }

    /// Returns an artefact from the cache, or downloads and checks it. Of
    /// several runs that want the same, one does that and the others wait.
    ///
    /// `pin` is the digest that it had before: a file in the cache that has
    /// it needs no network. It does not bind a download, whose digest the
    /// caller is to compare.
    ///
    /// # Errors
    ///
    /// See [`ArtefactErrorKind`](super::ArtefactErrorKind). What arrived
    /// stays for the next try, unless it is wrong.
    pub fn get(
        &self,
        artefact: &Artefact,
        pin: Option<Sha256>,
        options: &FetchOptions,
        progress: &dyn Progress,
    ) -> Result<ArtefactFile, ArtefactError> {
        let look = || self.find(artefact, pin, options.offline, progress);
        let fail = |kind| artefact.error(kind);
        match look().map_err(fail)? {
            Found::Intact(file) => return Ok(*file),
            Found::Damaged(path) if options.offline => {
                return Err(fail(Kind::Damaged { path }));
            }
            Found::Nothing if options.offline => {
                return Err(fail(Kind::Offline));
            }
            Found::Damaged(_) | Found::Nothing => {}
        }
        let _lock = self.lock(artefact, progress).map_err(fail)?;
        // Another run may have been faster.
        match look().map_err(fail)? {
            Found::Intact(file) => Ok(*file),
            _ => fill::fill(self, artefact, options, progress).map_err(fail),
        }
    }

    /// Looks for an artefact by what is known of its digest.
    fn find(
        &self,
        artefact: &Artefact,
        pin: Option<Sha256>,
        offline: bool,
        progress: &dyn Progress,
    ) -> Result<Found, Kind> {
        let digests = match (artefact.sha256, pin) {
            (Some(digest), _) => [Some(digest), None],
            // What was pinned may still be on the server: the other one
            // is only the best that there is without it.
            (None, Some(pin)) if !offline => [Some(pin), None],
            (None, pin) => [pin, self.came_from(&artefact.url)],
        };
        let mut nothing = Found::Nothing;
        for digest in digests.into_iter().flatten() {
            match self.open(artefact, digest, progress)? {
                Found::Nothing => {}
                Found::Damaged(path) => nothing = Found::Damaged(path),
                found => return Ok(found),
            }
        }
        Ok(nothing)
    }

    /// Opens the file with this digest, if it is there and has it.
    pub(super) fn open(
        &self,
        artefact: &Artefact,
        digest: Sha256,
        progress: &dyn Progress,
    ) -> Result<Found, Kind> {
        let path = self.path(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Ok(Found::Nothing);
            }
            Err(error) => {
                return Err(FileError::new("open", path, error).into());
            }
        };
        let read = || -> io::Result<(bool, u64)> {
            let size = file.metadata()?.len();
            let same = Sha256::of_file(&file, "verify", progress)? == digest;
            progress.finish();
            Ok((same && artefact.form.check(&file)?.is_ok(), size))
        };
        let (right, size) = read().map_err(FileError::at("read", &path))?;
        if !right {
            return Ok(Found::Damaged(path));
        }
        let file = artefact.file(file, path, digest, size, true);
        Ok(Found::Intact(Box::new(file)))
    }

    /// Returns the path that a file with this digest has.
    #[must_use]
    pub fn path(&self, digest: Sha256) -> PathBuf {
        self.files_dir().join(digest.to_string())
    }

    pub(super) fn files_dir(&self) -> PathBuf {
        self.dir.join("artefacts")
    }

    fn record_path(&self, url: &str) -> PathBuf {
        let url = Sha256::of(url.as_bytes());
        self.files_dir().join(format!("url-{url}.json"))
    }

    /// Returns the digest of what the URL gave. A record that makes no
    /// sense is none.
    fn came_from(&self, url: &str) -> Option<Sha256> {
        Some(read_record(&self.record_path(url))?.sha256)
    }

    /// Writes down what the URL gave.
    pub(super) fn record(
        &self,
        url: &str,
        sha256: Sha256,
    ) -> Result<(), FileError> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let record = Record {
            format: FORMAT,
            url: redacted(url),
            sha256,
            fetched: now.map_or(0, |now| now.as_secs()),
        };
        let path = self.record_path(url);
        let text = serde_json::to_vec_pretty(&record).map_err(io::Error::from);
        text.and_then(|text| whole::write(&path, &text))
            .map_err(FileError::at("write", &path))
    }
}

/// What a look into the cache finds.
pub(super) enum Found {
    Intact(Box<ArtefactFile>),
    /// The file at this path is not what it was.
    Damaged(PathBuf),
    Nothing,
}

impl Artefact {
    pub(super) fn file(
        &self,
        file: File,
        path: PathBuf,
        sha256: Sha256,
        size: u64,
        hit: bool,
    ) -> ArtefactFile {
        ArtefactFile {
            name: self.name.clone(),
            version: self.version.clone(),
            url: redacted(&self.url),
            sha256,
            size,
            path,
            file: Arc::new(file),
            hit,
        }
    }
}

pub(super) fn read_record(path: &Path) -> Option<Record> {
    let text = fs::read(path).ok()?;
    let record: Record = serde_json::from_slice(&text).ok()?;
    (record.format == FORMAT).then_some(record)
}
