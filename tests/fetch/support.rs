pub use crate::support::archive::{pipe, xz, zip};
use crate::support::server::Server;
use piflash::{
    base::{
        cache::{Cache, CacheError, Cached, Wanted},
        digest::Sha256,
        fetch::{FetchOptions, Proxies},
        signature::{Keyring, Verification},
    },
    progress::Silent,
};
use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// An image with holes: data, zeros, data, and an odd end.
pub fn image() -> Vec<u8> {
    let text = b"a line that is like the next one\n".repeat(9000);
    let mut image = noise(700_000, 1);
    image.resize(1 << 20, 0);
    image.extend_from_slice(&text);
    image.resize(3 << 20, 0);
    image.extend_from_slice(&noise(300_001, 2));
    image
}

/// Options whose waits are noted instead of waited.
pub fn options() -> (FetchOptions, Arc<Mutex<Vec<Duration>>>) {
    let waits = Arc::<Mutex<Vec<Duration>>>::default();
    let noted = Arc::clone(&waits);
    let options = FetchOptions {
        proxies: Proxies::default(),
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(5),
        sleep: Arc::new(move |wait| noted.lock().unwrap().push(wait)),
        ..FetchOptions::default()
    };
    (options, waits)
}

/// A server, a cache and an image on the server.
pub struct Setup {
    pub server: Server,
    /// Removed at the end.
    _dir: tempfile::TempDir,
    pub cache: Cache,
    pub options: FetchOptions,
    pub keyring: Keyring,
    pub waits: Arc<Mutex<Vec<Duration>>>,
    pub image: Vec<u8>,
    pub packed: Vec<u8>,
    pub wanted: Wanted,
}

pub const PATH: &str = "/os/node.img.xz";

impl Setup {
    pub fn new() -> Self {
        let image = image();
        let packed = xz(&image);
        Self::with(image, packed)
    }

    pub fn with(image: Vec<u8>, packed: Vec<u8>) -> Self {
        let server = Server::start();
        server.put(PATH, &packed);
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().join("cache"));
        let (options, waits) = options();
        let wanted = Wanted {
            url: server.url(PATH),
            download_sha256: Some(Sha256::of(&packed)),
            download_size: Some(packed.len() as u64),
            image_sha256: Some(Sha256::of(&image)),
            image_size: Some(image.len() as u64),
            trust: Verification::PinnedHash,
            signed: None,
        };
        let keyring = Keyring::default();
        Self {
            server,
            _dir: dir,
            cache,
            options,
            keyring,
            waits,
            image,
            packed,
            wanted,
        }
    }

    /// Forgets everything about the content but the URL.
    pub fn unpinned(&mut self) {
        self.wanted.download_sha256 = None;
        self.wanted.image_sha256 = None;
        self.wanted.download_size = None;
        self.wanted.image_size = None;
        self.options.insecure = true;
    }

    pub fn get(&self) -> Result<Cached, CacheError> {
        self.cache.get(&self.wanted, &self.keyring, &self.options, &Silent)
    }

    /// Gets it and checks that it is the image.
    pub fn get_image(&self) -> Cached {
        let cached = self.get().unwrap_or_else(|e| panic!("{}", chain(&e)));
        self.is_image(&cached);
        cached
    }

    pub fn is_image(&self, cached: &Cached) {
        assert!(fs::read(&cached.path).unwrap() == self.image);
        assert_eq!(cached.image_sha256, Sha256::of(&self.image));
        assert_eq!(self.images().len(), 2, "{:?}", self.images());
        assert_eq!(names(&self.cache.dir().join("partial")), [""; 0]);
    }

    /// Gets it, fails, and leaves nothing under a good name.
    pub fn refused(&self) -> String {
        let error = self.get().expect_err("it was accepted");
        assert_eq!(self.images(), [""; 0]);
        assert_eq!(self.cache.list().unwrap(), []);
        assert!(!error.hint().is_empty());
        chain(&error)
    }

    pub fn images(&self) -> Vec<String> {
        names(&self.cache.dir().join("images"))
    }

    pub fn partial(&self) -> Vec<String> {
        names(&self.cache.dir().join("partial"))
    }
}

/// An error with its causes, as the program shows it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(&format!(": {error}"));
        next = error.source();
    }
    text
}

pub fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
