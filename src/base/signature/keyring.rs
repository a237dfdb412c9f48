use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use pgp::{
    composed::{Deserializable, SignedPublicKey},
    types::{Fingerprint, KeyDetails},
};

/// The largest keyring that is read.
const MAX_BYTES: u64 = 16 << 20;
/// Keys in a keyring.
const MAX_KEYS: usize = 2000;

const ARMOR: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// Public keys, none of which is believed for being here.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    pub(super) keys: Vec<SignedPublicKey>,
}

/// Why a file is no keyring.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// It cannot be read.
    #[error("the keyring {} cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is larger than keyrings are.
    #[error("the keyring has more than {MAX_BYTES} bytes")]
    TooLarge,
    /// It is GnuPG's private format.
    #[error(
        "the keyring is a GnuPG keybox; `gpg --export > FILE` writes one that \
         can be read"
    )]
    Keybox,
    /// There is no key in it.
    #[error("the keyring has no OpenPGP public key that can be read")]
    NoKey,
}

impl Keyring {
    /// Reads a keyring from a file.
    ///
    /// # Errors
    ///
    /// As of [`Keyring::parse`], or the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, KeyringError> {
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            let limit = MAX_BYTES.saturating_add(1);
            File::open(path)?.take(limit).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|source| KeyringError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&bytes)
    }

    /// Reads public keys as `gpg --export` writes them: binary, or one or
    /// more armored blocks. Keys that cannot be read are left out: a keyring
    /// may have kinds that are newer or older than this program.
    ///
    /// # Errors
    ///
    /// There is no key in it.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyringError> {
        if u64::try_from(bytes.len()).is_ok_and(|size| size > MAX_BYTES) {
            return Err(KeyringError::TooLarge);
        }
        if bytes.get(8..12) == Some(b"KBXf") {
            return Err(KeyringError::Keybox);
        }
        let mut keys = Vec::new();
        if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
            if let Ok(found) = SignedPublicKey::from_bytes_many(bytes) {
                keys.extend(found.take(MAX_KEYS).flatten());
            }
        } else {
            let text = String::from_utf8_lossy(bytes);
            // What `cat a.asc b.asc` gives has several blocks.
            for (start, _) in text.match_indices(ARMOR).take(MAX_KEYS) {
                let block = text.get(start..).unwrap_or_default();
                if let Ok((found, _)) = SignedPublicKey::from_string_many(block)
                {
                    let room = MAX_KEYS.saturating_sub(keys.len());
                    keys.extend(found.take(room).flatten());
                }
            }
        }
        if keys.is_empty() {
            return Err(KeyringError::NoKey);
        }
        Ok(Self { keys })
    }

    /// Returns the fingerprints of the primary keys, in upper-case hex.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<String> {
        let keys = self.keys.iter();
        keys.map(|key| hex(&key.primary_key.fingerprint())).collect()
    }

    /// Returns whether it has the primary key with this fingerprint.
    #[must_use]
    pub fn has(&self, fingerprint: &str) -> bool {
        self.fingerprints().iter().any(|print| print == fingerprint)
    }

    /// Takes the keys of another one in.
    pub fn add(&mut self, other: Self) {
        self.keys.extend(other.keys);
    }

    /// Leaves out all but the primary key with this fingerprint.
    #[must_use]
    pub fn only(mut self, fingerprint: &str) -> Self {
        self.keys
            .retain(|key| hex(&key.primary_key.fingerprint()) == fingerprint);
        self
    }
}

/// Returns a fingerprint as people compare it.
pub(super) fn hex(fingerprint: &Fingerprint) -> String {
    fingerprint.to_string().to_uppercase()
}
