//! RSA keys, with which clusters sign the tokens of service accounts.
//!
//! PKCS #1 (RFC 8017) for the private half, as k3s and kubeadm write it.

use rand_core::OsRng;
use rsa::{
    RsaPrivateKey,
    pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey},
    pkcs8::{EncodePublicKey, LineEnding},
};

use super::{
    authority::AuthorityError,
    files::{Damaged, Reader, Why},
    secret::Secret,
};

const BITS: usize = 2048;

/// Both halves as PEM.
pub(super) struct RsaPair {
    pub(super) private: Secret,
    pub(super) public: String,
}

/// Makes a key from the system's randomness.
pub(super) fn make() -> Result<RsaPair, AuthorityError> {
    let key = RsaPrivateKey::new(&mut OsRng, BITS);
    pair(&key.map_err(|_| AuthorityError::NoKey)?)
}

pub(super) fn read(
    files: &Reader<'_>,
    file: &'static str,
) -> Result<RsaPair, Damaged> {
    let text = files.text(file)?;
    let key = RsaPrivateKey::from_pkcs1_pem(text.reveal());
    let read = key.map_err(|_| AuthorityError::NoKey).and_then(|k| pair(&k));
    let form = Why::Form("an RSA private key in PEM");
    let RsaPair { public, .. } =
        read.map_err(|_| Damaged { file, why: form })?;
    Ok(RsaPair { private: text, public })
}

fn pair(key: &RsaPrivateKey) -> Result<RsaPair, AuthorityError> {
    let private = key.to_pkcs1_pem(LineEnding::LF);
    let public = key.to_public_key().to_public_key_pem(LineEnding::LF);
    match (private, public) {
        (Ok(private), Ok(public)) => {
            Ok(RsaPair { private: Secret::new(&private), public })
        }
        _ => Err(AuthorityError::NoKey),
    }
}
