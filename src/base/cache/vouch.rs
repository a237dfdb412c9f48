//! Whether the vendor has signed what was downloaded.

use super::CacheErrorKind as Kind;
use crate::{
    base::{
        FileError,
        catalog::listed_digest,
        digest::Sha256,
        fetch::{Client, FetchError, FetchErrorKind, FetchOptions, Part},
        signature::{
            Keyring, Scheme, SignatureError, SignatureSource, verify_detached,
        },
    },
    progress::Progress,
};
use std::{
    io::{self, BufReader, Read},
    path::Path,
    time::{Duration, SystemTime},
};

/// The largest signature that is asked for; real ones have 1 KiB.
const MAX_SIGNATURE: u64 = 64 << 10;
/// The largest list of checksums; real ones have 2 KiB.
const MAX_SUMS: u64 = 1 << 20;
/// The largest key: those of many users' have some 100 KiB.
const MAX_KEY: u64 = 4 << 20;
/// A key server that cannot be reached is not to be waited for as long as
/// the one with the image.
const KEY_ATTEMPTS: u32 = 2;
const KEY_TIMEOUT: Duration = Duration::from_secs(10);

const BUFFER: usize = 256 << 10;

/// Why nothing is known of a vendor's signature. Nothing is wrong with the
/// file then, as far as its digests tell.
#[derive(Debug, thiserror::Error)]
pub enum Unsigned {
    /// The server does not give it.
    #[error("{0}")]
    Fetch(FetchError),
    /// Nobody has the key.
    #[error("no keyring has the key {key}, which made it{}", also(.lookup))]
    NoKey {
        /// Fingerprint, or as much of it as the signature tells.
        key: String,
        /// Why the key server did not give it, where there is one.
        lookup: Option<String>,
    },
    /// It is good perhaps, but could be forged.
    #[error("{0}")]
    Weak(SignatureError),
    /// The vendor's signed list has other files only.
    #[error("{sums} has no row for {file}")]
    NotListed {
        /// URL of the list.
        sums: String,
        /// The file's name.
        file: String,
    },
}

fn also(lookup: &Option<String>) -> String {
    let text = |error: &String| format!("; key server: {error}");
    lookup.as_ref().map_or_else(String::new, text)
}

/// Why a file counts as not signed.
pub(super) enum Doubt {
    Unsigned(Unsigned),
    /// It must not be used.
    Refused(Kind),
}

impl From<Unsigned> for Doubt {
    fn from(unsigned: Unsigned) -> Self {
        Self::Unsigned(unsigned)
    }
}

/// What is to be vouched for, and what is there to do that.
pub(super) struct Vouching<'a> {
    pub(super) client: &'a Client,
    pub(super) options: &'a FetchOptions,
    pub(super) keyring: &'a Keyring,
    pub(super) source: &'a SignatureSource,
    /// The complete download, as it came.
    pub(super) part: &'a Part,
    pub(super) path: &'a Path,
    pub(super) digest: Sha256,
}

impl Vouching<'_> {
    /// Returns the fingerprint of the vendor's key that has signed the
    /// download, or the list with its digest.
    pub(super) fn vouch(
        &self,
        progress: &dyn Progress,
    ) -> Result<String, Doubt> {
        progress.start("check signature", None);
        let vouched = self.by_scheme();
        progress.finish();
        vouched
    }

    fn by_scheme(&self) -> Result<String, Doubt> {
        match &self.source.scheme {
            Scheme::File { signature } => {
                let signature = self.signature(signature, Kind::Signature)?;
                let open = || {
                    let file = self.part.reader()?;
                    Ok(BufReader::with_capacity(BUFFER, file))
                };
                self.check(&signature, open, Kind::Signature)
            }
            Scheme::Sums { sums: url, signature, file } => {
                let sums = self.fetch(url, MAX_SUMS)?;
                let signature =
                    self.signature(signature, Kind::SumsSignature)?;
                let open = || Ok(&sums[..]);
                let by = self.check(&signature, open, Kind::SumsSignature)?;
                match listed_digest(&sums, file) {
                    Some(expected) if expected == self.digest => Ok(by),
                    Some(expected) => {
                        let found = self.digest;
                        Err(Doubt::Refused(Kind::Sums { expected, found }))
                    }
                    None => {
                        let (sums, file) = (url.clone(), file.clone());
                        Err(Unsigned::NotListed { sums, file }.into())
                    }
                }
            }
        }
    }

    fn fetch(&self, url: &str, limit: u64) -> Result<Vec<u8>, Unsigned> {
        self.client.text(url, limit).map_err(Unsigned::Fetch)
    }

    fn signature(
        &self,
        url: &str,
        refuse: fn(SignatureError) -> Kind,
    ) -> Result<Vec<u8>, Doubt> {
        match self.client.text(url, MAX_SIGNATURE) {
            Ok(signature) => Ok(signature),
            Err(FetchError { kind: FetchErrorKind::Size { .. }, .. }) => {
                let what = format!("more than {MAX_SIGNATURE} bytes");
                Err(Doubt::Refused(refuse(SignatureError::Malformed(what))))
            }
            Err(error) => Err(Unsigned::Fetch(error).into()),
        }
    }

    /// Verifies a signature over what `open` gives, with the keys that are
    /// here, else with those of the key server.
    fn check<R: Read>(
        &self,
        signature: &[u8],
        open: impl Fn() -> io::Result<R>,
        refuse: fn(SignatureError) -> Kind,
    ) -> Result<String, Doubt> {
        let pinned: Vec<&str> =
            self.source.pinned.iter().map(String::as_str).collect();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        let verify = |keyring: &Keyring| {
            let data = open().map_err(SignatureError::Read)?;
            verify_detached(keyring, &pinned, signature, data, now)
        };
        let mut keyring = self.keyring.clone();
        let mut lookup = None;
        let mut result = verify(&keyring);
        let lacking = self.lacking(&keyring, result.as_ref().err());
        if !lacking.is_empty() {
            lookup = self.look_up(&lacking, &mut keyring);
            result = verify(&keyring);
        }
        let has_all = pinned.iter().all(|print| keyring.has(print));
        match result {
            Ok(signed) => Ok(signed.fingerprint),
            // It may be one of those.
            Err(SignatureError::NoKey { key }) if !has_all => {
                Err(Unsigned::NoKey { key, lookup }.into())
            }
            Err(error @ SignatureError::WeakDigest { .. }) => {
                Err(Unsigned::Weak(error).into())
            }
            Err(SignatureError::Read(error)) => {
                let error = FileError::new("read", self.path, error);
                Err(Doubt::Refused(error.into()))
            }
            Err(error) => Err(Doubt::Refused(refuse(error))),
        }
    }

    /// Returns which keys could make a difference to what went wrong.
    fn lacking(
        &self,
        keyring: &Keyring,
        error: Option<&SignatureError>,
    ) -> Vec<String> {
        let pinned = self.source.pinned.iter();
        let lacking = pinned.filter(|print| !keyring.has(print)).cloned();
        match error {
            Some(SignatureError::NoKey { key }) => {
                // A key id is the end of a fingerprint. What is named may be
                // a subkey, and then any.
                let (named, others): (Vec<_>, Vec<_>) =
                    lacking.partition(|print| print.ends_with(key));
                if named.is_empty() { others } else { named }
            }
            Some(SignatureError::NotPinned { .. }) => lacking.collect(),
            // The owner may have given it a longer life since.
            Some(SignatureError::KeyExpired { fingerprint, .. }) => {
                vec![fingerprint.clone()]
            }
            _ => Vec::new(),
        }
    }

    /// Asks the key server for keys; returns the last error.
    fn look_up(
        &self,
        fingerprints: &[String],
        keyring: &mut Keyring,
    ) -> Option<String> {
        let options = FetchOptions {
            attempts: KEY_ATTEMPTS,
            connect_timeout: self.options.connect_timeout.min(KEY_TIMEOUT),
            ..self.options.clone()
        };
        let mut failed = None;
        for fingerprint in fingerprints {
            let url = self.source.key_url(fingerprint)?;
            let key = Client::new(&url, &options)
                .and_then(|client| client.text(&url, MAX_KEY))
                .map_err(|error| error.to_string())
                .and_then(|bytes| {
                    Keyring::parse(&bytes).map_err(|error| error.to_string())
                });
            match key {
                Ok(key) => keyring.add(key.only(fingerprint)),
                Err(error) => failed = Some(error),
            }
        }
        failed
    }
}
