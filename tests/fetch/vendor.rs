//! A vendor that signs, by GnuPG.

use super::support::Setup;
use crate::support::gpg::Gpg;
use piflash::base::{
    cache::Cached,
    signature::{Keyring, Scheme, SignatureSource, Verification},
};
use std::fs;

pub const SIG: &str = "/os/node.img.xz.sig";
pub const SUMS: &str = "/os/SHA256SUMS";
pub const SUMS_SIG: &str = "/os/SHA256SUMS.gpg";
/// Long before any test runs.
pub const T2020: &str = "20200101T000000";
pub const MAY_2020: &str = "20200501T000000";

/// A server with an image, and the key that its vendor signs with.
pub struct Vendor {
    pub setup: Setup,
    pub gpg: Gpg,
    pub key: String,
}

impl Vendor {
    /// One that signs the image itself; no signature is there yet.
    pub fn new() -> Self {
        Self::with(Setup::new())
    }

    /// One whose image is not compressed, and nothing else is known of it.
    pub fn of_unknown() -> Self {
        let image = super::support::image();
        let mut setup = Setup::with(image.clone(), image);
        setup.unpinned();
        Self::with(setup)
    }

    pub fn with(mut setup: Setup) -> Self {
        let gpg = Gpg::new();
        let key = gpg.key(T2020, "vendor", &["rsa2048", "sign", "never"]);
        setup.keyring = Keyring::parse(&gpg.export("vendor")).unwrap();
        setup.options.attempts = 2;
        setup.wanted.signed = Some(SignatureSource {
            scheme: Scheme::File { signature: setup.server.url(SIG) },
            pinned: vec!["0".repeat(40), key.clone()],
            key_server: None,
        });
        Self { setup, gpg, key }
    }

    /// One that signs a list.
    pub fn of_sums(sums: &str) -> Self {
        let mut vendor = Self::new();
        vendor.source().scheme = Scheme::Sums {
            sums: vendor.setup.server.url(SUMS),
            signature: vendor.setup.server.url(SUMS_SIG),
            file: "node.img.xz".to_owned(),
        };
        vendor.setup.server.put(SUMS, sums.as_bytes());
        let signature = vendor.sign(sums.as_bytes());
        vendor.setup.server.put(SUMS_SIG, &signature);
        vendor
    }

    pub fn source(&mut self) -> &mut SignatureSource {
        self.setup.wanted.signed.as_mut().unwrap()
    }

    /// The path by which a key server on this machine has a key.
    pub fn key_path(&mut self, key: &str) -> String {
        let server = self.setup.server.url("");
        self.source().key_server = Some(server.clone());
        let url = self.source().key_url(key).unwrap();
        url.strip_prefix(&server).unwrap().to_owned()
    }

    /// Takes the image out of the cache.
    pub fn forget(&self) {
        let images = self.setup.cache.dir().join("images");
        for name in self.setup.images() {
            fs::remove_file(images.join(name)).unwrap();
        }
    }

    pub fn sign(&self, data: &[u8]) -> Vec<u8> {
        self.gpg.sign(MAY_2020, "vendor", data, &[])
    }

    pub fn put_signature(&self, signature: &[u8]) {
        self.setup.server.put(SIG, signature);
    }

    pub fn sign_image(&self) {
        self.put_signature(&self.sign(&self.setup.packed));
    }

    /// Gets the image, whose signature must be found good.
    pub fn signed(&self) -> Cached {
        let cached = self.setup.get_image();
        let fingerprint = self.key.clone();
        assert_eq!(cached.verified, Verification::Signature { fingerprint });
        assert!(cached.unsigned.is_none());
        cached
    }

    /// Gets the image, whose signature nothing is known of, and says why.
    pub fn unsigned(&self) -> String {
        let cached = self.setup.get_image();
        assert_eq!(cached.verified, self.setup.wanted.trust);
        let listed = self.setup.cache.list().unwrap();
        assert_eq!(listed[0].verified, cached.verified);
        cached.unsigned.expect("a reason").to_string()
    }
}
