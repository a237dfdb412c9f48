//! What a kubeadm cluster is before `kubeadm init`.

use std::collections::BTreeMap;

use super::{
    authority::{Authority, AuthorityError, Certified},
    cluster::Kept,
    files::{Damaged, Files, Reader, Why, put, put_line},
    rsa_key::{self, RsaPair},
    secret::Secret,
};

/// Paths below `/etc/kubernetes/pki`, and below `pki/` of the set of files.
const CA: [&str; 2] = ["pki/ca.crt", "pki/ca.key"];
const FRONT_PROXY_CA: [&str; 2] =
    ["pki/front-proxy-ca.crt", "pki/front-proxy-ca.key"];
const ETCD_CA: [&str; 2] = ["pki/etcd/ca.crt", "pki/etcd/ca.key"];
const SA_KEY: &str = "pki/sa.key";
const SA_PUB: &str = "pki/sa.pub";
const ADMIN: [&str; 2] = ["admin.crt", "admin.key"];
const BOOTSTRAP_TOKEN: &str = "bootstrap-token";

/// The authorities, keys and bootstrap token of one kubeadm cluster.
///
/// Only control-plane nodes may have more of it than
/// [`K8s::bootstrap_token`] and [`K8s::ca_digest`].
#[derive(Clone, Debug)]
pub struct K8s {
    ca: Authority,
    ca_digest: String,
    front_proxy_ca: Authority,
    etcd_ca: Authority,
    sa_key: Secret,
    sa_pub: String,
    admin: Certified,
    bootstrap_token: Secret,
}

impl Kept for K8s {
    const DIR: &'static str = "k8s";

    fn names() -> Vec<&'static str> {
        let pairs = [CA, FRONT_PROXY_CA, ETCD_CA, ADMIN].into_iter().flatten();
        pairs.chain([SA_KEY, SA_PUB, BOOTSTRAP_TOKEN]).collect()
    }

    fn make(now: i64) -> Result<Self, AuthorityError> {
        let ca = Authority::make("kubernetes", now)?;
        let RsaPair { private, public } = rsa_key::make()?;
        let (id, secret) = (Secret::random_token(6), Secret::random_token(16));
        let token = format!("{}.{}", id.reveal(), secret.reveal());
        Ok(Self {
            ca_digest: ca.public_key_digest()?,
            front_proxy_ca: Authority::make("front-proxy-ca", now)?,
            etcd_ca: Authority::make("etcd-ca", now)?,
            sa_key: private,
            sa_pub: public,
            admin: ca.client("kubernetes-admin", "system:masters", now)?,
            ca,
            bootstrap_token: Secret::new(&token),
        })
    }

    fn read(files: &BTreeMap<String, Secret>) -> Result<Self, Damaged> {
        let files = Reader(files);
        let ca = files.authority(CA)?;
        let RsaPair { private, public } = rsa_key::read(&files, SA_KEY)?;
        if files.text(SA_PUB)?.reveal() != public {
            let why = Why::Form("the public half of sa.key");
            return Err(Damaged { file: SA_PUB, why });
        }
        let digest = ca.public_key_digest();
        Ok(Self {
            ca_digest: digest
                .map_err(|e| Damaged { file: CA[1], why: e.into() })?,
            admin: files.client(&ca, ADMIN)?,
            ca,
            front_proxy_ca: files.authority(FRONT_PROXY_CA)?,
            etcd_ca: files.authority(ETCD_CA)?,
            sa_key: private,
            sa_pub: public,
            bootstrap_token: files.line(
                BOOTSTRAP_TOKEN,
                "a bootstrap token like abcdef.0123456789abcdef",
                is_bootstrap_token,
            )?,
        })
    }

    fn files(&self) -> Files {
        let mut set = Files::new();
        put(&mut set, CA, self.ca.certified());
        put(&mut set, FRONT_PROXY_CA, self.front_proxy_ca.certified());
        put(&mut set, ETCD_CA, self.etcd_ca.certified());
        put(&mut set, ADMIN, &self.admin);
        set.insert(SA_KEY, self.sa_key.clone());
        set.insert(SA_PUB, Secret::new(&self.sa_pub));
        put_line(&mut set, BOOTSTRAP_TOKEN, &self.bootstrap_token);
        set
    }
}

impl K8s {
    /// Returns what a control-plane node has in `/etc/kubernetes/pki` before
    /// `kubeadm init` or `join`, by paths below it.
    #[must_use]
    pub fn pki(&self) -> Files {
        let pki = self.files().into_iter().filter_map(|(path, text)| {
            Some((path.strip_prefix("pki/")?, text))
        });
        pki.collect()
    }

    /// Names what [`K8s::pki`] gives.
    pub fn pki_names() -> impl Iterator<Item = &'static str> {
        Self::names().into_iter().filter_map(|path| path.strip_prefix("pki/"))
    }

    /// Returns the token with which nodes join.
    #[must_use]
    pub fn bootstrap_token(&self) -> &Secret {
        &self.bootstrap_token
    }

    /// Returns the digest of the authority's public key, an entry of
    /// `caCertHashes` (with its `sha256:`).
    #[must_use]
    pub fn ca_digest(&self) -> String {
        format!("sha256:{}", self.ca_digest)
    }

    /// Returns the client of a kubeconfig for the cluster's owner.
    #[must_use]
    pub fn admin(&self) -> &Certified {
        &self.admin
    }

    /// Returns the authority of the API server's certificate, as PEM.
    #[must_use]
    pub fn ca(&self) -> &str {
        self.ca.certificate()
    }
}

fn is_bootstrap_token(text: &str) -> bool {
    let is = |part: &str, len| {
        part.len() == len
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    matches!(text.split_once('.'), Some((id, secret)) if is(id, 6) && is(secret, 16))
}
