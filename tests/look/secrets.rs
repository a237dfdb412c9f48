//! No secret leaves an image unless it is asked for.

use super::{HASH, PSK, cards};

/// Everything of the node's that nobody else may know.
fn secrets() -> Vec<String> {
    let key =
        cards().env.read("build/secrets/nodes/node3/ssh_host_ed25519_key");
    let key = String::from_utf8(key).unwrap();
    let mut all: Vec<String> = key
        .lines()
        .filter(|line| !line.starts_with('-'))
        .map(str::to_owned)
        .collect();
    // The psk is kept as it is or as 64 hexadecimal digits.
    let root = cards().run(&[
        "inspect",
        "build/images/node3.img",
        "root:/etc/NetworkManager/system-connections/piflash-wlan0.nmconnection",
        "--show-secrets",
    ]);
    let psk = root.stdout.lines().find_map(|line| line.strip_prefix("psk="));
    all.push(psk.unwrap_or_else(|| panic!("{root}")).to_owned());
    all.push(PSK.to_owned());
    all.push(HASH.to_owned());
    all
}

#[test]
fn no_secret_is_shown_unless_asked_for() {
    let cards = cards();
    let image = "build/images/node3.img";
    let secrets = secrets();
    let connection = "root:/etc/NetworkManager/system-connections/\
        piflash-wlan0.nmconnection";
    let runs: [&[&str]; 12] = [
        &["inspect", image],
        &["inspect", image, "--json"],
        &["inspect", image, "root:"],
        &["inspect", image, "root:", "--json"],
        &["inspect", image, "root:/etc/shadow"],
        &["inspect", image, connection],
        &["inspect", image, "/etc/ssh/ssh_host_ed25519_key"],
        &["inspect", image, "/etc/piflash/ssh/ssh_host_ed25519_key"],
        &["inspect", image, "/etc/piflash/manifest.json"],
        &["diff", "base.img", image],
        &["diff", "build/images/node2.img", image],
        &["diff", image, "base.img", "--json"],
    ];
    for args in runs {
        let outcome = cards.run(args);
        for secret in &secrets {
            let shown = format!("{}{}", outcome.stdout, outcome.stderr);
            assert!(!shown.contains(secret), "{args:?}: {secret}");
        }
    }
    // What is not secret in those files is shown.
    let shadow = cards.run(&["inspect", image, "root:/etc/shadow"]);
    assert!(shadow.stdout.contains(":(masked):"), "{shadow}");
    assert!(shadow.stdout.contains("root:*:"), "{shadow}");
    assert!(shadow.stderr.contains("--show-secrets"), "{shadow}");
    let wifi = cards.run(&["inspect", image, connection]);
    assert!(wifi.stdout.contains("ssid=104;"), "{wifi}");
    assert!(wifi.stdout.contains("psk=(masked)"), "{wifi}");
    let key = cards.run(&["inspect", image, "/etc/ssh/ssh_host_ed25519_key"]);
    assert_eq!((key.code, &*key.stdout), (Some(2), ""), "{key}");

    let asked =
        cards.run(&["inspect", image, "root:/etc/shadow", "--show-secrets"]);
    assert!(asked.stdout.contains(HASH), "{asked}");
    assert_eq!(asked.stderr, "");
}

/// Nor a digest by which it could be guessed.
#[test]
fn no_digest_of_a_secret_is_shown() {
    let cards = cards();
    let listing =
        cards.run(&["inspect", "build/images/node3.img", "root:", "--json"]);
    let listing = super::json(&listing);
    let manifest = cards.run(&[
        "inspect",
        "build/images/node3.img",
        "/etc/piflash/manifest.json",
    ]);
    let manifest = super::json(&manifest);
    let mut checked = 0;
    for edit in manifest["edits"].as_array().unwrap() {
        if edit["secret"] != true {
            continue;
        }
        assert!(edit.get("sha256").is_none() && edit.get("size").is_none());
        let entries = listing["entries"].as_array().unwrap().iter();
        for entry in entries.filter(|entry| entry["path"] == edit["path"]) {
            assert_eq!(entry["secret"], true, "{entry}");
            assert!(entry.get("sha256").is_none(), "{entry}");
            checked += 1;
        }
    }
    assert!(checked >= 6, "{checked}");
}
