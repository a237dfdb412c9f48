//! One pass: download, digest, unpack, digest.

use super::{
    Cache, CacheError, CacheErrorKind as Kind, Cached, Wanted,
    entry::{self, Entry},
    lock::Lock,
    prune,
};
use crate::{
    base::{
        digest::{Hasher, Sha256},
        fetch::{
            Client, End, FetchErrorKind, FetchOptions, Part, Request, download,
            redacted,
        },
        unpack::{Limits, UnpackError, Unpacked, unpack},
    },
    progress::Progress,
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, Read},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::SystemTime,
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

/// How a pass ended that did not fail.
enum Outcome {
    Done(Passed),
    StartAgain,
}

/// Downloads an image into the cache.
pub(super) fn fill(
    cache: &Cache,
    wanted: &Wanted,
    options: &FetchOptions,
    progress: &dyn Progress,
    _lock: Lock,
) -> Result<Cached, CacheError> {
    let fetch = |error| wanted.error(Kind::Fetch(error));
    let client = Client::new(&wanted.url, options).map_err(fetch)?;
    let partial = cache.dir.join("partial");
    let part_path = partial.join(format!("{}.part", wanted.key()));
    let image_path = partial.join(format!("{}.img", wanted.key()));
    let mut restarts = 0_u32;
    let (passed, image) = loop {
        let mut part = Part::open(&part_path, &wanted.url).map_err(fetch)?;
        let resumed = !part.is_empty();
        let image = create(&image_path)
            .map_err(|e| wanted.error(Kind::io("create", &image_path, e)))?;
        progress.start("download", wanted.download_size.or(part.total()));
        let outcome = pass(&client, wanted, &mut part, &image, progress)
            .and_then(|outcome| match outcome {
                Outcome::Done(passed) => {
                    compare(wanted, &passed).map(|()| Outcome::Done(passed))
                }
                again => Ok(again),
            });
        match outcome {
            Ok(Outcome::Done(_)) => progress.finish(),
            _ => progress.fail(),
        }
        match outcome {
            Ok(Outcome::Done(passed)) => {
                // It is in the image now.
                let _ = part.remove();
                break (passed, image);
            }
            Ok(Outcome::StartAgain) if restarts < RESTARTS => {}
            Ok(Outcome::StartAgain) => {
                let _ = prune::remove(&image_path);
                return Err(wanted.error(Kind::Changing(restarts)));
            }
            Err(kind) => {
                let _ = prune::remove(&image_path);
                let wrong = is_wrong(&kind);
                if wrong {
                    part.remove().map_err(|e| {
                        wanted.error(Kind::io("remove", &part_path, e))
                    })?;
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
    publish(cache, wanted, &passed, image, &image_path)
        .map_err(|(op, path, e)| wanted.error(Kind::io(op, path, e)))
}

/// Returns whether what was downloaded is of no use.
fn is_wrong(kind: &Kind) -> bool {
    match kind {
        Kind::DownloadDigest { .. } | Kind::ImageDigest { .. } => true,
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
            Kind::io("write", image, error)
        }
        kind => kind,
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
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

/// Downloads the rest of `part` while all of it is unpacked to `image`.
fn pass(
    client: &Client,
    wanted: &Wanted,
    part: &mut Part,
    image: &File,
    progress: &dyn Progress,
) -> Result<Outcome, Kind> {
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
            (Ok((End::StartAgain, _)), _) => Ok(Outcome::StartAgain),
            (Ok(_), Err(error)) => Err(Kind::Unpack(error)),
            (Ok((End::Complete, download)), Ok(unpacked)) => {
                let download_size = part.len();
                let passed = Passed { download, download_size, unpacked };
                Ok(Outcome::Done(passed))
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

type Failed = (&'static str, PathBuf, io::Error);

/// Gives the image its name.
fn publish(
    cache: &Cache,
    wanted: &Wanted,
    passed: &Passed,
    image: File,
    from: &Path,
) -> Result<Cached, Failed> {
    let digest = passed.unpacked.sha256;
    let to = cache.image_path(digest);
    let images = cache.images();
    let at = |op, path: &Path| {
        let path = path.to_owned();
        move |error| (op, path, error)
    };
    image.sync_all().map_err(at("sync", from))?;
    // A record of an earlier file with this name would not fit for a moment.
    prune::remove(&entry::record_path(&images, digest))
        .map_err(at("remove", &to))?;
    fs::rename(from, &to).map_err(at("rename", &to))?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let mut entry = Entry {
        format: entry::FORMAT,
        url: redacted(&wanted.url),
        url_sha256: Sha256::of(wanted.url.as_bytes()),
        download_sha256: passed.download,
        download_size: passed.download_size,
        compression: passed.unpacked.format,
        image_sha256: digest,
        image_size: passed.unpacked.size,
        fetched: now.map_or(0, |now| now.as_secs()),
        verified: wanted.verified(),
        mtime: (0, 0),
    };
    entry.take_times(&image).map_err(at("look at", &to))?;
    entry.write(&images).map_err(at("write", &to))?;
    Ok(cache.cached(wanted, &entry, image, false))
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
