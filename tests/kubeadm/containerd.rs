//! containerd's configuration, as the real containerd reads it.

use std::{collections::BTreeMap, fs, process::Command};

use serde_json::{Value, json};

use super::{plan, single, text};
use crate::support::oracle;

/// What the step puts in place of `@sandbox@`.
const PAUSE: &str = "mirror.lan/pause:3.99";
const CRI: &str = "io.containerd.cri.v1";

/// Python's reader of TOML (Python since 3.11).
fn toml(text: &str) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it.toml");
    fs::write(&path, text).unwrap();
    let program = "import json, sys, tomllib\n\
                   json.dump(tomllib.load(open(sys.argv[1], 'rb')), \
                   sys.stdout)";
    let args = ["-c", program, path.to_str().unwrap()];
    serde_json::from_slice(&oracle::run("python3", &args).unwrap()).unwrap()
}

/// The major and minor number of the containerd that is installed.
fn version() -> (u32, u32) {
    let text = oracle::run("containerd", &["--version"]).unwrap();
    let text = String::from_utf8(text).unwrap();
    let version = text.split_whitespace().nth(2).unwrap();
    let mut numbers = version.trim_start_matches('v').split('.');
    let mut next = || numbers.next().unwrap().parse().unwrap();
    (next(), next())
}

/// What containerd makes of a configuration, and what it says of it.
fn dump(config: &str) -> (Value, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, config).unwrap();
    let output = Command::new("containerd")
        .arg("--config")
        .arg(&path)
        .args(["config", "dump"])
        .output()
        .expect("Debian package containerd");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    (toml(&String::from_utf8(output.stdout).unwrap()), said)
}

/// The settings that count, wherever this version has them.
fn settings(config: &Value) -> BTreeMap<&'static str, Value> {
    let plugins = &config["plugins"];
    let old = &plugins["io.containerd.grpc.v1.cri"];
    let (runtime, images) = match config["version"].as_u64() {
        Some(2) => (old, old),
        _ => (
            &plugins[format!("{CRI}.runtime")],
            &plugins[format!("{CRI}.images")],
        ),
    };
    let runc = &runtime["containerd"]["runtimes"]["runc"];
    let cni = &runtime["cni"];
    let one = json!([cni["bin_dir"]]);
    let bin = cni.get("bin_dirs").filter(|v| !v.is_null()).unwrap_or(&one);
    BTreeMap::from([
        ("systemd", runc["options"]["SystemdCgroup"].clone()),
        ("runtime", runc["runtime_type"].clone()),
        ("bin", bin.clone()),
        ("conf", cni["conf_dir"].clone()),
        ("certs", images["registry"]["config_path"].clone()),
        ("flushed", images["image_pull_with_sync_fs"].clone()),
        (
            "sandbox",
            match config["version"].as_u64() {
                Some(2) => old["sandbox_image"].clone(),
                _ => images["pinned_images"]["sandbox"].clone(),
            },
        ),
    ])
}

fn wanted() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("systemd", json!(true)),
        ("runtime", json!("io.containerd.runc.v2")),
        ("bin", json!(["/opt/cni/bin"])),
        ("conf", json!("/etc/cni/net.d")),
        ("certs", json!("/etc/containerd/certs.d")),
        ("flushed", json!(true)),
        ("sandbox", json!(PAUSE)),
    ])
}

fn config(format: &str) -> String {
    let path = format!("/etc/piflash/k8s/containerd-{format}.toml");
    let text = text(&plan(&single(""), "node4"), &path);
    assert_eq!(text.matches("@sandbox@").count(), 2, "{text}");
    text.replace("@sandbox@", PAUSE)
}

/// Every containerd since 1.6 reads version 2, those before 2.1 best.
#[test]
fn containerd_takes_version_2_as_it_is_meant() {
    let config = config("v2");
    assert_eq!(settings(&toml(&config)), wanted());
    let (dumped, said) = dump(&config);
    let mut wanted = wanted();
    if version() < (1, 7) {
        // It passes over what it does not know.
        wanted.insert("flushed", Value::Null);
    }
    assert_eq!(settings(&dumped), wanted, "{said}");
    let disabled = dumped["disabled_plugins"].as_array();
    assert!(disabled.is_none_or(Vec::is_empty), "{dumped}");
    assert!(!said.contains("unknown"), "{said}");
}

#[test]
fn containerd_takes_version_3_as_it_is_meant() {
    let config = config("v3");
    let read = toml(&config);
    assert_eq!(settings(&read), wanted());
    if version() >= (2, 1) {
        let (dumped, said) = dump(&config);
        assert_eq!(settings(&dumped), wanted(), "{said}");
        assert!(!said.contains("unknown"), "{said}");
        return;
    }
    // An older one can judge only that there is nothing else in it: where
    // the settings are in version 3 is in containerd's documentation.
    // https://github.com/containerd/containerd/blob/main/docs/cri/config.md
    let (runtime, images) = (format!("{CRI}.runtime"), format!("{CRI}.images"));
    assert_eq!(
        read,
        json!({"version": 3, "plugins": {
            images: {
                "image_pull_with_sync_fs": true,
                "pinned_images": {"sandbox": PAUSE},
                "registry": {"config_path": "/etc/containerd/certs.d"},
            },
            runtime: {
                "cni": {
                    "bin_dirs": ["/opt/cni/bin"],
                    "conf_dir": "/etc/cni/net.d",
                },
                "containerd": {"runtimes": {"runc": {
                    "runtime_type": "io.containerd.runc.v2",
                    "options": {"SystemdCgroup": true},
                }}},
            },
        }})
    );
}

#[test]
fn a_mirror_is_named_to_the_runtime() {
    let vars = "    docker_registry_mirror_url: https://mirror.lan:5000/\n";
    let hosts = "/etc/containerd/certs.d/docker.io/hosts.toml";
    let hosts = toml(&text(&plan(&single(vars), "node4"), hosts));
    assert_eq!(
        hosts,
        json!({
            "server": "https://registry-1.docker.io",
            "host": {"https://mirror.lan:5000/":
                {"capabilities": ["pull", "resolve"]}},
        })
    );
    let docker = format!("{vars}    container_runtime: docker\n");
    let docker = plan(&single(&docker), "node4");
    let daemon = text(&docker, "/etc/docker/daemon.json");
    let daemon: Value = serde_json::from_str(&daemon).unwrap();
    let mirrors = json!(["https://mirror.lan:5000/"]);
    assert_eq!(daemon["registry-mirrors"], mirrors);
    let systemd = json!(["native.cgroupdriver=systemd"]);
    assert_eq!(daemon["exec-opts"], systemd);
    let alone = plan(&single("    container_runtime: docker\n"), "node4");
    let daemon = text(&alone, "/etc/docker/daemon.json");
    let daemon: Value = serde_json::from_str(&daemon).unwrap();
    assert_eq!(daemon, json!({"exec-opts": systemd}));
}
