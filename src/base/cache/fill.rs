//! One pass: download, digest, unpack, digest.

use super::{
    Cache, CacheError, CacheErrorKind as Kind, Cached, Wanted,
    entry::{self, Entry},
    lock::Lock,
    vouch::{Doubt, Unsigned, Vouching},
};
use crate::{
    base::{
        FileError,
        digest::{Hasher, Sha256},
        fetch::{
            Client, End, FetchErrorKind, FetchOptions, Part, Request, download,
            redacted,
        },
        signature::{Keyring, SignatureError, Verification},
        unpack::{Limits, UnpackError, Unpacked, unpack},
        whole::remove,
    },
    disk::{CheckedFile, Sums},
    progress::Progress,
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, Read},
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

/// Times that a file may change, or that one which is wrong after it was
/// resumed is downloaded from its start.
const RESTARTS: u32 = 3;
/// Pieces between the download and the decoder.
const QUEUE: usize = 16;
const CHUNK: usize = 256 << 10;

/// What one pass gave.
struct Passed {
    download: Sha256,
    download_size: u64,
    unpacked: Unpacked,
}

/// What is proven of it, and why not more.
struct Proof {
    verified: Verification,
    unsigned: Option<Unsigned>,
}

/// Downloads an image into the cache.
pub(super) fn fill(
    cache: &Cache,
    wanted: &Wanted,
    keyring: &Keyring,
    options: &FetchOptions,
    progress: &dyn Progress,
    _lock: Lock,
) -> Result<Cached, CacheError> {
    let fetch = |error| wanted.error(Kind::Fetch(error));
    let file = |error: FileError| wanted.error(error.into());
    let client = Client::new(&wanted.url, options).map_err(fetch)?;
    let partial = cache.dir.join("partial");
    let part_path = partial.join(format!("{}.part", wanted.key()));
    let image_path = partial.join(format!("{}.img", wanted.key()));
    let mut restarts = 0_u32;
    let (passed, proof, image) = loop {
        let mut part = Part::open(&part_path, &wanted.url).map_err(fetch)?;
        let resumed = !part.is_empty();
        let image = create(&image_path).map_err(file)?;
        progress.start("download", wanted.download_size.or(part.total()));
        let passed = pass(&client, wanted, &mut part, &image, progress);
        match &passed {
            Ok(Some(_)) => progress.finish(),
            _ => progress.fail(),
        }
        let proven = passed.and_then(|passed| {
            let Some(passed) = passed else { return Ok(None) };
            compare(wanted, &passed)?;
            let vouched = wanted.signed.as_ref().map(|source| {
                let vouching = Vouching {
                    client: &client,
                    options,
                    keyring,
                    source,
                    part: &part,
                    path: &part_path,
                    digest: passed.download,
                };
                vouching.vouch(progress)
            });
            Ok(Some((passed, proof(wanted, vouched)?)))
        });
        match proven {
            Ok(Some((passed, proof))) => {
                let format = passed.unpacked.format;
                cache.keep_packed(part, &part_path, format, passed.download);
                break (passed, proof, image);
            }
            Ok(None) if restarts < RESTARTS => {}
            Ok(None) => {
                let _ = remove(&image_path);
                return Err(wanted.error(Kind::Changing(restarts)));
            }
            Err(kind) => {
                let _ = remove(&image_path);
                let wrong = is_wrong(&kind);
                if wrong {
                    part.remove()
                        .map_err(FileError::at("remove", &part_path))
                        .map_err(file)?;
                }
                // Not the server's fault perhaps, but that of a part which a
                // power cut damaged.
                if !(wrong && resumed && restarts < RESTARTS) {
                    return Err(wanted.error(kind_of(kind, &image_path)));
                }
            }
        }
        restarts = restarts.saturating_add(1);
    };
    let mut entry = record(wanted, &passed, proof.verified);
    let sums = passed.unpacked.sums;
    let image =
        publish(cache, &mut entry, image, sums, &image_path).map_err(file)?;
    let mut cached = cache.cached(wanted, &entry, image, false);
    cached.unsigned = proof.unsigned;
    Ok(cached)
}

/// Without a signature, the digests decide.
fn proof(
    wanted: &Wanted,
    vouched: Option<Result<String, Doubt>>,
) -> Result<Proof, Kind> {
    let unsigned = match vouched {
        Some(Ok(fingerprint)) => {
            let verified = Verification::Signature { fingerprint };
            return Ok(Proof { verified, unsigned: None });
        }
        Some(Err(Doubt::Refused(kind))) => return Err(kind),
        Some(Err(Doubt::Unsigned(unsigned))) => Some(unsigned),
        None => None,
    };
    Ok(Proof { verified: wanted.by_digest(), unsigned })
}

/// Returns whether what was downloaded is of no use.
fn is_wrong(kind: &Kind) -> bool {
    match kind {
        Kind::DownloadDigest { .. }
        | Kind::ImageDigest { .. }
        | Kind::Signature(SignatureError::Bad { .. })
        | Kind::Sums { .. } => true,
        Kind::Unpack(error) => error.is_data(),
        Kind::Fetch(error) => {
            matches!(error.kind, FetchErrorKind::Size { .. })
        }
        _ => false,
    }
}

/// Names the file that could not be written.
fn kind_of(kind: Kind, image: &Path) -> Kind {
    match kind {
        Kind::Unpack(UnpackError::Write(error)) => {
            FileError::new("write", image, error).into()
        }
        kind => kind,
    }
}

/// Begins an image.
pub(super) fn create(path: &Path) -> Result<File, FileError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .map_err(FileError::at("create", path))
}

fn compare(wanted: &Wanted, passed: &Passed) -> Result<(), Kind> {
    let image = passed.unpacked.sha256;
    match (wanted.download_sha256, wanted.image_sha256) {
        (Some(expected), _) if expected != passed.download => {
            Err(Kind::DownloadDigest { expected, found: passed.download })
        }
        (_, Some(expected)) if expected != image => {
            Err(Kind::ImageDigest { expected, found: image })
        }
        _ => Ok(()),
    }
}

/// Downloads the rest of `part` while all of it is unpacked to `image`;
/// returns nothing where it must start again.
fn pass(
    client: &Client,
    wanted: &Wanted,
    part: &mut Part,
    image: &File,
    progress: &dyn Progress,
) -> Result<Option<Passed>, Kind> {
    let limits = Limits { size: wanted.image_size, ..Limits::default() };
    let (sender, receiver) = sync_channel(QUEUE);
    let open = || {
        let opened = part.reader().map_err(UnpackError::Read);
        opened.map_err(Kind::Unpack)
    };
    // Two, for each has its own position.
    let (old, again) = (open()?, open()?);
    thread::scope(|scope| {
        let unpacker = scope.spawn(|| {
            let input = Pieces { receiver, piece: Vec::new(), at: 0 };
            unpack(input, move || Ok(again), image, &limits)
        });
        let loaded = load(client, wanted, part, old, sender, progress);
        let unpacked = match unpacker.join() {
            Ok(unpacked) => unpacked,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        match (loaded, unpacked) {
            // The unpacker only saw the download end.
            (Err(kind), _) => Err(kind),
            (Ok((End::StartAgain, _)), _) => Ok(None),
            (Ok(_), Err(error)) => Err(Kind::Unpack(error)),
            (Ok((End::Complete, download)), Ok(unpacked)) => {
                let download_size = part.len();
                Ok(Some(Passed { download, download_size, unpacked }))
            }
            // It wanted no more, but did not fail.
            (Ok((End::Stopped, _)), Ok(_)) => {
                let error = io::ErrorKind::BrokenPipe.into();
                Err(Kind::Unpack(UnpackError::Read(error)))
            }
        }
    })
}

/// Sends what is there and what comes; returns the digest of both.
fn load(
    client: &Client,
    wanted: &Wanted,
    part: &mut Part,
    old: File,
    sender: SyncSender<Vec<u8>>,
    progress: &dyn Progress,
) -> Result<(End, Sha256), Kind> {
    let mut hasher = Hasher::default();
    let mut old = old.take(part.len());
    loop {
        let mut piece = Vec::with_capacity(CHUNK);
        let limit = u64::try_from(CHUNK).unwrap_or(u64::MAX);
        let read = (&mut old).take(limit).read_to_end(&mut piece);
        let read = read.map_err(UnpackError::Read).map_err(Kind::Unpack)?;
        if read == 0 {
            break;
        }
        hasher.update(&piece);
        progress.advance(u64::try_from(read).unwrap_or(u64::MAX));
        if sender.send(piece).is_err() {
            return Ok((End::Stopped, hasher.finish()));
        }
    }
    let request = Request {
        url: &wanted.url,
        size: wanted.download_size,
        pinned: wanted.is_pinned(),
    };
    let mut receive = |piece: Vec<u8>| {
        hasher.update(&piece);
        sender.send(piece).is_ok()
    };
    let end = download(client, &request, part, &mut receive, progress)
        .map_err(Kind::Fetch)?;
    Ok((end, hasher.finish()))
}

/// What is to be recorded of it.
fn record(wanted: &Wanted, passed: &Passed, verified: Verification) -> Entry {
    Entry {
        format: entry::FORMAT,
        url: redacted(&wanted.url),
        url_sha256: Sha256::of(wanted.url.as_bytes()),
        download_sha256: passed.download,
        copies: Vec::new(),
        download_size: passed.download_size,
        compression: passed.unpacked.format,
        image_sha256: passed.unpacked.sha256,
        image_size: passed.unpacked.size,
        fetched: entry::now(),
        verified,
        mtime: (0, 0),
    }
}

/// Gives an image its name, and records what is known of it.
pub(super) fn publish(
    cache: &Cache,
    entry: &mut Entry,
    image: File,
    sums: Sums,
    from: &Path,
) -> Result<CheckedFile, FileError> {
    let to = cache.image_path(entry.image_sha256);
    let images = cache.images();
    image.sync_all().map_err(FileError::at("sync", from))?;
    // A record of an earlier file with this name would not fit for a moment.
    remove(&entry::record_path(&images, entry.image_sha256))
        .map_err(FileError::at("remove", &to))?;
    fs::rename(from, &to).map_err(FileError::at("rename", &to))?;
    let kept = cache.keep_sums(entry.image_sha256, sums);
    entry.take_times(&image).map_err(FileError::at("look at", &to))?;
    entry.write(&images).map_err(FileError::at("write", &to))?;
    CheckedFile::new(image, &to, Some(kept))
        .map_err(FileError::at("look at", &to))
}

/// The download as the decoder reads it.
struct Pieces {
    receiver: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at >= self.piece.len() {
            // The sender is gone: that is all, or the download failed, and
            // then nobody asks what became of it here.
            let Ok(piece) = self.receiver.recv() else { return Ok(&[]) };
            self.piece = piece;
            self.at = 0;
        }
        Ok(self.piece.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.at.saturating_add(amount);
    }
}

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buf)?;
        self.consume(read);
        Ok(read)
    }
}
