//! The keys by which a node's sshd proves itself.

use std::fmt;

use ssh_key::{
    Algorithm, EcdsaCurve, HashAlg, LineEnding, PrivateKey, PublicKey,
    rand_core::OsRng,
};

use super::{Store, StoreError, StoreErrorKind};

/// The host keys of one node: one of each kind.
///
/// Every sshd and ssh from OpenSSH 6.5 (2014) knows Ed25519, which leaves
/// ECDSA for clients that do not (FIPS 140 modes, some libraries). None of
/// them needs RSA, which is slow to make and slow on a Raspberry Pi.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKeys {
    /// `/etc/ssh/ssh_host_ed25519_key`.
    pub ed25519: HostKey,
    /// `/etc/ssh/ssh_host_ecdsa_key`, on the curve NIST P-256.
    pub ecdsa: HostKey,
}

/// A key pair.
#[derive(Clone, PartialEq, Eq)]
pub struct HostKey {
    private: String,
    public: String,
    fingerprint: String,
}

impl HostKeys {
    /// Loads the keys of `node`, and makes those that are missing with the
    /// operating system's randomness.
    ///
    /// # Errors
    /// Names the file that cannot be read, written or believed.
    pub fn load_or_make(store: &Store, node: &str) -> Result<Self, StoreError> {
        let ecdsa = Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 };
        let path = |kind| format!("nodes/{node}/ssh_host_{kind}_key");
        Ok(Self {
            ed25519: host_key(
                store,
                &path("ed25519"),
                node,
                Algorithm::Ed25519,
            )?,
            ecdsa: host_key(store, &path("ecdsa"), node, ecdsa)?,
        })
    }

    /// Returns all of them, the preferred one first.
    pub fn iter(&self) -> impl Iterator<Item = &HostKey> {
        [&self.ed25519, &self.ecdsa].into_iter()
    }
}

impl HostKey {
    /// Returns the private key in OpenSSH's format (PROTOCOL.key), with the
    /// last newline: a secret.
    #[must_use]
    pub fn private(&self) -> &str {
        &self.private
    }

    /// Returns the public key as in a `.pub` file, without a newline.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }

    /// Returns the public key's fingerprint, as `SHA256:...`.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

// The private half must not come out by way of `{:?}` either.
impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostKey").field(&self.public).finish_non_exhaustive()
    }
}

fn host_key(
    store: &Store,
    name: &str,
    comment: &str,
    algorithm: Algorithm,
) -> Result<HostKey, StoreError> {
    let content = store.load_or_make(name, || make(comment, &algorithm))?;
    let at = |kind: StoreErrorKind| kind.at(&store.path(name));
    let text = String::from_utf8(content).map_err(|_| {
        at(StoreErrorKind::Damaged("it is not text".to_owned()))
    })?;
    let key = PrivateKey::from_openssh(&text)
        .map_err(|e| at(StoreErrorKind::Damaged(e.to_string())))?;
    if key.is_encrypted() {
        let what = "it has a passphrase, which no sshd could enter";
        return Err(at(StoreErrorKind::Foreign(what.to_owned())));
    }
    if key.algorithm() != algorithm {
        let what =
            format!("it is a key of kind {}, not {algorithm}", key.algorithm());
        return Err(at(StoreErrorKind::Foreign(what)));
    }
    let public = public_half(store, name, key.public_key())?;
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    Ok(HostKey { private: text, public, fingerprint })
}

fn make(
    comment: &str,
    algorithm: &Algorithm,
) -> Result<Vec<u8>, StoreErrorKind> {
    let failed = |e: ssh_key::Error| StoreErrorKind::Make(e.to_string());
    let mut key =
        PrivateKey::random(&mut OsRng, algorithm.clone()).map_err(failed)?;
    key.set_comment(comment);
    let text = key.to_openssh(LineEnding::LF).map_err(failed)?;
    Ok(text.as_bytes().to_vec())
}

/// The `.pub` file beside a private key is for people and other tools: it is
/// derived where it is missing, and refused where it tells another story.
fn public_half(
    store: &Store,
    private: &str,
    key: &PublicKey,
) -> Result<String, StoreError> {
    let name = format!("{private}.pub");
    let at = |kind: StoreErrorKind| kind.at(&store.path(&name));
    let right = key
        .to_openssh()
        .map_err(|e| at(StoreErrorKind::Make(e.to_string())))?;
    let found =
        store.load_or_make(&name, || Ok(format!("{right}\n").into_bytes()))?;
    let found = String::from_utf8_lossy(&found);
    let found = PublicKey::from_openssh(&found)
        .map_err(|e| at(StoreErrorKind::Damaged(e.to_string())))?;
    if found.key_data() != key.key_data() {
        let what = "it is not the public half of the key beside it";
        return Err(at(StoreErrorKind::Foreign(what.to_owned())));
    }
    Ok(right)
}
