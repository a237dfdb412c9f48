use std::io::{self, Read};

use pgp::{
    armor::{BlockType, Dearmor},
    packet::{Packet, PacketParser, Signature, SignatureType},
    types::{KeyDetails, Timestamp},
};

use super::{
    Keyring, SignatureError,
    error::Day,
    key::{Signer, is_strong, knows_all},
    keyring::hex,
};

/// The largest file of signatures that is read.
const MAX_BYTES: usize = 64 << 10;
/// Signatures in a file.
const MAX_SIGNATURES: usize = 16;

/// A good signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The primary key's fingerprint, in upper-case hex.
    pub fingerprint: String,
    /// When it was made, in seconds since the epoch.
    pub time: u32,
}

/// Verifies a detached signature, binary or armored, over `data`, which is
/// read once and to its end.
///
/// Only keys whose primary fingerprint is among `pinned` (upper-case hex:
/// [`super::RASPBERRY_PI`], [`super::UBUNTU`]) are believed, and the signing
/// subkeys that they have bound. Expiry and revocation count for the time of
/// the signature, except that a compromised key is not believed at all; `now`
/// (seconds since the epoch) decides whether the signature itself has
/// expired. Revocations by others in the owner's name are not looked at.
///
/// Of several signatures in the file, as of an old and a new key, the first
/// by a key that can be used decides.
///
/// # Errors
///
/// Nothing is proven, and the error says why. `data` is not read, unless the
/// key could be used.
pub fn verify_detached(
    keyring: &Keyring,
    pinned: &[&str],
    signature: &[u8],
    data: impl Read,
    now: u64,
) -> Result<Signed, SignatureError> {
    let mut refused: Option<SignatureError> = None;
    for signature in signatures(signature)? {
        match signer(keyring, pinned, &signature, now) {
            Ok((signer, time)) => {
                return verify(&signature, signer, time, data);
            }
            Err(error) => {
                // What is wrong with the vendor's key says more than that
                // another's is there too.
                let is_better = refused
                    .as_ref()
                    .is_none_or(|refused| weight(&error) > weight(refused));
                if is_better {
                    refused = Some(error);
                }
            }
        }
    }
    Err(refused.unwrap_or_else(|| malformed("there is no signature in it")))
}

fn weight(error: &SignatureError) -> u8 {
    match error {
        SignatureError::Malformed(_) => 0,
        SignatureError::NoKey { .. } => 1,
        SignatureError::NotPinned { .. } => 2,
        _ => 3,
    }
}

fn malformed(what: impl ToString) -> SignatureError {
    SignatureError::Malformed(what.to_string())
}

/// Reads the signatures of a file; anything else in it is an error.
fn signatures(bytes: &[u8]) -> Result<Vec<Signature>, SignatureError> {
    if bytes.len() > MAX_BYTES {
        let size = bytes.len();
        return Err(malformed(format!("{size} bytes are no signature")));
    }
    let binary = match bytes.first() {
        None => return Err(malformed("it is empty")),
        Some(first) if first & 0x80 != 0 => bytes.to_vec(),
        Some(_) => dearmor(bytes)?,
    };
    let mut found = Vec::new();
    for packet in PacketParser::new(&binary[..]) {
        match packet {
            Ok(Packet::Signature(signature)) => found.push(signature),
            Ok(_) => {
                return Err(malformed("it has something else in it"));
            }
            Err(error) => return Err(malformed(error)),
        }
        if found.len() > MAX_SIGNATURES {
            let most = MAX_SIGNATURES;
            return Err(malformed(format!("more than {most} signatures")));
        }
    }
    Ok(found)
}

fn dearmor(bytes: &[u8]) -> Result<Vec<u8>, SignatureError> {
    let mut armor = Dearmor::new(bytes);
    armor.read_header().map_err(malformed)?;
    if armor.typ != Some(BlockType::Signature) {
        return Err(malformed("its armor is not that of a signature"));
    }
    let mut binary = Vec::new();
    armor.read_to_end(&mut binary).map_err(malformed)?;
    Ok(binary)
}

/// Finds the key that made a signature, and checks both but for the data.
fn signer<'a>(
    keyring: &'a Keyring,
    pinned: &[&str],
    signature: &Signature,
    now: u64,
) -> Result<(Signer<'a>, Timestamp), SignatureError> {
    let made = signature.created().filter(|_| {
        signature.typ() == Some(SignatureType::Binary) && knows_all(signature)
    });
    let Some(made) = made else {
        return Err(malformed("it is of a kind that is not understood"));
    };
    let candidates = candidates(keyring, signature)?;
    let is_believed =
        |signer: &&Signer| pinned.contains(&signer.fingerprint().as_str());
    let believed: Vec<_> = candidates.iter().filter(is_believed).collect();
    let Some(signer) = believed.first() else {
        let first = candidates.first().map(Signer::fingerprint);
        return Err(SignatureError::NotPinned {
            fingerprint: first.unwrap_or_default(),
            pinned: pinned.iter().map(|&text| text.to_owned()).collect(),
        });
    };
    let fingerprint = signer.fingerprint();
    if !is_strong(signature) {
        let digest = signature.hash_alg();
        let digest = digest.map_or_else(String::new, |d| d.to_string());
        return Err(SignatureError::WeakDigest { fingerprint, digest });
    }
    let life =
        signature.signature_expiration_time().map_or(0, |life| life.as_secs());
    let expired = u64::from(made.as_secs()).saturating_add(u64::from(life));
    if life != 0 && now >= expired {
        let expired = Day(expired);
        return Err(SignatureError::Expired { fingerprint, expired });
    }
    usable(&believed, made).map(|signer| (signer, made))
}

/// Chooses among copies of a key, as `cat old.gpg new.gpg` gives: one that is
/// good, unless another has been revoked.
fn usable<'a>(
    copies: &[&Signer<'a>],
    made: Timestamp,
) -> Result<Signer<'a>, SignatureError> {
    let mut good = None;
    let mut refused = None;
    for &&copy in copies {
        match copy.check(made) {
            Ok(()) => good = good.or(Some(copy)),
            Err(error @ SignatureError::Revoked { .. }) => return Err(error),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    good.ok_or_else(|| {
        refused.unwrap_or_else(|| malformed("no key could have made it"))
    })
}

/// Returns every key that the signature may mean: key ids are short. There
/// is at least one.
fn candidates<'a>(
    keyring: &'a Keyring,
    signature: &Signature,
) -> Result<Vec<Signer<'a>>, SignatureError> {
    let prints = signature.issuer_fingerprint();
    let ids = signature.issuer_key_id();
    let is_meant = |key: &dyn KeyDetails| {
        let (print, id) = (key.fingerprint(), key.legacy_key_id());
        if prints.is_empty() {
            ids.iter().any(|&meant| *meant == id)
        } else {
            prints.iter().any(|&meant| *meant == print)
        }
    };
    let mut found = Vec::new();
    for key in &keyring.keys {
        if is_meant(&key.primary_key) {
            found.push(Signer { key, subkey: None });
        }
        for subkey in &key.public_subkeys {
            if is_meant(&subkey.key) {
                found.push(Signer { key, subkey: Some(subkey) });
            }
        }
    }
    if found.is_empty() {
        let print = prints.first().map(|print| hex(print));
        let id = ids.first().map(|id| id.to_string().to_uppercase());
        return Err(match print.or(id) {
            Some(key) => SignatureError::NoKey { key },
            None => malformed("it does not say which key made it"),
        });
    }
    Ok(found)
}

fn verify(
    signature: &Signature,
    signer: Signer<'_>,
    time: Timestamp,
    data: impl Read,
) -> Result<Signed, SignatureError> {
    let fingerprint = signer.fingerprint();
    let mut data = Watched { inner: data, error: None };
    let result = match signer.subkey {
        Some(subkey) => signature.verify(&subkey.key, &mut data),
        None => signature.verify(&signer.key.primary_key, &mut data),
    };
    if let Some(error) = data.error {
        return Err(SignatureError::Read(error));
    }
    match result {
        Ok(()) => Ok(Signed { fingerprint, time: time.as_secs() }),
        Err(_) => Err(SignatureError::Bad { fingerprint }),
    }
}

/// Keeps the error that reading ended with, which is no fault of the
/// signature's.
struct Watched<R> {
    inner: R,
    error: Option<io::Error>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.error = Some(error);
            }
            kind.into()
        })
    }
}
