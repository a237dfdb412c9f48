/// How a vendor signs a file, where the signature is, and whose it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureSource {
    /// What the signature is over.
    pub scheme: Scheme,
    /// Fingerprints of the primary keys that are believed, in upper-case hex.
    pub pinned: Vec<String>,
    /// `https://host` of a server that has the vendor's keys, asked for one
    /// that no keyring has. It need not be trusted: a key is believed for
    /// its fingerprint.
    pub key_server: Option<String>,
}

/// What a detached signature is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// The file itself, as it is downloaded.
    File {
        /// URL of the signature.
        signature: String,
    },
    /// A list as sha256sum(1) writes it, in which the file has a row.
    Sums {
        /// URL of the list.
        sums: String,
        /// URL of the list's signature.
        signature: String,
        /// The file's name in the list.
        file: String,
    },
}

impl SignatureSource {
    /// Returns the URL by which the key server has a key: HTTP Keyserver
    /// Protocol (draft-gallagher-openpgp-hkp), `op=get` by fingerprint.
    #[must_use]
    pub fn key_url(&self, fingerprint: &str) -> Option<String> {
        let server = self.key_server.as_ref()?;
        Some(format!(
            "{server}/pks/lookup?op=get&options=mr&search=0x{fingerprint}"
        ))
    }
}
