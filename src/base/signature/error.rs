use std::io;

use crate::base::date::Date;

/// Why a signature proves nothing. Fingerprints are those of primary keys,
/// in upper-case hex.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// It is no detached signature of a file, or only a part of one.
    #[error("the signature is malformed: {0}")]
    Malformed(String),
    /// The keyring lacks the key.
    #[error("the keyring has no key {key}, which made the signature")]
    NoKey {
        /// Fingerprint, or as much of it as the signature tells, of the key
        /// or subkey.
        key: String,
    },
    /// The key is there, but is none of the vendor's.
    #[error(
        "the signature is by the key {fingerprint}, which is none of the \
         vendor's ({})", .pinned.join(", ")
    )]
    NotPinned {
        /// Of the key.
        fingerprint: String,
        /// Those that would do.
        pinned: Vec<String>,
    },
    /// The file is not what was signed.
    #[error("bad signature by {fingerprint}: the file is not what was signed")]
    Bad {
        /// Of the key.
        fingerprint: String,
    },
    /// The digest in a signature can be forged.
    #[error("the signature by {fingerprint} uses {digest}, which is weak")]
    WeakDigest {
        /// Of the key.
        fingerprint: String,
        /// As `SHA1`.
        digest: String,
    },
    /// The key had expired when the signature was made.
    #[error("the key {fingerprint} expired on {expired}, before the signature")]
    KeyExpired {
        /// Of the key.
        fingerprint: String,
        /// The day.
        expired: Day,
    },
    /// The signature was for a time that is over.
    #[error("the signature by {fingerprint} expired on {expired}")]
    Expired {
        /// Of the key.
        fingerprint: String,
        /// The day.
        expired: Day,
    },
    /// The owner says that the key is not to be believed.
    #[error("the key {fingerprint} was revoked on {revoked}: {reason}")]
    Revoked {
        /// Of the key.
        fingerprint: String,
        /// The day.
        revoked: Day,
        /// As `it was compromised`.
        reason: &'static str,
    },
    /// The key may not sign files, or nobody says that it may.
    #[error("the key {fingerprint} cannot be used: {reason}")]
    Unusable {
        /// Of the key.
        fingerprint: String,
        /// Why.
        reason: &'static str,
    },
    /// The signed file cannot be read.
    #[error("the signed file cannot be read")]
    Read(#[source] io::Error),
}

/// A day for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day(
    /// Seconds since the epoch.
    pub u64,
);

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let date = i64::try_from(self.0).ok().and_then(Date::of_seconds);
        match date {
            Some(date) => write!(f, "{date}"),
            None => write!(f, "day {}", self.0 / 86_400),
        }
    }
}
