//! OpenPGP keys and signatures.

use std::sync::OnceLock;

use piflash::base::signature::{Keyring, verify_detached};

const NOW: u64 = 1_790_000_000;
/// What the signatures among the seeds are made of.
const DATA: &[u8] = b"signed\n";
const KEYS: &[u8] = include_bytes!("../keys.gpg");

/// A file of signatures, by keys that are known.
pub(crate) fn signature(data: &[u8]) {
    static KEYRING: OnceLock<Keyring> = OnceLock::new();
    let keyring =
        KEYRING.get_or_init(|| Keyring::parse(KEYS).expect("two keys"));
    check(keyring, data);
}

fn check(keyring: &Keyring, signature: &[u8]) {
    let prints = keyring.fingerprints();
    let pinned: Vec<&str> = prints.iter().map(String::as_str).collect();
    let Ok(signed) = verify_detached(keyring, &pinned, signature, DATA, NOW)
    else {
        return;
    };
    assert!(prints.contains(&signed.fingerprint));
    // No signature is good for two contents, or by a key that is not known.
    let other = &b"Signed\n"[..];
    let other = verify_detached(keyring, &pinned, signature, other, NOW);
    assert!(other.is_err(), "any content is signed");
    let none = verify_detached(keyring, &[], signature, DATA, NOW);
    assert!(none.is_err(), "without a key that is believed");
}

/// A keyring: two bytes with its length, the keyring, and a signature.
pub(crate) fn keyring(data: &[u8]) {
    let Some((len, rest)) = data.split_at_checked(2) else { return };
    let len = usize::from(u16::from_le_bytes([len[0], len[1]]));
    let (keys, signature) = rest.split_at(len.min(rest.len()));
    let Ok(keyring) = Keyring::parse(keys) else { return };
    let prints = keyring.fingerprints();
    assert!(!prints.is_empty() && prints.iter().all(|p| keyring.has(p)));
    check(&keyring, signature);
}
