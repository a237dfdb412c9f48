//! A vendor of several images, and machines that want them.

use super::{env::Env, repository, server::Server, sha256};
use std::{fs, sync::OnceLock, time::Duration};

/// Serves images that differ in a gap which nothing reads.
pub struct Vendor {
    pub server: Server,
    pub images: Vec<Image>,
}

/// One of them.
pub struct Image {
    pub path: String,
    /// Of the compressed file.
    pub sha256: String,
    pub size: usize,
}

/// Between the partition table and the first partition of the demo image.
const GAP: usize = 1 << 20;
const HEAD: usize = 8 << 20;
/// What of each image cannot be compressed: 32 pieces of the server's.
const NOISE: usize = 2 << 20;

/// The demo image: its first bytes, and the rest, compressed.
fn demo() -> &'static (Vec<u8>, Vec<u8>) {
    static DEMO: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    DEMO.get_or_init(|| {
        let packed = fs::read(repository().join("images/demo/demo.img.zst"));
        let mut head = zstd::decode_all(&packed.unwrap()[..]).unwrap();
        let rest = head.split_off(HEAD);
        (head, zstd::encode_all(&rest[..], 1).unwrap())
    })
}

fn image(seed: u64) -> Vec<u8> {
    let (head, rest) = demo();
    let mut head = head.clone();
    let mut state = seed;
    for byte in &mut head[GAP..GAP + NOISE] {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = (state >> 32) as u8;
    }
    // Two frames are one file.
    let mut packed = zstd::encode_all(&head[..], 1).unwrap();
    packed.extend_from_slice(rest);
    packed
}

impl Vendor {
    /// Serves `count` images, with a pause before each of their 33 pieces.
    pub fn start(count: u64, pause: Duration) -> Self {
        let server = Server::start();
        let images = (1..=count)
            .map(|number| {
                let packed = image(number);
                let path = format!("/os/{number}.img.zst");
                server.put(&path, &packed);
                server.change(&path, |resource| resource.pause = pause);
                Image { path, sha256: sha256(&packed), size: packed.len() }
            })
            .collect();
        Self { server, images }
    }

    /// A machine whose node N wants the image with the N-th of these indexes.
    pub fn customer(&self, wanted: &[usize]) -> Env {
        let env = Env::new();
        let mut hosts = String::new();
        for (at, index) in wanted.iter().enumerate() {
            let image = &self.images[*index];
            let node = at + 1;
            hosts += &format!(
                "    node{node}:\n      ansible_host: 10.0.0.{node}\n\
                 \x20     image: {}\n      image_sha256: {}\n",
                self.server.url(&image.path),
                image.sha256
            );
        }
        let vars = "  vars:\n    ssh_authorized_keys: []\n";
        env.write("inventory.yml", format!("all:\n  hosts:\n{hosts}{vars}"));
        env
    }

    /// No pauses any more.
    pub fn hurry(&self) {
        for image in &self.images {
            let none = Duration::ZERO;
            self.server.change(&image.path, |resource| resource.pause = none);
        }
    }

    /// Forgets the requests so far, and returns the paths of them, sorted.
    pub fn asked(&self) -> Vec<String> {
        let requests = self.server.requests();
        let mut paths: Vec<_> =
            requests.into_iter().map(|request| request.target).collect();
        paths.sort();
        paths
    }
}
