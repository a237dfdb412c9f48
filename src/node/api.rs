//! The API server of a cluster, as far as it says which nodes are ready.

use std::{collections::BTreeMap, error::Error, io, io::Read, time::Duration};

use reqwest::{blocking::Client, redirect::Policy};
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;

use super::{
    kubeconfig::Kubeconfig,
    node_list::{NodeList, NodeObject},
    text::clean,
};

/// Of all nodes, in bytes; a node has some 20 KiB, most of it names of
/// container images.
const LARGEST: u64 = 16 << 20;

/// Asks the API servers of one cluster.
pub struct Api {
    client: Client,
    servers: Vec<String>,
}

/// A node as its cluster knows it. Texts are clean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registered {
    /// Its kubelet says that it is ready, and was heard of lately.
    pub ready: bool,
    /// Why it is not ready, or empty.
    pub why: String,
    /// Its kubelet's version.
    pub version: String,
}

/// Why a cluster does not say anything.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig cannot be used")]
    Client(#[source] Box<dyn Error + Send + Sync>),
    /// None of the servers answers.
    #[error("no API server answers at {server}")]
    Silent {
        /// The one asked first.
        server: String,
        /// What became of it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Somebody answers who is not of this cluster.
    #[error("{server} is not of this cluster: its certificate is foreign")]
    Foreign {
        /// Its URL.
        server: String,
        /// What is wrong with the certificate.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The client's certificate is of no use.
    #[error("{server} refuses the certificate of the kubeconfig")]
    Refused {
        /// Its URL.
        server: String,
    },
    /// The answer is none.
    #[error("{server} gives an answer that is none: {why}")]
    Malformed {
        /// Its URL.
        server: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Api {
    /// Makes a client for a kubeconfig; its server is asked first, then
    /// `others`, which are other masters' URLs. Each is given `patience`.
    ///
    /// # Errors
    /// If certificates or key are of no use.
    pub fn new(
        kubeconfig: &Kubeconfig,
        others: impl IntoIterator<Item = String>,
        patience: Duration,
    ) -> Result<Self, ApiError> {
        let tls = tls(kubeconfig).map_err(|e| ApiError::Client(e.into()))?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("piflash/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(patience)
            .timeout(patience)
            .redirect(Policy::none())
            .https_only(true)
            .no_proxy()
            .build()
            .map_err(|e| ApiError::Client(e.into()))?;
        let mut servers = vec![kubeconfig.server.clone()];
        for other in others {
            if !servers.contains(&other) {
                servers.push(other);
            }
        }
        Ok(Self { client, servers })
    }

    /// Asks which nodes there are.
    ///
    /// # Errors
    /// What became of the first server, if none answers.
    pub fn nodes(&self) -> Result<BTreeMap<String, Registered>, ApiError> {
        let mut first = None;
        for server in &self.servers {
            match self.nodes_of(server) {
                Ok(nodes) => return Ok(nodes),
                Err(error) => {
                    first.get_or_insert(error);
                }
            }
        }
        Err(first.unwrap_or_else(|| ApiError::Malformed {
            server: "the kubeconfig".to_owned(),
            why: "no server".to_owned(),
        }))
    }

    fn nodes_of(
        &self,
        server: &str,
    ) -> Result<BTreeMap<String, Registered>, ApiError> {
        let response = self
            .client
            .get(format!("{server}/api/v1/nodes"))
            .send()
            .map_err(|error| sorted(server, error))?;
        let malformed =
            |why| ApiError::Malformed { server: server.to_owned(), why };
        match response.status().as_u16() {
            200 => {}
            401 | 403 => {
                return Err(ApiError::Refused { server: server.to_owned() });
            }
            code => return Err(malformed(format!("HTTP status {code}"))),
        }
        let mut body = Vec::new();
        response.take(LARGEST).read_to_end(&mut body).map_err(|e| {
            ApiError::Silent { server: server.to_owned(), source: e.into() }
        })?;
        read(&body).map_err(malformed)
    }
}

/// Reads a list of nodes; the error says why it is none.
pub(super) fn read(
    body: &[u8],
) -> Result<BTreeMap<String, Registered>, String> {
    let list: NodeList = serde_json::from_slice(body)
        .map_err(|error| clean(&error.to_string(), 100))?;
    Ok(list.items.into_iter().map(registered).collect())
}

fn tls(kubeconfig: &Kubeconfig) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for certificate in &kubeconfig.authority {
        roots.add(certificate.clone())?;
    }
    let provider = rustls::crypto::ring::default_provider();
    ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(
            kubeconfig.certificate.clone(),
            kubeconfig.key.clone_key(),
        )
}

/// Tells who is not there from who is not to be trusted.
fn sorted(server: &str, error: reqwest::Error) -> ApiError {
    let server = server.to_owned();
    match tls_error(&error) {
        Some(rustls::Error::InvalidCertificate(_)) => {
            ApiError::Foreign { server, source: error.without_url().into() }
        }
        Some(rustls::Error::AlertReceived(_)) => ApiError::Refused { server },
        _ => ApiError::Silent { server, source: error.without_url().into() },
    }
}

/// Finds what TLS said below what others made of it.
fn tls_error<'e>(
    error: &'e (dyn Error + 'static),
) -> Option<&'e rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    // An io::Error's source is that of the error within.
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    if let Some(inner) = inner {
        return tls_error(inner);
    }
    tls_error(error.source()?)
}

fn registered(node: NodeObject) -> (String, Registered) {
    let (ready, why) = match node.status.condition("Ready") {
        Some(condition) if condition.status == "True" => (true, String::new()),
        Some(condition) => (false, clean(&condition.message, 200)),
        None => (false, "its kubelet said nothing yet".to_owned()),
    };
    let version = clean(&node.status.info.version, 40);
    (node.metadata.name, Registered { ready, why, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_says_of_nodes() {
        let text = r#"{"kind":"NodeList","items":[
            {"metadata":{"name":"node1","labels":{}},"status":{
              "conditions":[{"type":"MemoryPressure","status":"False"},
                {"type":"Ready","status":"True","message":"ok"}],
              "nodeInfo":{"kubeletVersion":"v1.37.1+k3s1"}}},
            {"metadata":{"name":"node2"},"status":{
              "conditions":[{"type":"Ready","status":"Unknown",
                "message":"Kubelet stopped\u001b[2J posting"}]}},
            {"metadata":{"name":"node3"}}]}"#;
        let list: NodeList = serde_json::from_str(text).unwrap();
        let nodes: BTreeMap<_, _> =
            list.items.into_iter().map(registered).collect();
        assert!(nodes["node1"].ready);
        assert_eq!(nodes["node1"].version, "v1.37.1+k3s1");
        assert!(!nodes["node2"].ready);
        assert_eq!(nodes["node2"].why, "Kubelet stopped posting");
        assert!(!nodes["node3"].ready);
    }
}
