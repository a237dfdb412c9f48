//! How far a file is known to be its vendor's, and detached OpenPGP
//! signatures (RFC 9580), which prove it.
//!
//! A key is believed only if its primary fingerprint is part of this
//! program; where the key itself came from does not matter then.

mod error;
mod files;
mod key;
mod keyring;
mod source;
mod verify;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use error::SignatureError;
pub use files::{SYSTEM_KEYRINGS, keyring_files, user_keyrings};
pub use keyring::{Keyring, KeyringError};
pub use source::{Scheme, SignatureSource};
pub use verify::{Signed, verify_detached};

/// Fingerprints of the keys that sign Raspberry Pi OS: until 2025-10, and
/// since 2025-11-24.
pub const RASPBERRY_PI: &[&str] = &[
    "54C3DD610D9D1B4AF82A37758738CD6B956F460C",
    "F4AADD86C4687D69AE04543E796C114AD12B2292",
];

/// Fingerprint of the key that signs Ubuntu's `SHA256SUMS`.
pub const UBUNTU: &[&str] = &["843938DF228D22F7B3742BC0D94AA3F0EFE21092"];

/// What has been proven of a file's content, the strongest first.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Verification {
    /// A vendor's key, whose fingerprint is part of this program, has signed
    /// it (or the list that has its digest).
    Signature {
        /// The primary key's fingerprint in upper-case hex.
        fingerprint: String,
    },
    /// It has the digest that was known before: it is part of this program,
    /// or the user named it.
    PinnedHash,
    /// It has the digest of a list that was fetched.
    HashOnly,
    /// Nothing.
    None,
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature { fingerprint } => {
                write!(f, "signature by {fingerprint}")
            }
            Self::PinnedHash => f.write_str("pinned hash"),
            Self::HashOnly => f.write_str("hash only"),
            Self::None => f.write_str("not verified"),
        }
    }
}
