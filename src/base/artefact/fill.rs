//! One download: checksum, file, digest, form, name.

use std::{fs::File, path::Path};

use super::{
    Artefact, ArtefactErrorKind as Kind, ArtefactFile, Store, store::Found,
};
use crate::{
    base::{
        FileError,
        cache::Lock,
        catalog::listed_digest,
        digest::{FromStart, Hasher, Sha256},
        fetch::{Client, End, FetchOptions, Part, Request, download, redacted},
    },
    progress::Progress,
};

/// Times that a file may change, or that one which is wrong after it was
/// resumed is downloaded from its start.
const RESTARTS: u32 = 3;
/// The largest list of checksums; real ones have 1 KiB.
const MAX_SUMS: u64 = 1 << 20;

impl Store {
    /// Waits for the right to download.
    pub(super) fn lock(
        &self,
        artefact: &Artefact,
        progress: &dyn Progress,
    ) -> Result<Lock, Kind> {
        Lock::take(&self.dir, &key(artefact), progress).map_err(Kind::from)
    }
}

/// Names the download: the same for all runs that want the same.
fn key(artefact: &Artefact) -> String {
    format!("artefact-{}", Sha256::of(artefact.url.as_bytes()))
}

/// Downloads an artefact into the cache. The caller has the lock.
pub(super) fn fill(
    store: &Store,
    artefact: &Artefact,
    options: &FetchOptions,
    progress: &dyn Progress,
) -> Result<ArtefactFile, Kind> {
    let client = Client::new(&artefact.url, options).map_err(Kind::Fetch)?;
    let expected = expected(artefact, options)?;
    // The same file from another server.
    if let Some(digest) = expected
        && let Found::Intact(file) = store.open(artefact, digest, progress)?
    {
        store.record(&artefact.url, digest)?;
        return Ok(*file);
    }
    let path =
        store.dir.join("partial").join(format!("{}.part", key(artefact)));
    let mut restarts = 0_u32;
    loop {
        let mut part = Part::open(&path, &artefact.url).map_err(Kind::Fetch)?;
        let resumed = !part.is_empty();
        progress.start("download", part.total());
        let passed =
            pass(&client, artefact, expected, &mut part, &path, progress);
        progress.finish();
        match passed {
            Ok(Some((digest, file))) => {
                return publish(store, artefact, part, file, digest)
                    .map_err(Kind::File);
            }
            Ok(None) if restarts < RESTARTS => {}
            Ok(None) => return Err(Kind::Changing(restarts)),
            Err(kind) => {
                let wrong = matches!(
                    kind,
                    Kind::Digest { .. } | Kind::Form(_) | Kind::TooLarge(_)
                );
                if wrong {
                    part.remove().map_err(FileError::at("remove", &path))?;
                }
                // Not the server's fault perhaps, but that of a part which a
                // power cut damaged.
                if !(wrong && resumed && restarts < RESTARTS) {
                    return Err(kind);
                }
            }
        }
        restarts = restarts.saturating_add(1);
    }
}

/// Returns the digest that the file has to have, where one is told.
fn expected(
    artefact: &Artefact,
    options: &FetchOptions,
) -> Result<Option<Sha256>, Kind> {
    let Some(sums) = &artefact.sums else { return Ok(artefact.sha256) };
    let text = Client::new(&sums.url, options)
        .and_then(|client| client.text(&sums.url, MAX_SUMS))
        .map_err(Kind::Sums)?;
    let listed = listed_digest(&text, &sums.file).ok_or_else(|| {
        let (sums, file) = (redacted(&sums.url), sums.file.clone());
        Kind::NotListed { sums, file }
    })?;
    match artefact.sha256 {
        Some(expected) if expected != listed => {
            Err(Kind::Digest { expected, found: listed })
        }
        _ => Ok(Some(listed)),
    }
}

/// Downloads the rest of `part` and looks at all of it: None if it has to
/// begin again.
fn pass(
    client: &Client,
    artefact: &Artefact,
    expected: Option<Sha256>,
    part: &mut Part,
    path: &Path,
    progress: &dyn Progress,
) -> Result<Option<(Sha256, File)>, Kind> {
    let read = |error| Kind::File(FileError::new("read", path, error));
    let mut hasher = Hasher::default();
    let file = part.reader().map_err(read)?;
    // What an earlier run left.
    let seen = |read| progress.advance(u64::try_from(read).unwrap_or(0));
    hasher.read(FromStart::of(&file), seen).map_err(read)?;
    let limit = artefact.form.limit();
    let mut len = part.len();
    let pinned = expected.is_some();
    let request = Request { url: &artefact.url, size: None, pinned };
    let mut receive = |piece: Vec<u8>| {
        hasher.update(&piece);
        len =
            len.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        len <= limit
    };
    let end = download(client, &request, part, &mut receive, progress)
        .map_err(Kind::Fetch)?;
    match end {
        End::StartAgain => return Ok(None),
        End::Stopped => return Err(Kind::TooLarge(limit)),
        End::Complete => {}
    }
    let found = hasher.finish();
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        return Err(Kind::Digest { expected, found });
    }
    artefact.form.check(&file).map_err(read)?.map_err(Kind::Form)?;
    Ok(Some((found, file)))
}

/// Gives the file its name.
fn publish(
    store: &Store,
    artefact: &Artefact,
    part: Part,
    file: File,
    digest: Sha256,
) -> Result<ArtefactFile, FileError> {
    let (to, size) = (store.path(digest), part.len());
    part.keep(&to).map_err(FileError::at("rename", &to))?;
    store.record(&artefact.url, digest)?;
    Ok(artefact.file(file, to, digest, size, false))
}
