//! `kubeadm reset`.

use crate::{
    Result,
    kubeadm::{KUBERNETES, PKI, owner},
    kubeadm_config::text,
    kubelet::{self, Plan},
    preflight::authorities,
    tls,
};
use serde_json::Value;
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

/// By its own Node in the cluster's list, and by the address of its API
/// server, kubeadm knows which member of etcd is to be removed; without them
/// it removes none. Here etcd has no members that vote.
fn own_registration() -> Result<()> {
    let config = tls::read(Path::new(&format!("{KUBERNETES}/admin.conf")))?;
    let config: Value = serde_json::from_str(&config)?;
    let url = text(&config, "/clusters/0/cluster/server")?;
    let ca = authorities()?;
    let admin =
        ca.issue("kubernetes-admin", Some("kubeadm:cluster-admins"), &[])?;
    let client = owner(url, &ca, &admin)?;
    let get = |path: &str| -> Result<()> {
        match client.send("GET", path, &[], b"")? {
            (200, _) => Ok(()),
            (status, _) => Err(format!("GET {path}: {status}").into()),
        }
    };
    get("/api/v1/namespaces/kube-system/configmaps/kubeadm-config")
        .map_err(|why| format!("failed to get config map: {why}"))?;
    let plan = tls::read(Path::new(kubelet::PLAN))?;
    let plan: Plan = serde_json::from_str(&plan)?;
    get(&format!("/api/v1/nodes/{}", plan.name)).map_err(|why| {
        format!(
            "failed to get node registration: failed to get corresponding \
             node: {why}"
        )
        .into()
    })
}

/// Takes everything, the seeded authorities as well.
pub fn reset(words: &[&str]) -> Result<()> {
    if !words.contains(&"--force") && !words.contains(&"-f") {
        return Err("would ask on a terminal: --force".into());
    }
    // It goes on without: the data of etcd's member are wiped all the same.
    if let Err(why) = own_registration() {
        eprintln!(
            "W reset.go] [reset] Unable to fetch the kubeadm-config ConfigMap \
             from cluster: {why}"
        );
    }
    // It looks into etcd's manifest for where the data are; one that says
    // nothing is of somebody else's etcd to it.
    let manifest = fs::read_to_string("/etc/kubernetes/manifests/etcd.yaml");
    let data = match manifest {
        Ok(text) if text.trim().is_empty() => {
            println!("[reset] No etcd config found. Assuming external etcd");
            None
        }
        _ => Some("/var/lib/etcd"),
    };
    let _ = Command::new("systemctl").args(["stop", "kubelet"]).status();
    let paths = [
        "/etc/kubernetes/manifests",
        PKI,
        "/etc/kubernetes/admin.conf",
        "/etc/kubernetes/super-admin.conf",
        "/etc/kubernetes/kubelet.conf",
        "/etc/kubernetes/bootstrap-kubelet.conf",
        "/var/lib/kubelet",
    ];
    for path in paths.into_iter().chain(data) {
        let path = Path::new(path);
        let removed = match path.is_dir() {
            true => fs::remove_dir_all(path),
            false => fs::remove_file(path),
        };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("{}: {error}", path.display()).into());
            }
            _ => println!("[reset] {}", path.display()),
        }
    }
    for directory in ["/etc/kubernetes/manifests", "/var/lib/kubelet"] {
        fs::create_dir_all(directory)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
