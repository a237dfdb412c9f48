//! The API server's word on the nodes: a TLS server that wants the client
//! certificate of the kubeconfig, as Kubernetes does.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use piflash::identity::{Authority, Certified, kubeconfig};
use rcgen::{CertificateParams, Issuer, KeyPair, SanType};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use super::nodes::{DONE, Nodes, free_port};

/// Answers every request with one body, until dropped.
struct Api {
    port: u16,
    body: Arc<Mutex<String>>,
    stop: Arc<AtomicBool>,
}

impl Api {
    /// Its certificate is signed by the cluster's authority for servers, and
    /// it asks for one that is signed by that for clients.
    fn start(cluster: &Authorities) -> Self {
        let key = KeyPair::generate().unwrap();
        let ca = pkcs8(cluster.server.key().reveal());
        let ca = KeyPair::from_pem(&ca).unwrap();
        let issuer =
            Issuer::from_ca_cert_pem(cluster.server.certificate(), ca).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        for last in 1..5 {
            let ip = [127, 0, 0, last].into();
            params.subject_alt_names.push(SanType::IpAddress(ip));
        }
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let mut clients = RootCertStore::empty();
        let ca = cluster.client.certificate().as_bytes();
        clients.add(CertificateDer::from_pem_slice(ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(
            clients.into(),
            Arc::clone(&provider),
        )
        .build()
        .unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let body = Arc::new(Mutex::new(String::new()));
        let stop = Arc::<AtomicBool>::default();
        let (said, ended) = (Arc::clone(&body), Arc::clone(&stop));
        let config = Arc::new(config);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (config, said) = (Arc::clone(&config), Arc::clone(&said));
                // A client that is not let in is no matter here.
                thread::spawn(move || drop(serve(stream, config, &said)));
            }
        });
        Self { port, body, stop }
    }

    fn says(&self, body: &str) {
        body.clone_into(&mut self.body.lock().unwrap());
    }

    /// A NodeList with these rows: name and readiness.
    fn nodes(&self, rows: &[(&str, &str)]) {
        let items: Vec<String> = rows
            .iter()
            .map(|(name, ready)| {
                format!(
                    r#"{{"metadata":{{"name":"{name}"}},"status":{{"conditions":
                    [{{"type":"Ready","status":"{ready}","message":"\u001b[2Jsays the kubelet"
                    }}],"nodeInfo":{{"kubeletVersion":
                    "v1.37.1+k3s1"}}}}}}"#
                )
                .replace("\n                    ", "")
            })
            .collect();
        self.says(&format!("{{\"items\":[{}]}}", items.join(",")));
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(
    stream: std::io::Result<TcpStream>,
    config: Arc<ServerConfig>,
    body: &Mutex<String>,
) -> std::io::Result<()> {
    let connection =
        ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut tls = StreamOwned::new(connection, stream?);
    let mut lines = BufReader::new(&mut tls).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    while lines.next().is_some_and(|l| l.is_ok_and(|l| !l.is_empty())) {}
    drop(lines);
    let body = body.lock().unwrap().clone();
    let (status, body) = match request.as_str() {
        "GET /api/v1/nodes HTTP/1.1" => ("200 OK", body),
        _ => ("404 Not Found", String::new()),
    };
    write!(
        tls,
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n\
         {body}",
        body.len()
    )?;
    tls.flush()?;
    tls.conn.send_close_notify();
    tls.flush()
}

/// rcgen reads no SEC 1.
fn pkcs8(sec1: &str) -> String {
    use p256::pkcs8::{EncodePrivateKey, LineEnding};
    let key = p256::SecretKey::from_sec1_pem(sec1).unwrap();
    key.to_pkcs8_pem(LineEnding::LF).unwrap().to_string()
}

const NOW: i64 = 1_760_000_000;

fn put_kubeconfig(nodes: &Nodes, port: u16, ca: &str, admin: &Certified) {
    let server = format!("https://127.0.0.1:{port}");
    let text = kubeconfig("k3s", &server, ca, admin);
    nodes.env.write("build/k3s-config.yml", text.reveal());
}

/// Those of a cluster, as k3s has them: one for servers, one for clients.
struct Authorities {
    server: Authority,
    client: Authority,
    admin: Certified,
}

impl Authorities {
    fn make() -> Self {
        let server = Authority::make("k3s-server-ca", NOW).unwrap();
        let client = Authority::make("k3s-client-ca", NOW).unwrap();
        let admin = client.client("system:admin", "system:masters", NOW);
        Self { server, client, admin: admin.unwrap() }
    }
}

#[test]
fn the_clusters_word_counts() {
    let k3s = Authorities::make();
    let nodes = Nodes::k3s(&["node1", "node2"], 1);
    let api = Api::start(&k3s);
    put_kubeconfig(&nodes, api.port, k3s.server.certificate(), &k3s.admin);

    api.nodes(&[("node1", "True"), ("node2", "True")]);
    let outcome = nodes.run(&["status"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout.matches("Ready v1.37.1+k3s1").count(), 2);

    api.nodes(&[("node1", "True"), ("node2", "Unknown")]);
    let outcome = nodes.run(&["status"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stdout.contains("NotReady"), "{outcome}");
    let note = "node2: not ready: says the kubelet";
    assert!(outcome.stdout.contains(note), "{outcome}");
    assert!(outcome.stderr.contains("node2 is not done"), "{outcome}");

    api.nodes(&[("node1", "True")]);
    let outcome = nodes.run(&["status", "--json"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let json: serde_json::Value =
        serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(json["nodes"][0]["cluster"]["ready"], true);
    assert_eq!(json["nodes"][1]["cluster"]["registered"], false);
    assert_eq!(json["clusters"][0]["answered"], true);

    for (body, said) in [("[1", "none"), ("{\"items\":7}", "invalid type")] {
        api.says(body);
        let outcome = nodes.run(&["status"]);
        // The nodes' own word is left.
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert!(outcome.stdout.contains("no answer"), "{outcome}");
        assert!(outcome.stdout.contains(said), "{outcome}");
    }
}

#[test]
fn who_is_not_of_the_cluster_is_not_believed() {
    let (k3s, other) = (Authorities::make(), Authorities::make());
    let nodes = Nodes::k3s(&["node1"], 1);
    let said = |nodes: &Nodes| {
        let outcome = nodes.run(&["status", "--json"]);
        let json: serde_json::Value =
            serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(json["nodes"][0]["cluster"], serde_json::Value::Null);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        json["clusters"][0]["error"].as_str().unwrap().to_owned()
    };
    // Another server than the one whose authority is known.
    let api = Api::start(&other);
    api.nodes(&[("node1", "False")]);
    put_kubeconfig(&nodes, api.port, k3s.server.certificate(), &k3s.admin);
    let error = said(&nodes);
    assert!(error.contains("not of this cluster"), "{error}");
    // Another client than the server knows.
    put_kubeconfig(&nodes, api.port, other.server.certificate(), &k3s.admin);
    let error = said(&nodes);
    assert!(error.contains("refuses the certificate"), "{error}");
    // One that is signed by the wrong authority of the right cluster.
    let stranger = Authority::make("x", NOW).unwrap();
    let stranger = stranger.client("system:admin", "x", NOW).unwrap();
    put_kubeconfig(&nodes, api.port, other.server.certificate(), &stranger);
    let error = said(&nodes);
    assert!(error.contains("refuses the certificate"), "{error}");
    // Nobody.
    put_kubeconfig(&nodes, free_port(), k3s.server.certificate(), &k3s.admin);
    let error = said(&nodes);
    assert!(error.contains("no API server answers"), "{error}");
    // And a file that is none.
    nodes.env.write("build/k3s-config.yml", "clusters: [");
    let outcome = nodes.run(&["status"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("k3s-config.yml"), "{outcome}");
}

/// With `--watch`, the cluster's answer is waited for as well.
#[test]
fn watching_waits_for_the_cluster() {
    let k3s = Authorities::make();
    let nodes = Nodes::k3s(&["node1"], 1);
    nodes.start("node1", DONE);
    let api = Api::start(&k3s);
    api.nodes(&[("node1", "False")]);
    put_kubeconfig(&nodes, api.port, k3s.server.certificate(), &k3s.admin);
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(std::time::Duration::from_secs(5));
            api.nodes(&[("node1", "True")]);
        });
        nodes.run(&["status", "--watch"])
    });
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stdout.contains("NotReady"), "{outcome}");
    assert!(outcome.stdout.ends_with("v1.37.1+k3s1\n"), "{outcome}");
}
