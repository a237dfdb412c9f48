//! How far a file is known to be its vendor's.

use std::fmt;

use serde::{Deserialize, Serialize};

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
    /// It has the digest that is part of this program.
    PinnedHash,
    /// It has the digest that came from elsewhere: a list that was fetched,
    /// or the user.
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
