//! Signed lists of checksums.

use super::{
    support::Setup,
    vendor::{SUMS, SUMS_SIG, Vendor},
};
use crate::support::server::{Resource, Step};
use piflash::base::{cache::Unsigned, digest::Sha256};
use std::sync::Arc;

#[test]
fn a_signed_list_vouches_for_its_rows_alone() {
    let row = |bytes: &[u8], name: &str| {
        format!("{} *{name}\n", crate::support::sha256(bytes))
    };
    let packed = Setup::new().packed;
    let (right, wrong) =
        (row(&packed, "node.img.xz"), row(b"?", "node.img.xz"));
    let other = row(b"?", "other.img.xz");

    let vendor = Vendor::of_sums(&format!("{other}{right}"));
    vendor.signed();

    // The list was changed after it was signed.
    let vendor = Vendor::of_sums(&wrong);
    vendor.setup.server.put(SUMS, right.as_bytes());
    let error = vendor.setup.refused();
    assert!(
        error.contains("the signature of the vendor's SHA256SUMS is refused"),
        "{error}"
    );
    assert!(error.contains("bad signature by"), "{error}");
    // Nothing is wrong with the image.
    assert!(!vendor.setup.partial().is_empty());

    let vendor = Vendor::of_sums(&wrong);
    let error = vendor.setup.refused();
    let said = format!("but the vendor has signed {}", Sha256::of(b"?"));
    assert!(error.contains(&said), "{error}");
    assert_eq!(vendor.setup.partial(), [""; 0]);
    assert!(vendor.setup.get().unwrap_err().is_mismatch());

    // As of a point release that a newer one has taken the place of.
    let vendor = Vendor::of_sums(&other);
    let why = vendor.unsigned();
    assert!(why.ends_with("SHA256SUMS has no row for node.img.xz"), "{why}");

    for lacks in [SUMS, SUMS_SIG] {
        let vendor = Vendor::of_sums(&right);
        vendor.setup.server.script(lacks, [Step::Status(404, vec![])]);
        let why = vendor.unsigned();
        assert!(why.contains(&format!("{lacks}: the server")), "{why}");
    }
    let vendor = Vendor::of_sums(&right);
    vendor.setup.server.put(SUMS_SIG, b"garbage");
    let error = vendor.setup.refused();
    assert!(error.contains("the signature is malformed"), "{error}");
}

/// A list as large as a disk is no list.
#[test]
fn a_list_without_end_is_not_read() {
    let vendor = Vendor::of_sums("");
    let endless = Resource {
        body: Arc::new(vec![b'\n'; 3 << 20]),
        ..Resource::default()
    };
    vendor.setup.server.put_resource(SUMS, endless);
    let cached = vendor.setup.get_image();
    assert!(matches!(cached.unsigned, Some(Unsigned::Fetch(_))));
}
