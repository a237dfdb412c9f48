//! Keys from a server: believed for their fingerprint alone.

use super::vendor::{MAY_2020, T2020, Vendor};
use crate::support::gpg::Gpg;
use piflash::base::signature::{Keyring, Verification};

#[test]
fn a_key_server_is_asked_for_what_no_keyring_has() {
    let mut vendor = Vendor::new();
    vendor.sign_image();
    let (key, server) = (vendor.key.clone(), vendor.setup.server.url(""));
    vendor.source().pinned = vec![key.clone()];
    vendor.setup.keyring = Keyring::default();
    let at = vendor.key_path(&key);
    assert!(at.starts_with("/pks/lookup?op=get"), "{at}");
    assert!(at.ends_with(&format!("&search=0x{key}")), "{at}");
    let other = Gpg::new();
    let stranger = other.key(T2020, "other", &["rsa2048", "sign", "never"]);

    let why = vendor.unsigned();
    let said = format!("key server: download {server}/pks/lookup: the server");
    assert!(why.contains(&said), "{why}");
    for (wrong, said) in [
        (b"<html>not a key</html>".to_vec(), "no OpenPGP public key"),
        (other.export("other"), "no keyring has the key"),
    ] {
        vendor.forget();
        vendor.setup.server.put(&at, &wrong);
        let why = vendor.unsigned();
        assert!(why.contains(said), "{why}");
    }
    vendor.forget();
    let armored = vendor.gpg.run(&["--armor", "--export", "vendor"]);
    vendor.setup.server.put(&at, &armored);
    vendor.signed();

    // Now it is known whose the signature is not.
    vendor.forget();
    let by_other = other.sign(MAY_2020, "other", &vendor.setup.packed, &[]);
    vendor.put_signature(&by_other);
    let error = vendor.setup.refused();
    assert!(error.contains(&stranger), "{error}");
}

#[test]
fn of_a_key_that_had_expired_there_may_be_a_newer_copy() {
    let mut vendor = Vendor::new();
    let key = vendor.gpg.key(T2020, "brief", &["rsa2048", "sign", "30d"]);
    let old = vendor.gpg.export("brief");
    let expire = ["--quick-set-expire", &key, "3y"];
    vendor.gpg.run_at("20200110T000000", &expire);
    let packed = &vendor.setup.packed;
    let signature = vendor.gpg.sign(MAY_2020, "brief", packed, &[]);
    vendor.put_signature(&signature);
    vendor.setup.keyring = Keyring::parse(&old).unwrap();
    vendor.source().pinned = vec![key.clone()];
    let error = vendor.setup.refused();
    assert!(error.contains("expired on 2020-01-31"), "{error}");
    let at = vendor.key_path(&key);
    let error = vendor.setup.refused();
    assert!(error.contains("expired on 2020-01-31"), "{error}");
    vendor.setup.server.put(&at, &vendor.gpg.export("brief"));
    let verified = vendor.setup.get_image().verified;
    assert_eq!(verified, Verification::Signature { fingerprint: key });
}
