//! Vendors' signatures of downloads; keys and signatures are GnuPG's.

use super::{
    support::PATH,
    vendor::{MAY_2020, SIG, T2020, Vendor},
};
use crate::support::{gpg::Gpg, server::Step};
use piflash::base::{
    digest::Sha256,
    signature::{Keyring, Verification},
};
use std::fs;

#[test]
fn a_good_signature_is_recorded_and_stays() {
    let mut vendor = Vendor::new();
    let packed = vendor.setup.packed.clone();
    let armored = vendor.gpg.sign(MAY_2020, "vendor", &packed, &["--armor"]);
    for signature in [armored, vendor.sign(&packed)] {
        vendor.put_signature(&signature);
        assert!(vendor.gpg.believes(&signature, &packed));
        let first = vendor.signed();
        assert!(!first.hit);
        let asked: Vec<_> = vendor.setup.server.requests();
        let asked: Vec<_> = asked.iter().map(|r| r.target.as_str()).collect();
        assert_eq!(asked, [PATH, SIG]);
        let record = first.path.with_extension("json");
        let text = fs::read_to_string(&record).unwrap();
        assert!(text.contains("\"by\": \"signature\""), "{text}");
        assert!(text.contains(&vendor.key), "{text}");

        // Without network, keys, or knowing of signatures at all.
        vendor.setup.options.offline = true;
        vendor.setup.keyring = Keyring::default();
        let source = vendor.setup.wanted.signed.take();
        assert!(vendor.signed().hit);
        assert_eq!(vendor.setup.server.requests().len(), 0);

        vendor.setup.wanted.signed = source;
        vendor.setup.options.offline = false;
        let keys = vendor.gpg.export("vendor");
        vendor.setup.keyring = Keyring::parse(&keys).unwrap();
        fs::remove_file(record).unwrap();
    }
}

/// What only the signature can tell: no digest is known.
#[test]
fn a_flipped_bit_is_seen_by_the_signature_alone() {
    let vendor = Vendor::of_unknown();
    vendor.sign_image();
    let mut flipped = vendor.setup.packed.clone();
    flipped[300_000] ^= 1;
    vendor.setup.server.put(PATH, &flipped);
    let error = vendor.setup.refused();
    let expected = format!(
        "the vendor's signature is refused: bad signature by {}: the file \
         is not what was signed",
        vendor.key
    );
    assert!(error.contains(&expected), "{error}");
    assert_eq!(vendor.setup.partial(), [""; 0]);
    let packed = vendor.setup.packed.clone();
    vendor.setup.server.put(PATH, &packed);
    vendor.signed();
}

/// A part that a power cut damaged is replaced, if only the signature sees
/// it.
#[test]
fn a_resumed_download_is_signed_too() {
    let mut vendor = Vendor::of_unknown();
    vendor.setup.options.attempts = 1;
    vendor.sign_image();
    for damage in [false, true] {
        vendor.setup.server.script(PATH, [Step::Cut(500_000)]);
        vendor.setup.refused();
        let name = format!(
            "url-{}.part",
            Sha256::of(vendor.setup.wanted.url.as_bytes())
        );
        let part = vendor.setup.cache.dir().join("partial").join(name);
        let mut bytes = fs::read(&part).unwrap();
        assert_eq!(bytes.len(), 500_000);
        if damage {
            bytes[300_000] ^= 1;
            fs::write(&part, bytes).unwrap();
        }
        vendor.setup.server.requests();
        let cached = vendor.signed();
        let requests = vendor.setup.server.requests();
        let ranges: Vec<_> = requests
            .iter()
            .filter(|request| request.target == PATH)
            .map(|request| request.header("range").is_some())
            .collect();
        assert_eq!(ranges, if damage { vec![true, false] } else { vec![true] });
        fs::remove_file(cached.path.with_extension("json")).unwrap();
        fs::remove_file(cached.path).unwrap();
    }
}

/// Each though the pinned digest is right.
#[test]
fn bad_signatures_are_refused_whatever_the_digest_says() {
    let mut vendor = Vendor::new();
    let packed = vendor.setup.packed.clone();
    let good = vendor.sign(&packed);
    let other = Gpg::new();
    let stranger = other.key(T2020, "other", &["rsa2048", "sign", "never"]);
    let by_other = other.sign(MAY_2020, "other", &packed, &[]);
    let claimed = claim(&by_other, &stranger, &vendor.key);
    let brief = ["--default-sig-expire", "10d"];
    let brief = vendor.gpg.sign(MAY_2020, "vendor", &packed, &brief);
    // All keys that are pinned are there, so a stranger is one.
    vendor.source().pinned = vec![vendor.key.clone()];
    let of_other_file = vendor.sign(b"another file");
    for (name, signature, message) in [
        ("other file", &of_other_file[..], "the file is not what was signed"),
        ("stranger", &by_other, "has no key"),
        ("claims", &claimed, "the file is not what was signed"),
        ("expired", &brief, "expired on 2020-05-11"),
        ("truncated", &good[..good.len() - 9], "the signature is malformed"),
        ("empty", b"", "it is empty"),
        ("garbage", b"<html>please log in</html>", "is malformed"),
        ("large", &[0x88; 70_000], "more than 65536 bytes"),
    ] {
        vendor.put_signature(signature);
        let error = vendor.setup.refused();
        assert!(error.contains(message), "{name}: {error}");
        assert!(error.contains("signature is refused"), "{name}: {error}");
        let is_mismatch = vendor.setup.get().unwrap_err().is_mismatch();
        assert!(is_mismatch, "{name}");
    }
    // In the keyring, but not the vendor's.
    let keys = [vendor.gpg.export("vendor"), other.export("other")].concat();
    vendor.setup.keyring = Keyring::parse(&keys).unwrap();
    vendor.put_signature(&by_other);
    let error = vendor.setup.refused();
    let said = format!("by the key {stranger}, which is none of the vendor's");
    assert!(error.contains(&said), "{error}");

    // Nothing was wrong with the data then: it is not fetched again.
    vendor.setup.server.requests();
    vendor.put_signature(&good);
    vendor.signed();
    let requests = vendor.setup.server.requests();
    let asked: Vec<_> = requests.iter().map(|r| r.target.as_str()).collect();
    assert_eq!(asked, [SIG]);
}

/// Puts another issuer's fingerprint and key id into a signature.
fn claim(signature: &[u8], from: &str, to: &str) -> Vec<u8> {
    let bytes = |hex: &str| -> Vec<u8> {
        let pair = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16);
        (0..hex.len()).step_by(2).map(|at| pair(at).unwrap()).collect()
    };
    let (from, to) = (bytes(from), bytes(to));
    let mut changed = signature.to_vec();
    // A key id is the end of a fingerprint (RFC 9580, 5.5.4.2).
    for start in [0, 12] {
        let (from, to) = (&from[start..], &to[start..]);
        let places: Vec<usize> = (0..=changed.len() - from.len())
            .filter(|&at| changed[at..].starts_with(from))
            .collect();
        for at in places {
            changed[at..at + to.len()].copy_from_slice(to);
        }
    }
    assert_ne!(changed, signature);
    changed
}

#[test]
fn where_no_signature_can_be_had_the_digest_decides() {
    let vendor = Vendor::new();
    let why = vendor.unsigned();
    assert!(why.contains("node.img.xz.sig"), "{why}");
    assert!(why.contains("the server answers 404 (Not Found)"), "{why}");
    // What is in the cache stays as it is: its signature was of the
    // compressed file.
    vendor.sign_image();
    let again = vendor.setup.get_image();
    assert!(again.hit && again.unsigned.is_none());
    assert_eq!(again.verified, Verification::PinnedHash);

    let mut vendor = Vendor::new();
    vendor.sign_image();
    vendor.setup.wanted.trust = Verification::HashOnly;
    let busy = Step::Status(503, vec![]);
    vendor.setup.server.script(SIG, [busy.clone(), busy]);
    let why = vendor.unsigned();
    assert!(why.contains("gave up after 2 tries"), "{why}");

    let mut vendor = Vendor::new();
    vendor.sign_image();
    vendor.setup.keyring = Keyring::default();
    let why = vendor.unsigned();
    let said = format!("no keyring has the key {}, which made it", vendor.key);
    assert_eq!(why, said);

    let vendor = Vendor::new();
    let sha1 = ["--digest-algo", "SHA1", "--allow-weak-digest-algos"];
    let packed = &vendor.setup.packed;
    let weak = vendor.gpg.sign(MAY_2020, "vendor", packed, &sha1);
    vendor.put_signature(&weak);
    let why = vendor.unsigned();
    assert!(why.ends_with("uses SHA1, which is weak"), "{why}");

    // The key that is here is not that of this signature.
    let mut vendor = Vendor::new();
    let other = Gpg::new();
    let newer = other.key(T2020, "newer", &["rsa2048", "sign", "never"]);
    let packed = vendor.setup.packed.clone();
    vendor.put_signature(&other.sign(MAY_2020, "newer", &packed, &[]));
    vendor.source().pinned.push(newer.clone());
    let why = vendor.unsigned();
    assert!(why.contains(&newer), "{why}");
}

/// Records from before signatures say less than is to be known.
#[test]
fn an_image_with_an_older_record_is_fetched_again() {
    let vendor = Vendor::new();
    vendor.sign_image();
    let record = vendor.signed().path.with_extension("json");
    let text = fs::read_to_string(&record).unwrap();
    let mut old: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(old["format"], 2);
    old["format"] = 1.into();
    old["verified"] = "pinned-hash".into();
    fs::write(&record, old.to_string()).unwrap();
    assert_eq!(vendor.setup.cache.list().unwrap(), []);
    assert!(!vendor.signed().hit);
    assert!(vendor.signed().hit);
}
