//! Raw images that were downloaded and checked, by their digest.
//!
//! ```text
//! images/SHA256.img    a raw image, sparse
//! images/SHA256.json   what is known of it
//! partial/KEY.part     a download under way, with a record beside it
//! partial/KEY.img      what is unpacked of it so far
//! locks/KEY.lock       held by the run that downloads or unpacks
//! digests/KEY.json     the digest of an image of the user's own
//! packed/SHA256.xz     a download of many blocks, as it came
//! prepared/KEY.xz      an image cut for taking blocks from, with a record
//!                      beside it
//! sums/SHA256.sums     checksums of the pieces of a file with this digest
//! ```
//!
//! Nothing is below `images/` before all that is known of it agreed. An entry
//! counts as intact while its file has the size and the time of change that
//! were written down; else it is read, and replaced where it is damaged.
//! Whatever is read of it after that is compared with the checksums that were
//! made when it came: a file without any, as from an older version, is read
//! whole and gets them.

mod digests;
mod entry;
mod error;
mod fill;
mod intact;
mod local;
mod lock;
mod packed;
mod prepared;
mod prune;
mod sums;
mod vouch;

pub use entry::Entry;
pub use error::{CacheError, CacheErrorKind};
pub use local::LocalError;
pub(super) use lock::Lock;
pub use prepared::{Prepared, PreparedEntry, Recipe, Slot};
pub use prune::{Prune, Pruned};
pub(super) use prune::{age, files, is_old, size_on_disk};
use sums::Checked;
pub(super) use sums::{was_read_lately, was_read_now};
pub use vouch::Unsigned;

use super::{
    FileError,
    digest::Sha256,
    fetch::{FetchOptions, redacted},
    signature::{Keyring, SignatureSource, Verification},
};
use crate::{disk::CheckedFile, progress::Progress};
use std::{
    io,
    path::{Path, PathBuf},
};

/// An image that is wanted, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is, http or https.
    pub url: String,
    /// Digest of the file as it is downloaded.
    pub download_sha256: Option<Sha256>,
    /// Size of that file in bytes.
    pub download_size: Option<u64>,
    /// Digest of the raw image.
    pub image_sha256: Option<Sha256>,
    /// Size of the raw image in bytes.
    pub image_size: Option<u64>,
    /// What agreeing with the digests proves; nothing without any.
    pub trust: Verification,
    /// Where the vendor's signature is.
    pub signed: Option<SignatureSource>,
}

impl Wanted {
    /// What agreeing with all that is known proves, but for signatures.
    fn by_digest(&self) -> Verification {
        match self.is_pinned() {
            true => self.trust.clone(),
            false => Verification::None,
        }
    }

    /// Returns what is proven of an entry that matches: when it came, or now
    /// by what has become known since.
    #[must_use]
    pub fn proven(&self, entry: &Entry) -> Verification {
        // The strongest is the first.
        self.by_digest().min(entry.verified.clone())
    }

    fn is_pinned(&self) -> bool {
        self.download_sha256.is_some() || self.image_sha256.is_some()
    }

    /// Names the download: the same for all runs that want the same.
    fn key(&self) -> String {
        match (self.image_sha256, self.download_sha256) {
            (Some(digest), _) => format!("image-{digest}"),
            (None, Some(digest)) => format!("download-{digest}"),
            (None, None) => format!("url-{}", Sha256::of(self.url.as_bytes())),
        }
    }

    /// Returns whether `entry` is the image that is wanted.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        match (self.image_sha256, self.download_sha256) {
            (Some(digest), _) => entry.image_sha256 == digest,
            (None, Some(digest)) => entry.is_of(digest),
            (None, None) => entry.url_sha256 == Sha256::of(self.url.as_bytes()),
        }
    }

    fn error(&self, kind: CacheErrorKind) -> CacheError {
        CacheError { url: redacted(&self.url), kind }
    }
}

/// An image in the cache, open. It stays readable when it is pruned.
#[derive(Debug)]
pub struct Cached {
    /// The raw image.
    pub file: CheckedFile,
    /// Where it is.
    pub path: PathBuf,
    /// Digest of the raw image.
    pub image_sha256: Sha256,
    /// Digest of what it was unpacked from.
    pub download_sha256: Sha256,
    /// What is proven of it.
    pub verified: Verification,
    /// Why there is no signature, when one was looked for now.
    pub unsigned: Option<Unsigned>,
    /// Whether it was there already.
    pub hit: bool,
    /// Whether it had no checksums, and was read whole for them.
    pub summed: bool,
}

/// A directory of images, shared by any number of runs.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// Takes a directory, which is made when there is something to put in it.
    #[must_use]
    pub fn open(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Returns the usual directory: `PIFLASH_CACHE`, else `piflash` below
    /// `XDG_CACHE_HOME` or below `.cache` in the home directory.
    #[must_use]
    pub fn usual_dir(get: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
        let given = |name| get(name).filter(|p| !p.as_os_str().is_empty());
        if let Some(dir) = given("PIFLASH_CACHE") {
            return Some(dir);
        }
        // A relative one is to be ignored: XDG Base Directory Specification.
        let base = given("XDG_CACHE_HOME").filter(|dir| dir.is_absolute());
        let base = base.or_else(|| Some(given("HOME")?.join(".cache")));
        Some(base?.join("piflash"))
    }

    /// Returns the directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns an image from the cache, or downloads, checks and unpacks it
    /// in one pass. Of several runs that want the same, one does that and the
    /// others wait.
    ///
    /// The vendor's signature is checked by the keys of `keyring` when the
    /// image is downloaded. One that is no good is an error; where there is
    /// none, or nobody has the key, the digests alone decide, and
    /// [`Cached::unsigned`] says why.
    ///
    /// # Errors
    ///
    /// See [`CacheErrorKind`]. Whatever arrived stays for the next try, unless
    /// it is wrong.
    pub fn get(
        &self,
        wanted: &Wanted,
        keyring: &Keyring,
        options: &FetchOptions,
        progress: &dyn Progress,
    ) -> Result<Cached, CacheError> {
        let file_error = |error: FileError| wanted.error(error.into());
        let found = self.find(wanted);
        let must_trust = !(wanted.is_pinned() || options.insecure);
        let trusted = found
            .as_ref()
            .is_some_and(|entry| entry.verified != Verification::None);
        if must_trust && !trusted {
            return Err(wanted.error(CacheErrorKind::Unverified));
        }
        if let Some(entry) = &found {
            let opened = self.open_intact(entry, progress);
            if let Some((file, summed)) = opened.map_err(file_error)? {
                let cached = self.cached(wanted, entry, file, true);
                return Ok(Cached { summed, ..cached });
            }
        }
        if found.is_none() && options.offline {
            return Err(wanted.error(CacheErrorKind::Offline));
        }
        let lock = Lock::take(&self.dir, &wanted.key(), progress)
            .map_err(file_error)?;
        // Another run may have been faster, or the entry is to be read.
        if let Some(mut entry) = self.find(wanted) {
            let opened = self.open_entry(&mut entry, progress);
            if let Some(file) = opened.map_err(file_error)? {
                return Ok(self.cached(wanted, &entry, file, true));
            }
            let path = self.image_path(entry.image_sha256);
            if options.offline {
                let kind = CacheErrorKind::Damaged { path };
                return Err(wanted.error(kind));
            }
            self.discard(entry.image_sha256)
                .map_err(FileError::at("remove", &path))
                .map_err(file_error)?;
        }
        if must_trust {
            return Err(wanted.error(CacheErrorKind::Unverified));
        }
        if options.offline {
            return Err(wanted.error(CacheErrorKind::Offline));
        }
        fill::fill(self, wanted, keyring, options, progress, lock)
    }

    /// Returns what is in the cache, by digest.
    ///
    /// # Errors
    ///
    /// The directory cannot be read. One that is missing is empty.
    pub fn list(&self) -> io::Result<Vec<Entry>> {
        entry::read_all(&self.images())
    }

    /// Reads every image and returns those that are not what they were.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub fn verify(&self, progress: &dyn Progress) -> io::Result<Vec<Entry>> {
        let mut damaged = Vec::new();
        for mut entry in self.list()? {
            if !self.read_again(&mut entry, progress)? {
                damaged.push(entry);
            }
        }
        Ok(damaged)
    }

    /// Reads every download that is kept as it came; those that are not what
    /// they were are removed, and returned.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub fn verify_packed(
        &self,
        progress: &dyn Progress,
    ) -> io::Result<Vec<PathBuf>> {
        self.damaged_packed(&self.list()?, progress)
    }

    /// Returns the path that an image with this digest has.
    #[must_use]
    pub fn image_path(&self, digest: Sha256) -> PathBuf {
        self.images().join(format!("{digest}.img"))
    }

    /// Returns what an image takes on the disk, in bytes, with its download
    /// where that is kept.
    #[must_use]
    pub fn size_on_disk(&self, entry: &Entry) -> u64 {
        let image = self.image_path(entry.image_sha256);
        let packed = self.packed_path(entry.download_sha256);
        prune::size_on_disk(&image).saturating_add(prune::size_on_disk(&packed))
    }

    fn images(&self) -> PathBuf {
        self.dir.join("images")
    }

    /// The newest entry that is wanted.
    fn find(&self, wanted: &Wanted) -> Option<Entry> {
        // What cannot be read is not there, and will be downloaded again.
        let entries = self.list().unwrap_or_default();
        let matching = entries.into_iter().filter(|e| wanted.matches(e));
        matching.max_by_key(|entry| entry.fetched)
    }

    fn cached(
        &self,
        wanted: &Wanted,
        entry: &Entry,
        file: CheckedFile,
        hit: bool,
    ) -> Cached {
        Cached {
            file,
            path: self.image_path(entry.image_sha256),
            image_sha256: entry.image_sha256,
            download_sha256: entry.download_sha256,
            summed: false,
            verified: wanted.proven(entry),
            unsigned: None,
            hit,
        }
    }
}
