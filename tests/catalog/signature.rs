//! Detached signatures, made by GnuPG and by the pgp crate, judged by both
//! GnuPG and us.

use crate::support::gpg::Gpg;
use piflash::base::signature::{
    Keyring, KeyringError, RASPBERRY_PI, SignatureError, Signed, UBUNTU,
    Verification, verify_detached,
};
use proptest::prelude::*;
use std::{
    io::{self, Read},
    sync::LazyLock,
};

pub(super) const DATA: &[u8] =
    b"not quite an image of Raspberry Pi OS\r\n\0\xff\n";
/// Times of GnuPG's and in seconds.
pub(super) const T2020: &str = "20200101T000000";
pub(super) const MAY_2020: (&str, u32) = ("20200501T000000", 1_588_291_200);
const NOW: u64 = 1_800_000_000;

pub(super) fn verify(
    keyring: &[u8],
    pinned: &str,
    signature: &[u8],
    data: impl Read,
) -> Result<Signed, SignatureError> {
    let keyring = Keyring::parse(keyring).unwrap();
    verify_detached(&keyring, &[pinned], signature, data, NOW)
}

pub(super) fn refused(
    keyring: &[u8],
    pinned: &str,
    signature: &[u8],
) -> SignatureError {
    verify(keyring, pinned, signature, DATA).unwrap_err()
}

/// One key and one signature, for cases that change bytes of them.
struct Made {
    gpg: Gpg,
    key: String,
    keyring: Vec<u8>,
    signature: Vec<u8>,
}

static MADE: LazyLock<Made> = LazyLock::new(|| {
    let gpg = Gpg::new();
    let key = gpg.key(T2020, "vendor", &["ed25519", "sign", "never"]);
    let keyring = gpg.export("vendor");
    let signature = gpg.sign(MAY_2020.0, "vendor", DATA, &[]);
    Made { gpg, key, keyring, signature }
});

#[test]
fn what_gnupg_signs_is_believed() {
    for (primary, subkey) in [
        ("ed25519", None),
        ("rsa2048", None),
        ("rsa2048", Some("rsa2048")),
        ("ed25519", Some("ed25519")),
        ("rsa2048", Some("ed25519")),
    ] {
        let gpg = Gpg::new();
        let usage = if subkey.is_some() { "cert" } else { "default" };
        let name = "vendor";
        let key = gpg.key(T2020, name, &[primary, usage, "never"]);
        if let Some(subkey) = subkey {
            let add = ["--quick-add-key", &key, subkey, "sign", "never"];
            gpg.run_at(T2020, &add);
        }
        let binary = gpg.sign(MAY_2020.0, name, DATA, &[]);
        let armored = gpg.sign(MAY_2020.0, name, DATA, &["--armor"]);
        assert!(armored.starts_with(b"-----BEGIN PGP SIGNATURE-----"));
        let keyrings =
            [gpg.export(name), gpg.run(&["--armor", "--export", name])];
        let case = format!("{primary} {subkey:?}");
        for signature in [&binary, &armored] {
            assert!(gpg.believes(signature, DATA), "{case}");
            for keyring in &keyrings {
                let signed = verify(keyring, &key, signature, DATA);
                let expected =
                    Signed { fingerprint: key.clone(), time: MAY_2020.1 };
                assert_eq!(signed.expect(&case), expected);
                // One byte at a time, as a slow network would have it.
                let slow = Bytewise(DATA);
                assert!(verify(keyring, &key, signature, slow).is_ok());
                // Any other file is refused.
                for at in 0..DATA.len() {
                    let mut data = DATA.to_vec();
                    data[at] ^= 1;
                    let error = verify(keyring, &key, signature, &data[..]);
                    let error = error.unwrap_err();
                    assert!(matches!(error, SignatureError::Bad { .. }));
                }
                for data in [&DATA[1..], &DATA[..DATA.len() - 1], b""] {
                    let error = verify(keyring, &key, signature, data);
                    let error = error.unwrap_err();
                    assert!(matches!(error, SignatureError::Bad { .. }));
                }
            }
        }
    }
}

struct Bytewise<'a>(&'a [u8]);

impl Read for Bytewise<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let one = buf.len().min(1);
        self.0.read(&mut buf[..one])
    }
}

#[test]
fn a_damaged_signature_proves_nothing() {
    let Made { gpg, key, keyring, signature } = &*MADE;
    for end in 0..signature.len() {
        let error = refused(keyring, key, &signature[..end]);
        assert!(matches!(error, SignatureError::Malformed(_)), "{error}");
    }
    for at in 0..signature.len() * 8 {
        let mut changed = signature.clone();
        changed[at / 8] ^= 1 << (at % 8);
        // Parts are not signed, as the hint at the key; GnuPG decides.
        if verify(keyring, key, &changed, DATA).is_ok() {
            assert!(gpg.believes(&changed, DATA), "bit {at}");
        }
    }
    let armored = gpg.sign(MAY_2020.0, "vendor", DATA, &["--armor"]);
    let text = String::from_utf8(armored).unwrap();
    for lines in 0..text.lines().count() - 2 {
        let cut: String =
            text.lines().take(lines).map(|line| format!("{line}\n")).collect();
        let error = refused(keyring, key, cut.as_bytes());
        assert!(matches!(error, SignatureError::Malformed(_)), "{error}");
    }
    for other in [&b"<html>404</html>"[..], keyring, &[0xff; 70_000]] {
        let error = refused(keyring, key, other);
        assert!(matches!(error, SignatureError::Malformed(_)), "{error}");
    }
    // A signature of text forgives changed line ends: not of images.
    let text = gpg.sign(MAY_2020.0, "vendor", DATA, &["--textmode"]);
    let error = refused(keyring, key, &text);
    assert!(matches!(error, SignatureError::Malformed(_)), "{error}");
}

#[test]
fn other_keys_prove_nothing() {
    let Made { gpg: _, key, keyring, signature } = &*MADE;
    let gpg = Gpg::new();
    let other = gpg.key(T2020, "other", &["ed25519", "sign", "never"]);
    let both = [gpg.export("other"), keyring.clone()].concat();
    let by_other = gpg.sign(MAY_2020.0, "other", DATA, &[]);

    let error = refused(keyring, key, &by_other);
    assert!(
        matches!(&error, SignatureError::NoKey { key } if *key == other),
        "{error}"
    );
    let error = refused(&both, key, &by_other);
    assert_eq!(
        error.to_string(),
        format!(
            "the signature is by the key {other}, which is none of the \
             vendor's ({key})"
        )
    );
    // Of two signatures the known key's counts, wherever it stands.
    for signatures in [
        [&signature[..], &by_other].concat(),
        [&by_other, &signature[..]].concat(),
    ] {
        assert_eq!(
            verify(&both, key, &signatures, DATA).unwrap().fingerprint,
            *key
        );
        assert!(matches!(
            verify(&both, key, &signatures, &b"?"[..]).unwrap_err(),
            SignatureError::Bad { .. }
        ));
    }
    // No key at all is pinned.
    let ring = Keyring::parse(&both).unwrap();
    let error = verify_detached(&ring, &[], signature, DATA, NOW).unwrap_err();
    assert!(matches!(error, SignatureError::NotPinned { .. }), "{error}");
    // The vendors' own are, and these are none of them.
    for pinned in [RASPBERRY_PI, UBUNTU] {
        let error =
            verify_detached(&ring, pinned, signature, DATA, NOW).unwrap_err();
        assert!(matches!(error, SignatureError::NotPinned { .. }), "{error}");
        for print in pinned {
            assert!(print.len() == 40 && *print == print.to_uppercase());
        }
    }
}

#[test]
fn weak_digests_are_refused() {
    let gpg = Gpg::new();
    let key = gpg.key(T2020, "vendor", &["rsa2048", "sign", "never"]);
    for digest in ["SHA1", "MD5", "RIPEMD160", "SHA224"] {
        let options = ["--digest-algo", digest, "--allow-weak-digest-algos"];
        let weak = gpg.sign(MAY_2020.0, "vendor", DATA, &options);
        let error = refused(&gpg.export("vendor"), &key, &weak);
        let expected =
            format!("the signature by {key} uses {digest}, which is weak");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn keyrings_come_in_several_forms() {
    let Made { gpg, key, keyring, signature } = &*MADE;
    let other = Gpg::new();
    other.key(T2020, "other", &["ed25519", "sign", "never"]);
    let armored = |gpg: &Gpg| gpg.run(&["--armor", "--export"]);
    let joined = [armored(&other), armored(gpg)].concat();
    verify(&joined, key, signature, DATA).unwrap();
    assert_eq!(Keyring::parse(&joined).unwrap().fingerprints().len(), 2);

    let path = gpg.path("ring.gpg");
    gpg.write("ring.gpg", keyring);
    assert_eq!(Keyring::load(&path).unwrap().fingerprints(), [key.as_str()]);
    let error = Keyring::load(&gpg.path("none")).unwrap_err();
    assert!(error.to_string().ends_with("none cannot be read"), "{error}");
    let error = Keyring::load(&gpg.path("pubring.kbx")).unwrap_err();
    assert!(matches!(error, KeyringError::Keybox), "{error}");
    for wrong in [&b""[..], b"hello", signature, &keyring[..20]] {
        let error = Keyring::parse(wrong).unwrap_err();
        assert!(matches!(error, KeyringError::NoKey), "{error}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_no_bad_signature() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is on fire"))
        }
    }
    let Made { key, keyring, signature, .. } = &*MADE;
    let data = DATA.chain(Broken);
    let error = verify(keyring, key, signature, data).unwrap_err();
    let SignatureError::Read(source) = error else { panic!("{error}") };
    assert_eq!(source.to_string(), "the disk is on fire");
}

#[test]
fn states_have_names() {
    let fingerprint = UBUNTU[0].to_owned();
    let states = [
        Verification::Signature { fingerprint },
        Verification::PinnedHash,
        Verification::HashOnly,
        Verification::None,
    ];
    assert!(states.is_sorted());
    let names: Vec<String> = states.iter().map(|s| s.to_string()).collect();
    assert_eq!(
        names,
        [
            "signature by 843938DF228D22F7B3742BC0D94AA3F0EFE21092",
            "pinned hash",
            "hash only",
            "not verified"
        ]
    );
    for state in states {
        let json = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<Verification>(&json).unwrap(), state);
    }
}

proptest! {
    #[test]
    fn damaged_keyrings_and_signatures_are_survived(
        in_key: bool,
        changes: Vec<(prop::sample::Index, u8)>,
        cut: prop::sample::Index,
    ) {
        let Made { key, keyring, signature, .. } = &*MADE;
        let (mut keyring, mut signature) =
            (keyring.clone(), signature.clone());
        let changed = if in_key { &mut keyring } else { &mut signature };
        for (at, byte) in changes {
            let at = at.index(changed.len());
            changed[at] = byte;
        }
        changed.truncate(cut.index(changed.len() + 1));
        if let Ok(keyring) = Keyring::parse(&keyring) {
            let pinned = [key.as_str()];
            let _ = verify_detached(&keyring, &pinned, &signature, DATA, NOW);
        }
    }

    #[test]
    fn keyrings_and_signatures_of_any_bytes_are_survived(
        bytes: Vec<u8>,
        first in 0x80_u8..,
    ) {
        let Made { key, keyring, .. } = &*MADE;
        let bytes = [&[first][..], &bytes].concat();
        let _ = Keyring::parse(&bytes);
        let keyring = Keyring::parse(keyring).unwrap();
        let _ = verify_detached(&keyring, &[key], &bytes, DATA, NOW);
    }
}
