//! The identities of clusters: made once and whole, or not at all.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use piflash::identity::{K3s, K8s, Kept, Store, StoreErrorKind};

use super::{INVENTORY, build, built};
use crate::support::{
    env::Env,
    files_under,
    oracle::{self, run},
};

const NOW: i64 = 1_793_491_200;

fn env() -> Env {
    let env = Env::new();
    let groups = "  children:\n    k3s_server: {hosts: {node3: }}\n    \
                  k8s_master: {hosts: {node4: }}\n";
    let releases = INVENTORY.replace("  children:\n", groups);
    env.write("inventory.yml", releases);
    env
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    files_under(dir)
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            (name, fs::read(&path).unwrap())
        })
        .collect()
}

#[test]
fn sets_are_made_once_and_used_again() {
    let env = env();
    built(&env, "node3");
    let secrets = env.work().join("build/secrets");
    let names: Vec<String> = files(&secrets.join("k3s")).into_keys().collect();
    let mut expected = K3s::names();
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert!(!secrets.join("k8s").exists());
    built(&env, "node4");
    let names: Vec<String> = files(&secrets.join("k8s")).into_keys().collect();
    let mut expected = K8s::names();
    expected.sort_unstable();
    assert_eq!(names, expected);

    let first = files(&secrets);
    let configs = ["k3s", "k8s"].map(|name| format!("build/{name}-config.yml"));
    let kubeconfigs = configs.clone().map(|name| env.read(&name));
    built(&env, "node3");
    built(&env, "node4");
    assert_eq!(files(&secrets), first);
    assert_eq!(configs.clone().map(|name| env.read(&name)), kubeconfigs);

    let mode =
        |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    for file in files_under(&secrets) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    for dir in ["k3s", "k3s/tls", "k3s/tls/etcd", "k8s", "k8s/pki/etcd"] {
        assert_eq!(mode(&secrets.join(dir)), 0o700, "{dir}");
    }
    for config in &configs {
        let path = env.work().join(config);
        assert_eq!(mode(&path), 0o600, "{config}");
        let argument = format!("--kubeconfig={}", path.display());
        let args = [&*argument, "config", "view", "--raw"];
        let text = String::from_utf8(run("kubectl", &args).unwrap()).unwrap();
        let server = match config.contains("k3s") {
            true => "https://192.168.71.23:6443",
            false => "https://192.168.71.24:6443",
        };
        assert!(text.contains(server), "{text}");
    }
}

#[test]
fn builds_at_the_same_time_agree() {
    let env = env();
    let start = |node: &str| -> Child {
        Command::new(env!("CARGO_BIN_EXE_piflash"))
            .args(["build", node, "--image", "demo", "--offline"])
            .env("HOME", env.home())
            .current_dir(env.work())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    for mut run in ["node3", "node4", "node3"].map(start) {
        assert!(run.wait().unwrap().success());
    }
    let secrets = env.work().join("build/secrets");
    let store = Store::new(&secrets);
    let k3s = K3s::load_or_make(&store, NOW).unwrap();
    let config = env.read("build/k3s-config.yml");
    let authority = oracle::run_with(
        "openssl",
        &["base64", "-A"],
        k3s.server_ca().as_bytes(),
    );
    let authority = String::from_utf8(authority.unwrap()).unwrap();
    let config = String::from_utf8(config).unwrap();
    assert!(config.contains(&authority), "{config}");
    assert!(!secrets.join(".k3s.part").exists());
}

#[test]
fn of_many_threads_one_makes_it() {
    let dir = tempfile::tempdir().unwrap();
    let tokens: Vec<String> = thread::scope(|scope| {
        let runs: Vec<_> = (0..4)
            .map(|_| {
                let store = Store::new(dir.path().join("secrets"));
                scope.spawn(move || {
                    let k3s = K3s::load_or_make(&store, NOW).unwrap();
                    k3s.server_token().reveal().to_owned()
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(tokens.iter().all(|token| *token == tokens[0]));
}

#[test]
fn what_a_run_that_was_cut_off_has_left_is_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("secrets"));
    drop(store.lock().unwrap());
    let part = store.path(".k3s.part");
    fs::create_dir_all(part.join("tls")).unwrap();
    fs::write(part.join("tls/server-ca.key"), "half").unwrap();
    K3s::load_or_make(&store, NOW).unwrap();
    assert!(!part.exists());
    assert_eq!(files(&store.path("k3s")).len(), K3s::names().len());
}

/// Each file missing, empty, or that of another: an error that names it, and
/// nothing is made or changed.
#[test]
fn a_set_that_is_not_whole_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("secrets"));
    K8s::load_or_make(&store, NOW).unwrap();
    for name in K8s::names() {
        let path = store.path("k8s").join(name);
        let content = fs::read(&path).unwrap();
        for (spoiled, said) in [
            (None, "missing"),
            (Some(&b""[..]), "damaged"),
            (Some(&[0xff, 0xfe]), "damaged"),
            (Some(&content[..content.len() / 2]), "damaged"),
        ] {
            match spoiled {
                None => fs::remove_file(&path).unwrap(),
                Some(bytes) => fs::write(&path, bytes).unwrap(),
            }
            fs::exists(&path).unwrap().then(|| close(&path));
            let before = files(&store.path(""));
            let error = K8s::load_or_make(&store, NOW).unwrap_err();
            let text = error.to_string();
            assert!(
                matches!(error.kind, StoreErrorKind::Cluster(..)),
                "{text}"
            );
            // A pair is named by its certificate.
            let stem = name.trim_end_matches(".key").trim_end_matches(".pub");
            assert!(text.contains(stem) && text.contains(said), "{text}");
            assert!(error.hint().contains("backup"), "{}", error.hint());
            assert_eq!(files(&store.path("")), before);
        }
        fs::write(&path, &content).unwrap();
        close(&path);
        K8s::load_or_make(&store, NOW).unwrap();
    }
    // An empty directory is not taken for none.
    fs::remove_dir_all(store.path("k8s")).unwrap();
    fs::create_dir(store.path("k8s")).unwrap();
    let error = K8s::load_or_make(&store, NOW).unwrap_err().to_string();
    assert!(error.contains("missing"), "{error}");
}

fn close(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_build_with_a_damaged_set_writes_nothing() {
    let env = env();
    built(&env, "node3");
    let key = "build/secrets/k3s/tls/server-ca.key";
    env.write(key, env.read("build/secrets/k3s/tls/client-ca.key"));
    fs::remove_file(env.work().join("build/images/node3.img")).unwrap();
    let outcome = build(&env, "node3");
    assert_eq!(outcome.code, Some(1), "{outcome}");
    for said in
        ["the k3s cluster", "tls/server-ca.crt", "does not belong", "backup"]
    {
        assert!(outcome.stderr.contains(said), "`{said}`: {outcome}");
    }
    assert!(!env.work().join("build/images/node3.img").exists());
    // Nor do open modes pass.
    env.write(key, "");
    env.chmod(key, 0o644);
    let outcome = build(&env, "node3");
    assert!(outcome.stderr.contains("mode 0644"), "{outcome}");
}

#[test]
fn a_node_password_that_is_none_is_refused() {
    let env = env();
    built(&env, "node3");
    let path = "build/secrets/nodes/node3/k3s-node-password";
    let password = String::from_utf8(env.read(path)).unwrap();
    assert_eq!(password.trim_end().len(), 32);
    env.write(path, "short\n");
    let outcome = build(&env, "node3");
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains(path), "{outcome}");
    assert!(!outcome.stderr.contains("short"), "{outcome}");
}
