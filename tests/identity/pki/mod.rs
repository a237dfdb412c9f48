//! Identities of clusters, judged by OpenSSL and kubectl.

mod clusters;
mod damaged;

use crate::support::oracle::run;
use piflash::identity::{Files, K3s, K8s, Kept, Secret};
use std::{collections::BTreeMap, fs, path::Path, sync::LazyLock};
use tempfile::TempDir;

/// 2026-11-01 00:00:00 UTC.
const NOW: i64 = 1_793_491_200;

// Made once: an RSA key takes a while.
static K3S: LazyLock<K3s> = LazyLock::new(|| K3s::make(NOW).unwrap());
static K8S: LazyLock<K8s> = LazyLock::new(|| K8s::make(NOW).unwrap());

/// What a directory would give back.
fn read_back(files: &Files) -> BTreeMap<String, Secret> {
    let owned =
        |(path, text): (&&str, &Secret)| ((*path).to_owned(), text.clone());
    files.iter().map(owned).collect()
}

fn written(files: &Files) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.reveal()).unwrap();
    }
    dir
}

fn openssl(dir: &Path, args: &str) -> String {
    let args: Vec<String> = args
        .split(' ')
        .map(|arg| arg.replace('@', &format!("{}/", dir.display())))
        .collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    String::from_utf8(run("openssl", &args).unwrap()).unwrap()
}
