//! A small HTTP/1.1 server that misbehaves on request.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// What is at a path.
#[derive(Clone, Default)]
pub struct Resource {
    pub body: Arc<Vec<u8>>,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    pub content_type: Option<String>,
    /// Answers 200 to every Range.
    pub no_ranges: bool,
    /// Sends no Content-Length.
    pub unsized_body: bool,
    /// A pause before each 64 KiB.
    pub pause: Duration,
    /// What happens to the next requests, one each.
    pub script: VecDeque<Step>,
}

/// What happens to one request.
#[derive(Clone, Debug)]
pub enum Step {
    /// Nothing special.
    Serve,
    /// The connection breaks after so many bytes of the body.
    Cut(usize),
    /// Another status, with header lines.
    Status(u16, Vec<(&'static str, String)>),
    /// 200 and everything, whatever range was asked for.
    Whole,
    /// 206 with a Content-Range of its own.
    Range(String),
    /// A Content-Length of its own.
    Length(u64),
    /// Bytes that are no HTTP, or an answer of one's own.
    Bytes(Vec<u8>),
    /// Nothing at all for this long.
    Hang(Duration),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// As in the request line: with host for a proxy.
    pub target: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Bytes of the body that were sent.
    pub sent: usize,
    id: u64,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

#[derive(Default)]
struct State {
    resources: BTreeMap<String, Resource>,
    requests: Vec<Request>,
    last_id: u64,
    active: usize,
    most: usize,
}

/// Serves until dropped.
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// On 127.0.0.1.
    pub fn start() -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST)
    }

    /// On this address, by which it is reached at 127.0.0.1 too.
    pub fn start_on(address: Ipv4Addr) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = (Ipv4Addr::LOCALHOST, port).into();
        let state = Arc::<Mutex<State>>::default();
        let stop = Arc::<AtomicBool>::default();
        let (shared, stopped) = (Arc::clone(&state), Arc::clone(&stop));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&shared);
                thread::spawn(move || {
                    // The client may go away at any time.
                    let _ = stream.and_then(|stream| serve(stream, &state));
                });
            }
        });
        Self { address, state, stop }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT` and the path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Puts `body` at `path` with an ETag of its content.
    pub fn put(&self, path: &str, body: &[u8]) {
        let etag = format!("\"{}\"", &super::sha256(body)[..16]);
        let body = Arc::new(body.to_vec());
        let resource =
            Resource { body, etag: Some(etag), ..Resource::default() };
        self.put_resource(path, resource);
    }

    pub fn put_resource(&self, path: &str, resource: Resource) {
        let mut state = self.state.lock().unwrap();
        state.resources.insert(path.to_owned(), resource);
    }

    pub fn change(&self, path: &str, change: impl FnOnce(&mut Resource)) {
        let mut state = self.state.lock().unwrap();
        change(state.resources.get_mut(path).unwrap());
    }

    /// Scripts what happens to the next requests for `path`.
    pub fn script(&self, path: &str, steps: impl IntoIterator<Item = Step>) {
        self.change(path, |resource| {
            resource.script = steps.into_iter().collect();
        });
    }

    /// The most requests that were answered at the same time.
    pub fn most_at_once(&self) -> usize {
        self.state.lock().unwrap().most
    }

    /// Takes the requests that have come so far.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

/// One request for each connection.
fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let Some(first) = lines.next() else { return Ok(()) };
    let first = first?;
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    // A proxy gets the whole URL.
    let path = match target.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/').unwrap_or(rest.len())..],
        None => &target,
    };
    let (resource, step, id) = {
        let mut state = state.lock().unwrap();
        // `.` is the directory itself: apt asks so.
        let path = path.replace("/./", "/");
        let resource = state.resources.get_mut(&path);
        let step = resource.map(|resource| {
            let step = resource.script.pop_front().unwrap_or(Step::Serve);
            (resource.clone(), step)
        });
        state.last_id += 1;
        state.active += 1;
        state.most = state.most.max(state.active);
        let id = state.last_id;
        let (target, headers) = (target.clone(), headers.clone());
        state.requests.push(Request { target, headers, sent: 0, id });
        let missing = || (Resource::default(), Step::Status(404, vec![]));
        let (resource, step) = step.unwrap_or_else(missing);
        (resource, step, id)
    };
    let count = |n: usize| {
        let mut state = state.lock().unwrap();
        // Unless the log was taken meanwhile.
        let mut requests = state.requests.iter_mut();
        if let Some(request) = requests.find(|request| request.id == id) {
            request.sent += n;
        }
    };
    let active = Active(state);
    answer(stream, &resource, step, &headers, &count, active)
}

/// A request that is being answered, until dropped.
struct Active<'a>(&'a Mutex<State>);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap().active -= 1;
    }
}

fn answer(
    mut stream: TcpStream,
    resource: &Resource,
    step: Step,
    headers: &BTreeMap<String, String>,
    count: &dyn Fn(usize),
    active: Active<'_>,
) -> std::io::Result<()> {
    let size = resource.body.len();
    let same = |validator: &String| {
        resource.etag.as_ref() == Some(validator)
            || resource.last_modified.as_ref() == Some(validator)
    };
    let wanted = headers
        .get("range")
        .filter(|_| !resource.no_ranges && !matches!(step, Step::Whole))
        .filter(|_| headers.get("if-range").is_none_or(same))
        .and_then(|range| {
            range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
        });
    let mut extra = Vec::new();
    let mut status = if wanted.is_some() { 206 } else { 200 };
    let start: usize = wanted.unwrap_or(0);
    if start >= size && wanted.is_some() {
        status = 416;
        extra.push(("Content-Range", format!("bytes */{size}")));
    } else if wanted.is_some() {
        let range = format!("bytes {start}-{}/{size}", size - 1);
        extra.push(("Content-Range", range));
    }
    let mut body = resource.body.get(start..).unwrap_or_default();
    let mut length = body.len() as u64;
    let mut cut = usize::MAX;
    match step {
        Step::Serve | Step::Whole => {}
        Step::Cut(n) => cut = n,
        Step::Status(other, lines) => {
            status = other;
            extra = lines;
            (body, length) = (b"", 0);
        }
        Step::Range(range) => {
            status = 206;
            extra = vec![("Content-Range", range)];
        }
        Step::Length(n) => length = n,
        Step::Bytes(bytes) => return stream.write_all(&bytes),
        Step::Hang(time) => {
            thread::sleep(time);
            return Ok(());
        }
    }
    let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
    let mut line = |name: &str, value: &str| {
        head.push_str(&format!("{name}: {value}\r\n"));
    };
    if !resource.unsized_body {
        line("Content-Length", &length.to_string());
    }
    if let Some(etag) = &resource.etag {
        line("ETag", etag);
    }
    if let Some(date) = &resource.last_modified {
        line("Last-Modified", date);
    }
    if let Some(kind) = &resource.content_type {
        line("Content-Type", kind);
    }
    for (name, value) in &extra {
        line(name, value);
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    let mut pieces = body[..body.len().min(cut)].chunks(64 << 10).peekable();
    let mut active = Some(active);
    while let Some(piece) = pieces.next() {
        thread::sleep(resource.pause);
        // Before the client can know, and ask for something else.
        if pieces.peek().is_none() {
            active = None;
        }
        stream.write_all(piece)?;
        count(piece.len());
    }
    drop(active);
    stream.flush()?;
    // Else what was not read of the request would reset the connection, and
    // the client might lose what was sent.
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let _ = stream.take(1 << 10).read_to_end(&mut Vec::new());
    Ok(())
}
