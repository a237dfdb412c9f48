//! TLS in front of the server, a CA of its own, and a proxy that tunnels.

use super::server::Server;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair,
};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// What a server's certificate says.
pub struct Names<'a> {
    pub hosts: &'a [&'a str],
    /// Years: from the first of January to that of the other.
    pub valid: (i32, i32),
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// What clients have to trust.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    fn config(&self, names: &Names) -> Arc<ServerConfig> {
        let hosts = names.hosts.iter().map(|&host| host.to_owned());
        let mut params =
            CertificateParams::new(hosts.collect::<Vec<_>>()).unwrap();
        params.not_before = rcgen::date_time_ymd(names.valid.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(names.valid.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer);
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(
            ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.unwrap().der().clone()],
            PrivateKeyDer::Pkcs8(key),
        );
        Arc::new(config.unwrap())
    }
}

/// Listens on 127.0.0.1 until dropped.
struct Listener {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Listener {
    fn start(
        serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, stop) =
            (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (count, stopped) = (Arc::clone(&connections), Arc::clone(&stop));
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                let serve = Arc::clone(&serve);
                thread::spawn(move || {
                    // The client may go away at any time.
                    let _ = stream.and_then(|stream| {
                        let time = Some(Duration::from_secs(10));
                        stream.set_read_timeout(time)?;
                        stream.set_write_timeout(time)?;
                        serve(stream)
                    });
                });
            }
        });
        Self { address, connections, stop }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes it.
        let _ = TcpStream::connect(self.address);
    }
}

/// A server with TLS before it.
pub struct Tls(Listener);

impl Tls {
    pub fn before(server: &Server, by: &Authority, names: &Names) -> Self {
        let (config, behind) = (by.config(names), server.address());
        Self(Listener::start(move |stream| {
            let tls = ServerConnection::new(Arc::clone(&config));
            terminate(StreamOwned::new(tls.unwrap(), stream), behind)
        }))
    }

    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// `https://localhost:PORT` and the path.
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.0.address.port())
    }

    /// How often somebody came, whether or not he liked the certificate.
    pub fn connections(&self) -> usize {
        self.0.connections.load(Ordering::SeqCst)
    }
}

/// One request, and its answer.
fn terminate(
    mut client: StreamOwned<ServerConnection, TcpStream>,
    server: SocketAddr,
) -> io::Result<()> {
    let head = head_of(&mut client)?;
    let mut server = TcpStream::connect(server)?;
    server.write_all(head.as_bytes())?;
    io::copy(&mut server, &mut client)?;
    client.conn.send_close_notify();
    client.flush()?;
    client.sock.shutdown(Shutdown::Write)?;
    // Else what was not read would reset the connection.
    let _ = io::copy(&mut client.sock, &mut io::sink());
    Ok(())
}

/// Reads to the empty line, and not a byte more.
fn head_of(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    String::from_utf8(head).map_err(io::Error::other)
}

/// A proxy that tunnels (RFC 9110, section 9.3.6), to one server whatever it
/// is asked for.
pub struct Tunnel {
    listener: Listener,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    /// Wants the name and password `user:secret`, where `closed`.
    pub fn to(server: SocketAddr, closed: bool) -> Self {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&asked);
        let listener = Listener::start(move |mut client| {
            let head = head_of(&mut client)?;
            let target = head.strip_prefix("CONNECT ").unwrap_or(&head);
            let target = target.split(' ').next().unwrap_or_default();
            log.lock().unwrap().push(target.to_owned());
            // user:secret
            let may_pass =
                head.to_lowercase().contains(": basic dxnlcjpzzwnyzxq=");
            if closed && !may_pass {
                let no = b"HTTP/1.1 407 X\r\nContent-Length: 0\r\n\r\n";
                return client.write_all(no);
            }
            client.write_all(b"HTTP/1.1 200 X\r\n\r\n")?;
            tunnel(client, TcpStream::connect(server)?)
        });
        Self { listener, asked }
    }

    /// `http://user:PASSWORD@127.0.0.1:PORT`
    pub fn url(&self, password: &str) -> String {
        format!("http://user:{password}@{}", self.listener.address)
    }

    /// Takes the hosts and ports that were asked for.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn tunnel(client: TcpStream, server: TcpStream) -> io::Result<()> {
    let pipe = |mut from: &TcpStream, mut to: &TcpStream| {
        let copied = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
        copied
    };
    thread::scope(|scope| {
        scope.spawn(|| pipe(&client, &server));
        pipe(&server, &client)
    })?;
    Ok(())
}
