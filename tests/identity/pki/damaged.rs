//! Directories that somebody or something has been at.

use super::{K3S, K8S, read_back};
use piflash::identity::{AuthorityError, K3s, K8s, Kept, Secret, Why};
use proptest::prelude::*;

#[test]
fn every_file_is_needed() {
    for missing in K3S.files().keys() {
        let mut files = read_back(&K3S.files());
        files.remove(*missing);
        let error = K3s::read(&files).unwrap_err();
        assert_eq!(error.file, *missing);
        assert!(matches!(error.why, Why::Missing), "{error:?}");
        assert_eq!(error.to_string(), format!("{missing} is missing"));
    }
    for missing in K8S.files().keys() {
        let mut files = read_back(&K8S.files());
        files.remove(*missing);
        let error = K8s::read(&files).unwrap_err();
        assert_eq!(error.file, *missing);
    }
}

#[test]
fn a_key_of_another_authority_is_noticed() {
    let mut files = read_back(&K3S.files());
    let other = files["tls/client-ca.key"].clone();
    files.insert("tls/server-ca.key".to_owned(), other);
    let error = K3s::read(&files).unwrap_err();
    assert_eq!(error.file, "tls/server-ca.crt");
    assert!(matches!(error.why, Why::Authority(AuthorityError::OtherKey)));
}

#[test]
fn a_clients_certificate_is_no_authority() {
    let mut files = read_back(&K3S.files());
    for kind in ["crt", "key"] {
        let admin = files[&format!("admin.{kind}")].clone();
        files.insert(format!("tls/client-ca.{kind}"), admin);
    }
    let error = K3s::read(&files).unwrap_err();
    assert!(matches!(error.why, Why::Authority(AuthorityError::NoAuthority)));
}

#[test]
fn an_admin_of_another_authority_is_noticed() {
    let mut files = read_back(&K8S.files());
    for kind in ["crt", "key"] {
        let other = K3S.files()[&*format!("admin.{kind}")].clone();
        files.insert(format!("admin.{kind}"), other);
    }
    let error = K8s::read(&files).unwrap_err();
    assert_eq!(error.file, "admin.crt");
    assert!(matches!(error.why, Why::Authority(AuthorityError::OtherIssuer)));
}

#[test]
fn a_public_key_of_another_pair_is_noticed() {
    let mut files = read_back(&K8S.files());
    let other = K8S.ca().to_owned();
    files.insert("pki/sa.pub".to_owned(), Secret::new(&other));
    assert_eq!(K8s::read(&files).unwrap_err().file, "pki/sa.pub");
}

#[test]
fn passwords_and_tokens_have_their_form() {
    for wrong in ["", "abc", "K10::node:secret", "zz\nzz"] {
        let mut files = read_back(&K3S.files());
        files.insert("agent-password".to_owned(), Secret::new(wrong));
        let error = K3s::read(&files).unwrap_err();
        assert_eq!(error.file, "agent-password");
        let mut files = read_back(&K8S.files());
        files.insert("bootstrap-token".to_owned(), Secret::new(wrong));
        let error = K8s::read(&files).unwrap_err();
        assert_eq!(error.file, "bootstrap-token");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_file_never_panics(
        which in 0..20_usize,
        at in any::<prop::sample::Index>(),
        byte in 0..128_u8,
    ) {
        let mut files = read_back(&K3S.files());
        let path = files.keys().nth(which % files.len()).unwrap().clone();
        let mut text = files[&path].reveal().as_bytes().to_vec();
        let at = at.index(text.len());
        text[at] = byte;
        let text = String::from_utf8(text).unwrap();
        files.insert(path, Secret::new(&text));
        drop(K3s::read(&files));
    }
}
