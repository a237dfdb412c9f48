//! The kubelet of a kubeadm node; on a master its process is the API server
//! too, as no containers run here.

use crate::{
    Result,
    api::{Api, Extra, Who, status},
    http::{self, Client, Request, Response},
    kubeadm::ETCD,
    kubeadm_config::text,
    node::Kubelet,
    objects::{Objects, now},
    tls::{self, Pair, read},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::Write,
    net::TcpListener,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

pub const KUBELET_CONF: &str = "/etc/kubernetes/kubelet.conf";
pub const MANIFEST: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";
pub const CLUSTER_INFO: &str =
    "/api/v1/namespaces/kube-public/configmaps/cluster-info";
pub const KUBELET_CONFIG: &str =
    "/api/v1/namespaces/kube-system/configmaps/kubelet-config";
pub const PLAN: &str = "/var/lib/kubelet/plan.json";
const PKI: &str = "/etc/kubernetes/pki";

/// etcd takes one new member at a time; seconds that one needs.
const LEARNING: u64 = 6;

/// What kubeadm tells the kubelet of its node.
#[derive(Default, Serialize, Deserialize)]
pub struct Plan {
    pub name: String,
    pub addresses: Vec<String>,
    pub labels: Vec<String>,
    pub taints: Vec<String>,
    /// Where the node's name servers are; what the cluster says counts only
    /// where the node is told nothing of its own.
    pub resolv_conf: Option<String>,
}

/// Writes a file for root alone, whole.
pub fn put(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().ok_or("no directory")?)?;
    let part = path.with_extension("part");
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(part, path)?;
    Ok(())
}

/// What `kubeadm` does at the end of a phase: the unit runs with this plan.
pub fn start(plan: &Plan) -> Result<()> {
    put(Path::new(PLAN), &serde_json::to_string(plan)?)?;
    let status =
        Command::new("systemctl").args(["restart", "kubelet"]).status()?;
    match status.success() {
        true => Ok(()),
        false => Err("error: cannot start the kubelet".into()),
    }
}

/// The unit's program. Without a configuration it fails, and systemd starts
/// it again, as the real one.
pub fn run() -> Result<()> {
    crate::node::check_kernel()?;
    let plan: Plan = serde_json::from_str(&read(Path::new(PLAN))?)?;
    if Path::new(MANIFEST).exists() {
        serve()?;
    }
    let config: Value = serde_json::from_str(&read(Path::new(KUBELET_CONF))?)?;
    let url = text(&config, "/clusters/0/cluster/server")?;
    let data = text(&config, "/clusters/0/cluster/certificate-authority-data")?;
    let authority = String::from_utf8(STANDARD.decode(data)?)?;
    let user = &config["users"][0]["user"];
    let pair = match user["client-certificate"].as_str() {
        // One file holds both.
        Some(file) => {
            let both = read(Path::new(file))?;
            Pair { certificate: both.clone(), key: both }
        }
        None => {
            let part = |key: &str| -> Result<String> {
                let text = user[key].as_str().ok_or("no certificate")?;
                Ok(String::from_utf8(STANDARD.decode(text)?)?)
            };
            Pair {
                certificate: part("client-certificate-data")?,
                key: part("client-key-data")?,
            }
        }
    };
    let kubelet = Kubelet {
        name: plan.name,
        addresses: plan.addresses,
        labels: plan.labels,
        taints: plan.taints,
        roles: Vec::new(),
        resolv_conf: plan.resolv_conf,
        client: Client {
            url: url.to_owned(),
            config: tls::client(Some(&authority), Some(&pair))?,
            authorization: None,
        },
    };
    kubelet.run()
}

/// Serves the API in a thread of this process.
fn serve() -> Result<()> {
    let file = |name: &str| Path::new(PKI).join(name);
    let ca = Pair::authority(&file("ca.crt"), &file("ca.key"))?;
    let leaf = Pair {
        certificate: read(&file("apiserver.crt"))?,
        key: read(&file("apiserver.key"))?,
    };
    let manifest: Value = serde_json::from_str(&read(Path::new(MANIFEST))?)?;
    let leader = match manifest["leader"].as_str() {
        Some(url) => {
            let group = Some("kubeadm:cluster-admins");
            let admin = ca.issue("kubernetes-admin", group, &[])?;
            Some(Client {
                url: url.to_owned(),
                config: tls::client(Some(&ca.certificate), Some(&admin))?,
                authorization: None,
            })
        }
        None => None,
    };
    let objects = Objects::open(Path::new(ETCD).join("objects.json"))?;
    objects.save()?;
    let config = tls::server(&leaf, &ca.certificate)?;
    let api = Api { objects: Mutex::new(objects), extra: extra(ca), leader };
    let listener = TcpListener::bind(("0.0.0.0", 6443))?;
    thread::spawn(move || {
        http::serve(&listener, &config, move |request| api.answer(request));
    });
    Ok(())
}

/// What everybody may ask, and who has a token.
fn extra(ca: Pair) -> Extra {
    let learner = AtomicU64::new(0);
    Box::new(move |request: &Request, who: &Who, objects: &mut Objects| {
        match request.path.as_str() {
            CLUSTER_INFO if request.method == "GET" => {
                Some(match objects.get(CLUSTER_INFO) {
                    Some(info) => Response::json(200, &info),
                    None => status(404, "cluster-info not found"),
                })
            }
            "/standin/client" | "/standin/member" => {
                if !is_token(who, objects) {
                    return Some(status(401, "Unauthorized"));
                }
                if request.path.ends_with("member") {
                    let last = learner.swap(now(), Ordering::SeqCst);
                    if now() < last + LEARNING {
                        learner.store(last, Ordering::SeqCst);
                        let why =
                            "etcdserver: too many learner members in cluster";
                        return Some(status(503, why));
                    }
                }
                if let Some(why) = is_taken(request, objects) {
                    return Some(status(409, &why));
                }
                let config = objects.get(KUBELET_CONFIG).unwrap_or_default();
                Some(client(request, &ca, &config["data"]["resolvConf"]))
            }
            _ => None,
        }
    })
}

/// kubeadm joins no node under a name that a node has which is up.
fn is_taken(request: &Request, objects: &Objects) -> Option<String> {
    let name = request.headers.get("standin-node")?;
    let node = objects.get(&format!("/api/v1/nodes/{name}"))?;
    let conditions = node["status"]["conditions"].as_array()?;
    let is_ready = |it: &Value| it["type"] == "Ready" && it["status"] == "True";
    conditions.iter().any(is_ready).then(|| {
        format!(
            "a Node with name \"{name}\" and status \"Ready\" already exists \
             in the cluster. You must delete the existing Node or change the \
             name of this new joining Node"
        )
    })
}

fn is_token(who: &Who, objects: &Objects) -> bool {
    let Who::Token(token) = who else { return false };
    let id = token.split('.').next().unwrap_or_default();
    let path =
        format!("/api/v1/namespaces/kube-system/secrets/bootstrap-token-{id}");
    objects
        .get(&path)
        .is_some_and(|secret| secret["stringData"]["token"] == *token)
}

/// The kubelet's certificate, and what its configuration says.
fn client(request: &Request, ca: &Pair, resolv_conf: &Value) -> Response {
    let Some(name) = request.headers.get("standin-node") else {
        return status(400, "no node");
    };
    let user = format!("system:node:{name}");
    match ca.issue(&user, Some("system:nodes"), &[]) {
        Ok(pair) => Response::json(
            200,
            &json!({
                "certificate": pair.certificate,
                "key": pair.key,
                "resolvConf": resolv_conf,
            }),
        ),
        Err(error) => status(500, &error.to_string()),
    }
}
