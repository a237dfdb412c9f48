//! What the program says of vendors' signatures.

use crate::support::{env::Env, gpg::Gpg, image::Case, server::Server, sha256};
use piflash::{
    base::{
        cache::{Cache, Wanted},
        catalog::Catalog,
        digest::Sha256,
        fetch::{FetchOptions, Proxies},
        signature::{Keyring, Scheme, SignatureSource, Verification},
    },
    progress::Silent,
};
use serde_json::{Value, json};
use std::fs;

const PATH: &str = "/stock.img";

/// Vendors' hosts are not to be asked by a test: the signed image comes into
/// the cache by the library, and the program finds it there.
#[test]
fn a_signature_is_shown_by_every_later_build() {
    let env = Env::new();
    let raw = env.home().join("stock.img");
    Case::load("bullseye").write(&raw).unwrap();
    let raw = fs::read(raw).unwrap();
    let gpg = Gpg::new();
    let key = gpg.key("", "vendor", &["ed25519", "sign", "never"]);
    let server = Server::start();
    server.put(PATH, &raw);
    let signature = format!("{PATH}.sig");
    server.put(&signature, &gpg.sign("", "vendor", &raw, &[]));
    let wanted = Wanted {
        url: server.url(PATH),
        download_sha256: Some(Sha256::of(&raw)),
        download_size: None,
        image_sha256: None,
        image_size: None,
        trust: Verification::HashOnly,
        signed: Some(SignatureSource {
            scheme: Scheme::File { signature: server.url(&signature) },
            pinned: vec![key.clone()],
            key_server: None,
        }),
    };
    let keyring = Keyring::parse(&gpg.export("vendor")).unwrap();
    let options =
        FetchOptions { proxies: Proxies::default(), ..FetchOptions::default() };
    Cache::open(env.home().join(".cache/piflash"))
        .get(&wanted, &keyring, &options, &Silent)
        .unwrap();
    server.requests();

    env.write(
        "inventory.yml",
        "all:\n  hosts:\n    node1: {ansible_host: 10.0.0.1}\n\
         \x20 vars:\n    ssh_authorized_keys: []\n",
    );
    let (url, digest) = (server.url(PATH), sha256(&raw));
    let args = ["build", "node1", "--image", &url, "--image-sha256", &digest];
    let outcome = env.run(&[&args[..], &["--offline"]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let said = format!("  verified    signature by {key}\n");
    assert!(outcome.stderr.contains(&said), "{outcome}");
    assert_eq!(server.requests().len(), 0);
}

/// Puts a record into the cache, as a download of the image would.
fn record(env: &Env, id: &str, format: u32, verified: &Value) {
    let catalog = Catalog::embedded().unwrap();
    let entry = catalog.find(id).unwrap();
    let sha256 = entry.image.sha256.unwrap().to_string();
    let record = json!({
        "format": format,
        "url": entry.url,
        "url_sha256": sha256,
        "download_sha256": sha256,
        "download_size": 1,
        "compression": "xz",
        "image_sha256": sha256,
        "image_size": 1,
        "fetched": 1,
        "verified": verified,
        "mtime": [0, 0],
    });
    let images = env.home().join(".cache/piflash/images");
    fs::create_dir_all(&images).unwrap();
    let path = images.join(format!("{sha256}.json"));
    fs::write(path, record.to_string()).unwrap();
}

#[test]
fn the_list_has_what_was_recorded() {
    const ID: &str = "raspios-buster-armhf-2021-05-07";
    let env = Env::new();
    let cached = || {
        let outcome = env.run(&["images", ID, "--json"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let list: Value = serde_json::from_str(&outcome.stdout).unwrap();
        list["images"][0]["cached"].clone()
    };
    let signature = json!({"by": "signature", "fingerprint": "F4AADD86"});
    record(&env, ID, 2, &signature);
    assert_eq!(cached()["verification"], signature);
    let table = env.run(&["images", ID]);
    assert!(table.stdout.contains("  signature\n"), "{table}");
    // What came by a list's digest has since become part of the program.
    record(&env, ID, 2, &json!({"by": "hash-only"}));
    assert_eq!(cached()["verification"], json!({"by": "pinned-hash"}));
    record(&env, ID, 1, &json!("pinned-hash"));
    assert_eq!(cached(), Value::Null);
}

#[test]
fn keyrings_are_read_where_an_image_may_be_signed() {
    let env = Env::new();
    env.write(
        "inventory.yml",
        "all:\n  children:\n    raspbian:\n      hosts:\n\
         \x20       node1: {ansible_host: 10.0.0.1}\n\
         \x20 vars:\n    ssh_authorized_keys: []\n",
    );
    env.write("bad.gpg", "no key");
    let stock = ["build", "node1", "--offline"];
    for (file, said) in
        [("bad.gpg", "no OpenPGP public key"), ("none.gpg", "No such file")]
    {
        let outcome = env.run(&[&stock[..], &["--keyring", file]].concat());
        assert_eq!(outcome.code, Some(2), "{outcome}");
        assert!(outcome.stderr.contains(file), "{outcome}");
        assert!(outcome.stderr.contains(said), "{outcome}");
    }
    // One of the user's that is no good is left out, and named.
    let gpg = Gpg::new();
    gpg.key("", "vendor", &["ed25519", "sign", "never"]);
    let keyrings = env.home().join(".config/piflash/keyrings");
    fs::create_dir_all(&keyrings).unwrap();
    fs::write(keyrings.join("good.gpg"), gpg.export("vendor")).unwrap();
    fs::write(keyrings.join("bad.asc"), "no key").unwrap();
    let outcome = env.run(&stock);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let said = "warning: $HOME/.config/piflash/keyrings/bad.asc is left out";
    assert!(outcome.stderr.contains(said), "{outcome}");
    assert!(!outcome.stderr.contains("good.gpg"), "{outcome}");
    assert!(outcome.stderr.contains("not in the cache"), "{outcome}");
    let demo = env.run(&["build", "node1", "--image", "demo"]);
    assert_eq!(demo.code, Some(0), "{demo}");
    assert!(!demo.stderr.contains("keyring"), "{demo}");
}
