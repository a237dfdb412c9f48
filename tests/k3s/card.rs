//! Which secrets are on which card: read back by others, all of them, from
//! both partitions.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::inventory;
use crate::support::{
    env::Env, ext4_view::Ext4View, files_under, image::Case, oracle,
    releases::Releases, tree,
};

/// What makes a file of `build/secrets` known again, wherever it stands: a
/// line of its own, without what all keys have in common.
fn mark(content: &str) -> String {
    let lines: Vec<&str> = content.lines().collect();
    match lines[..] {
        [line] => line.to_owned(),
        // Behind the key's kind and curve.
        _ => lines[lines.len() / 2].to_owned(),
    }
}

/// Every secret of the build, by its path below `build/secrets`.
fn secrets(env: &Env) -> BTreeMap<String, String> {
    let top = env.work().join("build/secrets");
    files_under(&top)
        .into_iter()
        .filter_map(|path| {
            let name = path.strip_prefix(&top).unwrap().display().to_string();
            let text = fs::read_to_string(&path).unwrap();
            let public = [".pub", ".crt", ".gitignore", ".lock"];
            let secret = !public.iter().any(|end| name.ends_with(end));
            secret.then(|| (name, mark(&text)))
        })
        .collect()
}

/// Where on a card, as `path mode owner`, which secret is.
fn found(
    image: &Path,
    case: &Case,
    secrets: &BTreeMap<String, String>,
) -> BTreeMap<String, BTreeSet<String>> {
    let (boot, root) = case.offsets();
    let mut found = BTreeMap::<String, BTreeSet<String>>::new();
    let view = Ext4View::open(image, root);
    for line in tree::ext4(image, root).unwrap() {
        let fields: Vec<&str> = line.split(' ').collect();
        let ["root", ..] = fields[0].split('/').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let path = &fields[0]["root".len()..];
        if fields[3] == "-" || fields.len() != 5 || path.is_empty() {
            continue;
        }
        let content = view.0.read(path).unwrap();
        let content = String::from_utf8_lossy(&content);
        for (name, mark) in secrets {
            if content.contains(mark) {
                let at = format!("{path} {} {}", fields[1], fields[2]);
                found.entry(name.clone()).or_default().insert(at);
            }
        }
    }
    let fat = tempfile::tempdir().unwrap();
    oracle::mcopy_all(image, boot, fat.path()).unwrap();
    for file in files_under(fat.path()) {
        let content = fs::read(&file).unwrap();
        let content = String::from_utf8_lossy(&content);
        for (name, mark) in secrets {
            assert!(!content.contains(mark), "{name} in {}", file.display());
        }
    }
    found
}

/// Whether a secret lies anywhere in the bytes of an image, in a file or not.
fn lies_in(image: &[u8], mark: &str) -> bool {
    let mark = mark.as_bytes();
    image
        .chunks(4096)
        .filter(|block| block.iter().any(|byte| *byte != 0))
        .any(|block| block.windows(mark.len()).any(|bytes| bytes == mark))
}

#[test]
fn every_card_of_k3s_has_what_it_needs_and_no_more() {
    let case = Case::load("trixie");
    let env = Env::new();
    case.write(&env.work().join("base.img")).unwrap();
    let releases = Releases::start();
    env.write("inventory.yml", inventory(&releases.variables()));
    let nodes = ["node1", "node2", "node4"];
    let args = [&["build"], &nodes[..], &["--image", "base.img"]].concat();
    let outcome = env.run(&args);
    assert_eq!(outcome.code, Some(0), "{outcome}");

    let secrets = secrets(&env);
    let authorities = [
        "client-ca",
        "etcd/peer-ca",
        "etcd/server-ca",
        "request-header-ca",
        "server-ca",
    ];
    let keys = authorities.map(|name| format!("tls/{name}.key"));
    let keys: Vec<String> =
        keys.into_iter().chain(["tls/service.key".to_owned()]).collect();
    let at = |path: &str| format!("{path} 0600 0:0");
    for node in nodes {
        let image = env.work().join(format!("build/images/{node}.img"));
        let mut expected = BTreeMap::<String, BTreeSet<String>>::new();
        let mut expect = |name: &str, paths: &[&str]| {
            let paths = paths.iter().map(|path| at(path)).collect();
            expected.insert(name.to_owned(), paths);
        };
        for kind in ["ecdsa", "ed25519"] {
            let key = format!("ssh_host_{kind}_key");
            expect(
                &format!("nodes/{node}/{key}"),
                &[
                    &format!("/etc/ssh/{key}"),
                    &format!("/etc/piflash/ssh/{key}"),
                ],
            );
        }
        expect(
            &format!("nodes/{node}/k3s-node-password"),
            &["/etc/rancher/node/password"],
        );
        let config = "/etc/rancher/k3s";
        match node {
            "node4" => {
                expect("k3s/agent-password", &[&format!("{config}/token")]);
            }
            _ => {
                expect("k3s/server-password", &[&format!("{config}/token")]);
                expect(
                    "k3s/agent-password",
                    &[&format!("{config}/agent-token")],
                );
            }
        }
        if node == "node1" {
            for key in &keys {
                let path = format!("/var/lib/rancher/k3s/server/{key}");
                expect(&format!("k3s/{key}"), &[&path]);
            }
        }
        assert_eq!(found(&image, &case, &secrets), expected, "{node}");

        // Nor in what is left over between the files.
        let bytes = fs::read(&image).unwrap();
        for (name, mark) in &secrets {
            let expected = expected.contains_key(name);
            assert_eq!(lies_in(&bytes, mark), expected, "{node}: {name}");
        }
    }

    // What is printed and kept beside has none of them either.
    let lock = env.work().join("piflash.lock");
    let lock = fs::read_to_string(lock).unwrap_or_default();
    let plan = env.run(&["plan", "node1", "--image", "base.img", "--json"]);
    for (name, mark) in &secrets {
        for said in [&outcome.stderr, &lock, &plan.stdout] {
            assert!(!said.contains(mark.as_str()), "{name}: {said}");
        }
    }
}

/// The directories above the secrets let nobody in.
#[test]
fn folders_of_secrets_are_closed() {
    let case = Case::load("trixie");
    let env = Env::new();
    case.write(&env.work().join("base.img")).unwrap();
    let releases = Releases::start();
    env.write("inventory.yml", inventory(&releases.variables()));
    let outcome = env.run(&["build", "node1", "--image", "base.img"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let image = env.work().join("build/images/node1.img");
    let lines = tree::ext4(&image, case.offsets().1).unwrap();
    for dir in [
        "/etc/rancher/k3s",
        "/etc/piflash",
        "/var/lib/rancher/k3s/server",
        "/var/lib/rancher/k3s/server/tls",
    ] {
        let closed = format!("root{dir} 0700 0:0 - -");
        assert!(lines.contains(&closed), "{dir}");
    }
    oracle::e2fsck(&image, case.offsets().1).unwrap();

    // Once written to the cluster's owner, for the owner alone.
    let config = env.work().join("build/k3s-config.yml");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(&config).unwrap().permissions(),
    );
    assert_eq!(mode & 0o7777, 0o600);
    let view = |path: &str| {
        let config = format!("--kubeconfig={}", config.display());
        let output = format!("-ojsonpath={{{path}}}");
        let args = [&*config, "config", "view", "--raw", "--minify", &output];
        String::from_utf8(oracle::run("kubectl", &args).unwrap()).unwrap()
    };
    let server = view(".clusters[0].cluster.server");
    assert_eq!(server, "https://192.168.71.21:6443");

    // The client of the kubeconfig is one to the authority on the card.
    let dir = tempfile::tempdir().unwrap();
    let tls = "/var/lib/rancher/k3s/server/tls";
    let view_card = Ext4View::open(&image, case.offsets().1);
    for ca in ["client-ca", "server-ca"] {
        let pem = view_card.0.read(format!("{tls}/{ca}.crt").as_str());
        fs::write(dir.path().join(ca), pem.unwrap()).unwrap();
    }
    let client = view(".users[0].user.client-certificate-data");
    let client =
        oracle::run_with("openssl", &["base64", "-d", "-A"], client.as_bytes());
    let client_path = dir.path().join("client");
    fs::write(&client_path, client.unwrap()).unwrap();
    let now = crate::support::image::TIME;
    // A clock that is five days behind, and a year on.
    for at in [now - 5 * 86_400, now, now + 365 * 86_400] {
        oracle::run(
            "openssl",
            &[
                "verify",
                "-attime",
                &at.to_string(),
                "-purpose",
                "sslclient",
                "-CAfile",
                dir.path().join("client-ca").to_str().unwrap(),
                client_path.to_str().unwrap(),
            ],
        )
        .unwrap();
    }
    let ca = view(".clusters[0].cluster.certificate-authority-data");
    let ca =
        oracle::run_with("openssl", &["base64", "-d", "-A"], ca.as_bytes());
    let on_card = fs::read(dir.path().join("server-ca")).unwrap();
    assert_eq!(ca.unwrap(), on_card);

    // And the tokens on the card name that authority.
    let digest = crate::support::sha256(&on_card);
    for (file, user) in [("token", "server"), ("agent-token", "node")] {
        let path = format!("/etc/rancher/k3s/{file}");
        let token = view_card.0.read(path.as_str()).unwrap();
        let token = String::from_utf8(token).unwrap();
        let begin = format!("K10{digest}::{user}:");
        assert!(token.starts_with(&begin) && token.ends_with('\n'));
    }
}
