//! What a k3s cluster is before its first server has started.

use std::collections::BTreeMap;

use super::{
    authority::{Authority, AuthorityError, Certified},
    cluster::Kept,
    files::{Damaged, Files, Reader, put, put_line},
    rsa_key,
    secret::Secret,
};

/// Paths below `/var/lib/rancher/k3s/server/tls`, and below `tls/` of the
/// set of files.
const SERVER_CA: [&str; 2] = ["tls/server-ca.crt", "tls/server-ca.key"];
const CLIENT_CA: [&str; 2] = ["tls/client-ca.crt", "tls/client-ca.key"];
const REQUEST_HEADER_CA: [&str; 2] =
    ["tls/request-header-ca.crt", "tls/request-header-ca.key"];
const ETCD_PEER_CA: [&str; 2] =
    ["tls/etcd/peer-ca.crt", "tls/etcd/peer-ca.key"];
const ETCD_SERVER_CA: [&str; 2] =
    ["tls/etcd/server-ca.crt", "tls/etcd/server-ca.key"];
const AUTHORITIES: [[&str; 2]; 5] =
    [SERVER_CA, CLIENT_CA, REQUEST_HEADER_CA, ETCD_PEER_CA, ETCD_SERVER_CA];
const SERVICE_KEY: &str = "tls/service.key";
const ADMIN: [&str; 2] = ["admin.crt", "admin.key"];
const SERVER_PASSWORD: &str = "server-password";
const AGENT_PASSWORD: &str = "agent-password";

/// The authorities, keys and passwords of one k3s cluster.
///
/// Only servers may have more than [`K3s::agent_token`] of it.
#[derive(Clone, Debug)]
pub struct K3s {
    server_ca: Authority,
    client_ca: Authority,
    request_header_ca: Authority,
    etcd_peer_ca: Authority,
    etcd_server_ca: Authority,
    service_key: Secret,
    admin: Certified,
    server_password: Secret,
    agent_password: Secret,
}

impl Kept for K3s {
    const DIR: &'static str = "k3s";

    fn names() -> Vec<&'static str> {
        let pairs = AUTHORITIES.iter().chain([&ADMIN]).flatten().copied();
        pairs.chain([SERVICE_KEY, SERVER_PASSWORD, AGENT_PASSWORD]).collect()
    }

    /// Every authority is self-signed, as those are that k3s makes by itself.
    fn make(now: i64) -> Result<Self, AuthorityError> {
        let make =
            |name: &str| Authority::make(&format!("k3s-{name}-ca@{now}"), now);
        let client_ca = make("client")?;
        Ok(Self {
            server_ca: make("server")?,
            request_header_ca: make("request-header")?,
            etcd_peer_ca: make("etcd-peer")?,
            etcd_server_ca: make("etcd-server")?,
            service_key: rsa_key::make()?.private,
            admin: client_ca.client("system:admin", "system:masters", now)?,
            client_ca,
            server_password: Secret::random_hex(16),
            agent_password: Secret::random_hex(16),
        })
    }

    fn read(files: &BTreeMap<String, Secret>) -> Result<Self, Damaged> {
        let files = Reader(files);
        let password = |file| {
            files.line(file, "32 digits of hex", |text| {
                text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
            })
        };
        let client_ca = files.authority(CLIENT_CA)?;
        Ok(Self {
            server_ca: files.authority(SERVER_CA)?,
            request_header_ca: files.authority(REQUEST_HEADER_CA)?,
            etcd_peer_ca: files.authority(ETCD_PEER_CA)?,
            etcd_server_ca: files.authority(ETCD_SERVER_CA)?,
            service_key: rsa_key::read(&files, SERVICE_KEY)?.private,
            admin: files.client(&client_ca, ADMIN)?,
            client_ca,
            server_password: password(SERVER_PASSWORD)?,
            agent_password: password(AGENT_PASSWORD)?,
        })
    }

    fn files(&self) -> Files {
        let mut set = Files::new();
        for (files, authority) in self.authorities() {
            put(&mut set, files, authority.certified());
        }
        put(&mut set, ADMIN, &self.admin);
        set.insert(SERVICE_KEY, self.service_key.clone());
        put_line(&mut set, SERVER_PASSWORD, &self.server_password);
        put_line(&mut set, AGENT_PASSWORD, &self.agent_password);
        set
    }
}

impl K3s {
    /// Returns what a server has in `/var/lib/rancher/k3s/server/tls` before
    /// its first start, by paths below it.
    #[must_use]
    pub fn server_tls(&self) -> Files {
        let tls = self.files().into_iter().filter_map(|(path, text)| {
            Some((path.strip_prefix("tls/")?, text))
        });
        tls.collect()
    }

    /// Names what [`K3s::server_tls`] gives.
    pub fn server_tls_names() -> impl Iterator<Item = &'static str> {
        Self::names().into_iter().filter_map(|path| path.strip_prefix("tls/"))
    }

    /// Returns the token with which servers join.
    #[must_use]
    pub fn server_token(&self) -> Secret {
        self.token("server", &self.server_password)
    }

    /// Returns the token with which agents join; it makes no server.
    #[must_use]
    pub fn agent_token(&self) -> Secret {
        self.token("node", &self.agent_password)
    }

    /// Returns the client of a kubeconfig for the cluster's owner.
    #[must_use]
    pub fn admin(&self) -> &Certified {
        &self.admin
    }

    /// Returns the authority of the API server's certificate, as PEM.
    #[must_use]
    pub fn server_ca(&self) -> &str {
        self.server_ca.certificate()
    }

    /// The secure form: the client checks the server's authority against
    /// the digest before it tells the password.
    fn token(&self, user: &str, password: &Secret) -> Secret {
        let digest = self.server_ca.file_digest();
        Secret::new(&format!("K10{digest}::{user}:{}", password.reveal()))
    }

    fn authorities(&self) -> [([&'static str; 2], &Authority); 5] {
        [
            (SERVER_CA, &self.server_ca),
            (CLIENT_CA, &self.client_ca),
            (REQUEST_HEADER_CA, &self.request_header_ca),
            (ETCD_PEER_CA, &self.etcd_peer_ca),
            (ETCD_SERVER_CA, &self.etcd_server_ca),
        ]
    }
}
