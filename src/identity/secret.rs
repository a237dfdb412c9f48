//! Texts that must not be seen.

use std::fmt;

use rand_core::{OsRng, RngCore};

use super::authority::hex;

/// A text that is not shown when its owner is printed for debugging.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Makes `bytes` random bytes, as twice as many digits of lower-case hex.
    #[must_use]
    pub fn random_hex(bytes: usize) -> Self {
        let mut random = vec![0; bytes];
        OsRng.fill_bytes(&mut random);
        Self(hex(&random))
    }

    /// Makes a random text of `len` characters `a-z0-9`.
    #[must_use]
    pub fn random_token(len: usize) -> Self {
        const DIGITS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        // Below the greatest multiple of 36, so that all are as likely.
        let letters = std::iter::repeat_with(|| {
            let mut byte = [0_u8];
            OsRng.fill_bytes(&mut byte);
            byte[0]
        })
        .filter(|byte| *byte < 252)
        .filter_map(|byte| DIGITS.get(usize::from(byte % 36)));
        Self(letters.take(len).map(|letter| char::from(*letter)).collect())
    }

    /// Gives the text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
