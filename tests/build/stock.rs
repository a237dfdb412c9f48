//! The vendors' own names, with a server of this machine behind them: the
//! program is told by its environment which proxy to ask and whom to trust.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{
    archive::xz,
    env::{Env, Outcome},
    files_under,
    image::Case,
    repository,
    server::Server,
    sha256,
    tls::{Authority, Names, Tls, Tunnel},
};

const LIST: &str = "/os_list_imagingutility_v4.json";
const IMAGE: &str = "/raspios_lite_arm64/images/raspios_lite_arm64-2027-01-12/\
                     2027-01-11-raspios-trixie-arm64-lite.img.xz";
const SUMS: &str = "/releases/noble/release/SHA256SUMS";
const UBUNTU: &str = "ubuntu-24.04.9-preinstalled-server-arm64+raspi.img.xz";

struct Vendors {
    server: Server,
    tunnel: Tunnel,
    _tls: Tls,
    env: Env,
    raw: Vec<u8>,
    packed: Vec<u8>,
}

impl Vendors {
    fn new() -> Self {
        let packed =
            std::fs::read(repository().join("images/demo/demo.img.zst"));
        let raw = zstd::decode_all(&packed.unwrap()[..]).unwrap();
        let packed = xz(&raw);
        let server = Server::start();
        server.put(IMAGE, &packed);
        let image = json!({
            "name": "Raspberry Pi OS Lite (64-bit)",
            "url": format!("https://downloads.raspberrypi.com{IMAGE}"),
            "extract_size": raw.len(),
            "extract_sha256": sha256(&raw),
            "image_download_size": packed.len(),
            "release_date": "2027-01-11",
            "devices": ["pi5-64bit", "pi4-64bit"],
        });
        let list = json!({"imager": {}, "os_list": [image]});
        server.put(LIST, list.to_string().as_bytes());
        let sums = format!("{} *{UBUNTU}\n", "c".repeat(64));
        server.put(SUMS, sums.as_bytes());

        let ca = Authority::new("stands in for all");
        let hosts = &[
            "downloads.raspberrypi.com",
            "cdimage.ubuntu.com",
            "old-releases.ubuntu.com",
            "keyserver.ubuntu.com",
        ];
        let names = Names { hosts, valid: (2020, 2100) };
        let tls = Tls::before(&server, &ca, &names);
        let tunnel = Tunnel::to(tls.address(), false);
        let env = Env::new();
        env.write("ca.pem", ca.pem());
        env.write(
            "inventory.yml",
            "all:\n  children:\n    raspbian:\n      hosts:\n\
             \x20       node3: {ansible_host: 10.0.0.3}\n\
             \x20 vars:\n    ssh_authorized_keys: []\n",
        );
        Self { server, tunnel, _tls: tls, env, raw, packed }
    }

    fn run(&self, args: &[&str]) -> Outcome {
        let ca = self.env.work().join("ca.pem");
        let vars = [
            ("SSL_CERT_FILE", ca.to_str().unwrap()),
            ("https_proxy", &self.tunnel.url("")),
        ];
        self.env.run_with(&vars, args)
    }

    fn update(&self) -> Outcome {
        let outcome = self.run(&["images", "update"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        outcome
    }

    /// What the cache has in a directory.
    fn left(&self, dir: &str) -> Vec<PathBuf> {
        let cache = self.env.home().join(".cache/piflash");
        files_under(&cache.join(dir))
    }

    fn refused(&self, said: &str) {
        let outcome = self.run(&["build", "node3"]);
        assert_eq!(outcome.code, Some(3), "{outcome}");
        assert!(outcome.stderr.contains(said), "`{said}`: {outcome}");
        assert!(!self.env.work().join("build").exists(), "{outcome}");
        assert_eq!(self.left("images"), Vec::<PathBuf>::new());
    }
}

#[test]
fn the_vendors_lists_are_read_and_the_newest_image_is_built() {
    let vendors = Vendors::new();
    let update = vendors.update();
    let list = format!("https://downloads.raspberrypi.com{LIST}: 1 new images");
    let sums = "https://cdimage.ubuntu.com/releases/noble/release/: 1 new";
    // A folder that is gone is no reason to fail.
    let gone = "impish/release/SHA256SUMS: download";
    for said in [&list, sums, gone] {
        assert!(update.stderr.contains(said), "`{said}`: {update}");
    }
    let mut asked = vendors.tunnel.asked();
    asked.sort();
    asked.dedup();
    let hosts = ["cdimage.ubuntu.com:443", "downloads.raspberrypi.com:443"];
    assert_eq!(asked, hosts);
    let listed = vendors.run(&["images", "--json", "ubuntu-24.04"]);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let images = listed["images"].as_array().unwrap();
    let newest = images.iter().find(|i| i["id"] == "ubuntu-24.04.9-arm64");
    let aliases = newest.unwrap()["aliases"].as_array().unwrap();
    assert!(aliases.contains(&json!("ubuntu-24.04")), "{aliases:?}");

    // Nothing but the inventory, and an empty cache.
    let first = vendors.run(&["build", "node3"]);
    assert_eq!(first.code, Some(0), "{first}");
    for said in [
        "raspios-trixie-arm64-2027-01-11",
        "verified    hash only",
        "not by its vendor's signature",
    ] {
        assert!(first.stderr.contains(said), "`{said}`: {first}");
    }
    assert!(vendors.tunnel.asked().iter().all(|host| host == hosts[1]));
    let built = vendors.env.read("build/images/node3.img");
    let second = vendors.run(&["build", "node3", "--offline", "--locked"]);
    assert_eq!(second.code, Some(0), "{second}");
    assert_eq!(vendors.tunnel.asked(), [""; 0]);
    assert!(vendors.env.read("build/images/node3.img") == built);
}

/// The catalogue knows sizes and the image's digest, and where a signature
/// would be.
#[test]
fn what_the_vendor_does_not_stand_for_is_refused() {
    let vendors = Vendors::new();
    let _ = vendors.update();
    let (raw, packed) = (&vendors.raw, &vendors.packed);
    let mut other = raw.clone();
    other[1 << 20] ^= 1;
    // Zeros in fours are no damage: another file of the same size.
    let mut other = xz(&other);
    other.truncate(packed.len());
    other.resize(packed.len(), 0);
    let longer = [&packed[..], &[0; 4]].concat();
    let shorter = packed[..packed.len() - 1].to_vec();
    for (served, said) in [
        (&longer, "bytes instead of"),
        (&shorter, "bytes instead of"),
        (&other, "the image's SHA-256 is"),
    ] {
        vendors.server.put(IMAGE, served);
        vendors.refused(said);
        assert_eq!(vendors.left("partial"), Vec::<PathBuf>::new());
    }
    vendors.server.put(IMAGE, packed);
    let signature = format!("{IMAGE}.sig");
    vendors.server.put(&signature, b"no signature at all");
    vendors.refused("the vendor's signature is refused");
    // The image may be good: with a signature that is, it is not sent again.
    vendors.server.put(&signature, b"");
    vendors.server.requests();
    vendors.refused("the vendor's signature is refused");
    let requests = vendors.server.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
}

/// Point releases leave the vendor's first server when the next one comes.
#[test]
fn a_superseded_image_is_looked_for_where_the_vendor_keeps_those() {
    let vendors = Vendors::new();
    let raw = vendors.env.home().join("ubuntu.img");
    Case::load("ubuntu-24.04").write(&raw).unwrap();
    let packed = xz(&std::fs::read(&raw).unwrap());
    let sums = format!("{} *{UBUNTU}\n", sha256(&packed));
    vendors.server.put(SUMS, sums.as_bytes());
    let _ = vendors.update();
    let _ = vendors.server.requests();
    let image = ["--image", "ubuntu-24.04.9-arm64"];
    let build = [&["build", "node3"], &image[..]].concat();

    // Gone from both: what is to be done is said.
    let outcome = vendors.run(&build);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let told = ["old-releases.ubuntu.com", "404", "piflash images update"];
    for said in told {
        assert!(outcome.stderr.contains(said), "`{said}`: {outcome}");
    }
    let asked: Vec<_> =
        vendors.server.requests().into_iter().map(|r| r.target).collect();
    let old = format!("/releases/noble/{UBUNTU}");
    let new = format!("/releases/noble/release/{UBUNTU}");
    assert_eq!(asked, [new, old.clone()]);

    vendors.server.put(&old, &packed);
    let outcome = vendors.run(&build);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let said = "is gone from https://cdimage.ubuntu.com/";
    assert!(outcome.stderr.contains(said), "{outcome}");
    // Another file there is refused like anywhere.
    let _ = std::fs::remove_dir_all(vendors.env.home().join(".cache/piflash"))
        .map(|()| vendors.update());
    vendors.server.put(&old, &vendors.packed);
    let outcome = vendors.run(&build);
    assert_eq!(outcome.code, Some(3), "{outcome}");
}

/// What is newer of its series is named.
#[test]
fn what_is_newer_than_an_image_that_is_gone_is_said() {
    let vendors = Vendors::new();
    for (id, newer) in [
        ("ubuntu-24.04.1-arm64", "ubuntu-24.04.5-arm64"),
        ("raspios-bookworm-arm64-2024-07-04", "raspios-bookworm-arm64-2"),
    ] {
        let args = ["build", "node3", "--image", id];
        let outcome = vendors.run(&args);
        assert_eq!(outcome.code, Some(1), "{outcome}");
        for said in [&format!("newer: {newer}"), "piflash images update"] {
            assert!(outcome.stderr.contains(said), "`{said}`: {outcome}");
        }
    }
}
