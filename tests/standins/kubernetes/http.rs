//! As much of HTTP/1.1 over TLS as nodes and kubectl need: one request for
//! each connection.

use crate::Result;
use rustls::{
    ClientConfig, ClientConnection, ServerConfig, ServerConnection,
    StreamOwned, pki_types::ServerName,
};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream, ToSocketAddrs},
    sync::Arc,
    thread,
    time::Duration,
};

const TIMEOUT: Duration = Duration::from_secs(30);
const LARGEST_BODY: usize = 8 << 20;

pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// The client's certificate, DER, verified.
    pub client: Option<Vec<u8>>,
}

pub struct Response {
    pub status: u16,
    pub body: Vec<u8>,
    pub content_type: &'static str,
}

impl Response {
    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        let body = value.to_string().into_bytes();
        Self { status, body, content_type: "application/json" }
    }

    pub fn text(status: u16, text: &str) -> Self {
        let body = text.as_bytes().to_vec();
        Self { status, body, content_type: "text/plain" }
    }
}

/// Answers for ever.
pub fn serve(
    listener: &TcpListener,
    config: &Arc<ServerConfig>,
    answer: impl Fn(&Request) -> Response + Send + Sync + 'static,
) {
    let answer = Arc::new(answer);
    for stream in listener.incoming().flatten() {
        let (config, answer) = (Arc::clone(config), Arc::clone(&answer));
        thread::spawn(move || {
            if let Err(error) = one(stream, config, &*answer) {
                eprintln!("level=info msg=\"connection: {error}\"");
            }
        });
    }
}

fn one(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    answer: &dyn Fn(&Request) -> Response,
) -> Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut tls = StreamOwned::new(ServerConnection::new(config)?, stream);
    let (first, headers, body) = {
        let mut reader = BufReader::new(&mut tls);
        message(&mut reader)?
    };
    let client = tls.conn.peer_certificates();
    let client = client.and_then(|c| c.first()).map(|c| c.to_vec());
    let mut words = first.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let request = Request { method, path, query, headers, body, client };
    let response = answer(&request);
    eprintln!(
        "level=info msg=\"{} {} {}\"",
        request.method, request.path, response.status
    );
    write!(
        tls,
        "HTTP/1.1 {} -\r\nContent-Type: {}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        response.status,
        response.content_type,
        response.body.len()
    )?;
    tls.write_all(&response.body)?;
    tls.conn.send_close_notify();
    tls.flush()?;
    Ok(())
}

type Message = (String, BTreeMap<String, String>, Vec<u8>);

fn message(reader: &mut impl BufRead) -> Result<Message> {
    let first = line(reader)?;
    let mut headers = BTreeMap::new();
    loop {
        let line = line(reader)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or("no header")?;
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = Vec::new();
    match headers.get("content-length") {
        Some(len) => {
            let len: usize = len.parse()?;
            if len > LARGEST_BODY {
                return Err("too large".into());
            }
            body.resize(len, 0);
            reader.read_exact(&mut body)?;
        }
        None if headers.contains_key("transfer-encoding") => loop {
            let len = usize::from_str_radix(line(reader)?.trim(), 16)?;
            if len + body.len() > LARGEST_BODY {
                return Err("too large".into());
            }
            let begin = body.len();
            body.resize(begin + len, 0);
            reader.read_exact(&mut body[begin..])?;
            line(reader)?;
            if len == 0 {
                break;
            }
        },
        None => {}
    }
    Ok((first, headers, body))
}

fn line(reader: &mut impl BufRead) -> Result<String> {
    let mut bytes = Vec::new();
    reader.take(64 << 10).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Err(std::io::Error::from(ErrorKind::UnexpectedEof).into());
    }
    Ok(String::from_utf8(bytes)?.trim_end().to_owned())
}

/// One request to `https://HOST:PORT`.
pub struct Client {
    pub url: String,
    pub config: Arc<ClientConfig>,
    /// Value of the `Authorization` header.
    pub authorization: Option<String>,
}

impl Client {
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<(u16, Vec<u8>)> {
        let address = self
            .url
            .strip_prefix("https://")
            .ok_or_else(|| format!("not an https URL: {}", self.url))?
            .trim_end_matches('/');
        let (host, _) = address.rsplit_once(':').ok_or("a URL without port")?;
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(name.to_owned())?;
        let socket = address.to_socket_addrs()?.next().ok_or("no address")?;
        let stream = TcpStream::connect_timeout(&socket, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let connection = ClientConnection::new(Arc::clone(&self.config), name)?;
        let mut tls = StreamOwned::new(connection, stream);
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\n\
             Content-Length: {}\r\nConnection: close\r\n",
            body.len()
        );
        if let Some(value) = &self.authorization {
            head += &format!("Authorization: {value}\r\n");
        }
        for (key, value) in headers {
            head += &format!("{key}: {value}\r\n");
        }
        tls.write_all(format!("{head}\r\n").as_bytes())?;
        tls.write_all(body)?;
        tls.flush()?;
        let (first, _, body) = message(&mut BufReader::new(&mut tls))?;
        let status = first.split(' ').nth(1).ok_or("no status")?.parse()?;
        Ok((status, body))
    }
}
