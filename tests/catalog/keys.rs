//! Keys that may not, or no longer, sign: expired, revoked, not bound.

use super::signature::{DATA, MAY_2020, T2020, refused, verify};
use crate::support::gpg::Gpg;
use pgp::{
    composed::{
        DetachedSignature, EncryptionCaps, KeyType, SecretKeyParamsBuilder,
        SignedPublicKey, SignedPublicSubKey, SignedSecretKey,
        SubkeyParamsBuilder,
    },
    crypto::hash::HashAlgorithm,
    packet::{
        KeyFlags, SignatureConfig, SignatureType, Subpacket, SubpacketData,
    },
    ser::Serialize,
    types::{KeyDetails, Password, Timestamp},
};
use piflash::base::signature::{Keyring, SignatureError, verify_detached};

const MAY_2021: &str = "20210501T000000";

#[test]
fn an_expired_key_signs_nothing_new() {
    let gpg = Gpg::new();
    let key = gpg.key(T2020, "vendor", &["ed25519", "sign", "1y"]);
    let short = gpg.export("vendor");
    let early = gpg.sign(MAY_2020.0, "vendor", DATA, &[]);
    gpg.run_at(MAY_2020.0, &["--quick-set-expire", &key, "3y"]);
    let long = gpg.export("vendor");
    let late = gpg.sign(MAY_2021, "vendor", DATA, &[]);
    // Both are long over today; what counts is the day of the signature.
    verify(&short, &key, &early, DATA).unwrap();
    verify(&long, &key, &early, DATA).unwrap();
    verify(&long, &key, &late, DATA).unwrap();
    let error = refused(&short, &key, &late);
    assert_eq!(
        error.to_string(),
        format!("the key {key} expired on 2020-12-31, before the signature")
    );
    // A stale copy of the key does no harm.
    verify(&[&short[..], &long].concat(), &key, &late, DATA).unwrap();

    let brief = ["--default-sig-expire", "10d"];
    let brief = gpg.sign(MAY_2020.0, "vendor", DATA, &brief);
    let error = refused(&long, &key, &brief);
    assert_eq!(
        error.to_string(),
        format!("the signature by {key} expired on 2020-05-11")
    );
    let ring = Keyring::parse(&long).unwrap();
    let then = u64::from(MAY_2020.1);
    verify_detached(&ring, &[&key], &brief, DATA, then).unwrap();

    // And a subkey's expiry is its own.
    let gpg = Gpg::new();
    let key = gpg.key(T2020, "vendor", &["ed25519", "cert", "never"]);
    gpg.run_at(T2020, &["--quick-add-key", &key, "ed25519", "sign", "1y"]);
    let short = gpg.export("vendor");
    gpg.run_at(MAY_2020.0, &["--quick-set-expire", &key, "3y", "*"]);
    let late = gpg.sign(MAY_2021, "vendor", DATA, &[]);
    verify(&gpg.export("vendor"), &key, &late, DATA).unwrap();
    let error = refused(&short, &key, &late);
    assert!(matches!(error, SignatureError::KeyExpired { .. }), "{error}");
}

/// Revokes the key `name` for GnuPG's reason of that number.
fn revoke(gpg: &Gpg, time: &str, key: &str, reason: u8) {
    gpg.write("answers", format!("y\n{reason}\n\ny\n").as_bytes());
    let answers = std::fs::File::open(gpg.path("answers")).unwrap();
    let certificate = gpg.talk(
        time,
        &["--command-fd", "0", "--output", "-", "--gen-revoke", key],
        answers,
    );
    gpg.write("revocation", &certificate);
    gpg.run_at(time, &["--import", "revocation"]);
}

#[test]
fn a_revoked_key_is_believed_no_longer() {
    for (reason, words, early_counts) in [
        (0, "no reason is given", false),
        (1, "it was compromised", false),
        (2, "it was superseded", true),
        (3, "it was retired", true),
    ] {
        let gpg = Gpg::new();
        let key = gpg.key(T2020, "vendor", &["ed25519", "sign", "never"]);
        let good = gpg.export("vendor");
        let early = gpg.sign(MAY_2020.0, "vendor", DATA, &[]);
        let late = gpg.sign(MAY_2021, "vendor", DATA, &[]);
        revoke(&gpg, "20210101T000000", &key, reason);
        let revoked = gpg.export("vendor");
        verify(&good, &key, &late, DATA).unwrap();
        let error = refused(&revoked, &key, &late).to_string();
        let expected =
            format!("the key {key} was revoked on 2021-01-01: {words}");
        assert_eq!(error, expected);
        let result = verify(&revoked, &key, &early, DATA);
        assert_eq!(result.is_ok(), early_counts, "{result:?}");
        // A copy without the revocation does not help.
        for both in [[&good[..], &revoked], [&revoked[..], &good]] {
            assert_eq!(refused(&both.concat(), &key, &late).to_string(), error);
        }
    }
}

/// A key of the pgp crate's with a signing subkey, and its secret half.
fn crafted(primary: KeyType, subkey: KeyType) -> SignedSecretKey {
    let subkey = SubkeyParamsBuilder::default()
        .key_type(subkey)
        .can_sign(true)
        .can_encrypt(EncryptionCaps::None)
        .build()
        .unwrap();
    SecretKeyParamsBuilder::default()
        .key_type(primary)
        .can_certify(true)
        .can_sign(true)
        .can_encrypt(EncryptionCaps::None)
        .primary_user_id("crafted <crafted@example.org>".into())
        .subkeys(vec![subkey])
        .build()
        .unwrap()
        .generate(rand::thread_rng())
        .unwrap()
}

fn signed_by(
    key: &impl pgp::types::SigningKey,
    digest: HashAlgorithm,
) -> Vec<u8> {
    DetachedSignature::sign_binary_data(
        rand::thread_rng(),
        key,
        &Password::empty(),
        digest,
        DATA,
    )
    .unwrap()
    .to_bytes()
    .unwrap()
}

fn upper(key: &impl KeyDetails) -> String {
    key.fingerprint().to_string().to_uppercase()
}

#[test]
fn what_the_pgp_crate_signs_is_believed_by_gnupg_and_us() {
    for (primary, subkey) in [
        (KeyType::Ed25519Legacy, KeyType::Ed25519Legacy),
        (KeyType::Rsa(2048), KeyType::Ed25519Legacy),
    ] {
        let secret = crafted(primary, subkey);
        let public = SignedPublicKey::from(secret.clone());
        let keyring = public.to_bytes().unwrap();
        let key = upper(&public.primary_key);
        let gpg = Gpg::new();
        gpg.write("key", &keyring);
        gpg.run(&["--import", "key"]);
        let sha512 = HashAlgorithm::Sha512;
        let sub = &secret.secret_subkeys[0].key;
        for signature in
            [signed_by(&secret.primary_key, sha512), signed_by(sub, sha512)]
        {
            assert!(gpg.believes(&signature, DATA));
            let signed = verify(&keyring, &key, &signature, DATA).unwrap();
            assert_eq!(signed.fingerprint, key);
        }
        // The subkey's fingerprint is not what is pinned.
        let error = refused(&keyring, &upper(sub), &signed_by(sub, sha512));
        assert!(matches!(error, SignatureError::NotPinned { .. }), "{error}");
    }
}

#[test]
fn a_subkey_must_be_bound_both_ways() {
    let ed25519 = || KeyType::Ed25519Legacy;
    let vendor = crafted(KeyType::Rsa(2048), ed25519());
    let other = crafted(ed25519(), ed25519());
    let key = upper(&vendor.primary_key);
    let by_other =
        signed_by(&other.secret_subkeys[0].key, HashAlgorithm::Sha256);
    let public = SignedPublicKey::from(vendor.clone());
    let mut stolen = SignedPublicKey::from(other).public_subkeys.remove(0);
    let refusal = |subkey: &SignedPublicSubKey| {
        let mut public = public.clone();
        public.public_subkeys = vec![subkey.clone()];
        refused(&public.to_bytes().unwrap(), &key, &by_other).to_string()
    };
    // Hung on to the vendor's key, with the other's binding.
    assert_eq!(
        refusal(&stolen),
        format!(
            "the key {key} cannot be used: its subkey has no valid binding"
        )
    );
    // Bound by the vendor, but the subkey's owner does not agree, or not for
    // signing.
    let bind = |sign: bool, digest: HashAlgorithm| {
        let primary = &vendor.primary_key;
        let mut config = SignatureConfig::v4(
            SignatureType::SubkeyBinding,
            primary.algorithm(),
            digest,
        );
        let mut flags = KeyFlags::default();
        flags.set_sign(sign);
        flags.set_authentication(true);
        let time = SubpacketData::SignatureCreationTime(Timestamp::now());
        config.hashed_subpackets = [time, SubpacketData::KeyFlags(flags)]
            .map(|data| Subpacket::regular(data).unwrap())
            .into();
        config
            .sign_subkey_binding(
                primary,
                primary.public_key(),
                &Password::empty(),
                &stolen.key,
            )
            .unwrap()
    };
    let sha256 = HashAlgorithm::Sha256;
    let unanswered = bind(true, sha256);
    let useless = bind(false, sha256);
    let weak = bind(true, HashAlgorithm::Sha1);
    for (binding, reason) in [
        (unanswered, "its subkey has not signed it"),
        (useless, "its subkey is not for signing files"),
        (weak, "its subkey has no valid binding"),
    ] {
        stolen.signatures = vec![binding];
        let expected = format!("the key {key} cannot be used: {reason}");
        assert_eq!(refusal(&stolen), expected);
    }
    // Nor is a primary key believed that says nothing of itself.
    let mut bare = public.clone();
    bare.details.users.clear();
    bare.details.direct_signatures.clear();
    let own = signed_by(&vendor.primary_key, sha256);
    verify(&public.to_bytes().unwrap(), &key, &own, DATA).unwrap();
    assert_eq!(
        refused(&bare.to_bytes().unwrap(), &key, &own).to_string(),
        format!(
            "the key {key} cannot be used: it has no valid signature of its \
             own"
        )
    );
}
