//! `kubeadm init`, and what `join` shares with it, as far as files,
//! configuration, trust and refusals go.

use crate::{
    Result,
    http::Client,
    join::join,
    kubeadm_config::{Documents, text},
    kubelet::{self, KUBELET_CONF, MANIFEST, Plan},
    preflight::{authorities, preflight},
    reset::reset,
    tls::{self, Pair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

pub const KUBERNETES: &str = "/etc/kubernetes";
pub const PKI: &str = "/etc/kubernetes/pki";
pub const ETCD: &str = "/var/lib/etcd/member";
pub const VERSION: &str = "v1.37.1";
const UP: Duration = Duration::from_secs(120);

pub fn run(words: &[&str]) -> Result<()> {
    match words {
        ["version", "-o", "short"] => {
            println!("{VERSION}");
            Ok(())
        }
        ["init", "--config", file] => init(&Documents::read(file)?),
        ["init", "phase", phase, rest @ .., "--config", file] => {
            phase_again(phase, rest, &Documents::read(file)?)
        }
        ["join", "--config", file] => join(&Documents::read(file)?),
        ["reset", rest @ ..] => reset(rest),
        ["config", "images", "list", "--kubernetes-version", version] => {
            images(version)
        }
        _ => Err(format!("unknown command or flag: {words:?}").into()),
    }
}

/// How it ends: the error, and a line that says nothing of it.
pub fn last_words(error: &str) -> String {
    let error = error.trim_start_matches("error: ");
    format!(
        "error: {error}\nTo see the stack trace of this error execute with \
         --v=5 or higher"
    )
}

/// Of its own release: with a version it asks nobody for the newest one.
fn images(version: &str) -> Result<()> {
    if version != VERSION {
        return Err(format!("this is {VERSION}, not {version}").into());
    }
    for name in ["kube-apiserver", "kube-controller-manager"] {
        println!("registry.k8s.io/{name}:{version}");
    }
    println!("registry.k8s.io/kube-scheduler:{version}");
    println!("registry.k8s.io/kube-proxy:{version}");
    println!("registry.k8s.io/coredns/coredns:v1.14.6");
    println!("registry.k8s.io/pause:3.10.2");
    println!("registry.k8s.io/etcd:3.7.0-0");
    Ok(())
}

/// How long certificates are good for: what the cluster's configuration says,
/// or a year. One that outlives its authority is made all the same.
fn validity(documents: &Documents) -> Result<time::Duration> {
    let cluster = documents.get("ClusterConfiguration");
    let period = cluster.and_then(|c| c["certificateValidityPeriod"].as_str());
    let Some(period) = period else { return Ok(tls::YEAR) };
    // Go has more forms of a duration; this is the one that is written.
    let hours = period
        .strip_suffix("h0m0s")
        .and_then(|hours| hours.parse().ok())
        .ok_or_else(|| format!("certificateValidityPeriod: {period}"))?;
    let period = time::Duration::hours(hours);
    if period > tls::YEAR {
        println!(
            "WARNING: certificateValidityPeriod: the value {period} is more \
             than the recommended default for certificate expiration"
        );
    }
    Ok(period)
}

fn kubeconfig(
    path: &str,
    url: &str,
    authority: &str,
    pair: &Pair,
) -> Result<()> {
    let encode = |text: &str| STANDARD.encode(text);
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "kubernetes", "cluster": {
            "server": url, "certificate-authority-data": encode(authority),
        }}],
        "users": [{"name": "it", "user": {
            "client-certificate-data": encode(&pair.certificate),
            "client-key-data": encode(&pair.key),
        }}],
        "contexts": [{"name": "it", "context": {
            "cluster": "kubernetes", "user": "it",
        }}],
    });
    kubelet::put(Path::new(path), &config.to_string())
}

/// What the kubelet's process will serve as the API server.
pub fn control_plane(
    documents: &Documents,
    ca: &Pair,
    leader: Option<&str>,
) -> Result<(String, Pair)> {
    let endpoint = match documents.get("ClusterConfiguration") {
        Some(config) => text(config, "/controlPlaneEndpoint")?,
        None => leader.ok_or("no endpoint")?.trim_start_matches("https://"),
    };
    let own = documents.own()?;
    let mut names: Vec<String> =
        ["kubernetes", "kubernetes.default.svc", "10.96.0.1", "127.0.0.1"]
            .map(str::to_owned)
            .into();
    let host = endpoint.rsplit_once(':').ok_or("endpoint without port")?.0;
    names.push(host.to_owned());
    names.push(text(own, "/nodeRegistration/name")?.to_owned());
    for path in ["/localAPIEndpoint", "/controlPlane/localAPIEndpoint"] {
        let address =
            own.pointer(path).and_then(|v| v["advertiseAddress"].as_str());
        names.extend(address.map(str::to_owned));
    }
    let cluster = documents.get("ClusterConfiguration");
    let sans = cluster.and_then(|c| c["apiServer"]["certSANs"].as_array());
    for name in sans.into_iter().flatten() {
        names.push(name.as_str().ok_or("certSANs: no text")?.to_owned());
    }
    names.sort();
    names.dedup();
    let period = validity(documents)?;
    let leaf = ca.issue_for(period, "kube-apiserver", None, &names)?;
    kubelet::put(&Path::new(PKI).join("apiserver.crt"), &leaf.certificate)?;
    kubelet::put(&Path::new(PKI).join("apiserver.key"), &leaf.key)?;
    let admins = Some("kubeadm:cluster-admins");
    let admin = ca.issue_for(period, "kubernetes-admin", admins, &[])?;
    let url = format!("https://{endpoint}");
    kubeconfig(
        &format!("{KUBERNETES}/admin.conf"),
        &url,
        &ca.certificate,
        &admin,
    )?;
    let manifest = json!({"kind": "Pod", "leader": leader});
    kubelet::put(Path::new(MANIFEST), &manifest.to_string())?;
    Ok((url, admin))
}

/// What the kubelet is told of its node.
pub fn registration(documents: &Documents, is_master: bool) -> Result<Plan> {
    let own = documents.own()?;
    let registration = &own["nodeRegistration"];
    let mut plan = Plan {
        name: text(own, "/nodeRegistration/name")?.to_owned(),
        ..Plan::default()
    };
    for (name, value) in arguments(registration)? {
        match name.as_str() {
            "node-ip" => plan.addresses.push(value),
            "resolv-conf" => plan.resolv_conf = Some(value),
            "node-labels" => {
                plan.labels.extend(value.split(',').map(str::to_owned));
            }
            _ => return Err(format!("kubelet: unknown flag: --{name}").into()),
        }
    }
    for label in &plan.labels {
        let key = label.split('=').next().unwrap_or_default();
        if key.contains("kubernetes.io/")
            && !key.starts_with("node.kubernetes.io/")
        {
            return Err(format!(
                "kubelet: unknown 'kubernetes.io' label: {key}"
            )
            .into());
        }
    }
    match registration["taints"].as_array() {
        Some(taints) => {
            for taint in taints {
                let part = |key: &str| taint[key].as_str().unwrap_or_default();
                let (key, value) = (part("key"), part("value"));
                plan.taints.push(format!("{key}={value}:{}", part("effect")));
            }
        }
        None if is_master => plan.taints.push(
            "node-role.kubernetes.io/control-plane=:NoSchedule".to_owned(),
        ),
        None => {}
    }
    Ok(plan)
}

/// v1beta4 has a list of name and value, v1beta3 a mapping.
fn arguments(registration: &Value) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    match &registration["kubeletExtraArgs"] {
        Value::Array(all) => {
            for one in all {
                found.push((
                    text(one, "/name")?.into(),
                    text(one, "/value")?.into(),
                ));
            }
        }
        Value::Object(all) => {
            for (name, value) in all {
                let value =
                    value.as_str().ok_or("kubeletExtraArgs: no text")?;
                found.push((name.clone(), value.to_owned()));
            }
        }
        _ => {}
    }
    Ok(found)
}

fn init(documents: &Documents) -> Result<()> {
    println!("[init] Using Kubernetes version: {VERSION}");
    let own =
        documents.get("InitConfiguration").ok_or("no InitConfiguration")?;
    let socket = text(own, "/nodeRegistration/criSocket")?;
    preflight(socket, &[6443, 10248], false)?;
    let ca = authorities()?;
    let (url, admin) = control_plane(documents, &ca, None)?;
    let mut plan = registration(documents, true)?;
    plan.resolv_conf =
        plan.resolv_conf.or_else(|| resolv_conf().map(str::to_owned));
    // First a certificate inside the file, at the end one in a file that is
    // renewed.
    let user = format!("system:node:{}", plan.name);
    let node = ca.issue(&user, Some("system:nodes"), &[])?;
    kubeconfig(KUBELET_CONF, &url, &ca.certificate, &node)?;
    kubelet::start(&plan)?;
    wait_up(&url, &ca)?;
    let client = owner(&url, &ca, &admin)?;
    upload_config(&client, documents)?;
    mark(&client, &plan.name)?;
    tokens(&client, documents, &url, &ca)?;
    finalize(&url, &ca, &node)?;
    println!("Your Kubernetes control-plane has initialized successfully!");
    Ok(())
}

/// One phase of init once more, with the API server up.
fn phase_again(
    phase: &str,
    rest: &[&str],
    documents: &Documents,
) -> Result<()> {
    let ca = authorities()?;
    let plan = registration(documents, true)?;
    let config = documents
        .get("ClusterConfiguration")
        .ok_or("no ClusterConfiguration")?;
    let url = format!("https://{}", text(config, "/controlPlaneEndpoint")?);
    let admin =
        ca.issue("kubernetes-admin", Some("kubeadm:cluster-admins"), &[])?;
    let client = owner(&url, &ca, &admin)?;
    match (phase, rest) {
        ("upload-config", ["all"]) => upload_config(&client, documents),
        ("mark-control-plane", []) => mark(&client, &plan.name),
        ("bootstrap-token", []) => tokens(&client, documents, &url, &ca),
        ("kubelet-finalize", ["all"]) => {
            let user = format!("system:node:{}", plan.name);
            let node = ca.issue(&user, Some("system:nodes"), &[])?;
            finalize(&url, &ca, &node)
        }
        ("addon", ["all"]) => Ok(()),
        _ => Err(format!("unknown phase: {phase} {rest:?}").into()),
    }
}

pub fn owner(url: &str, ca: &Pair, admin: &Pair) -> Result<Client> {
    Ok(Client {
        url: url.to_owned(),
        config: tls::client(Some(&ca.certificate), Some(admin))?,
        authorization: None,
    })
}

fn wait_up(url: &str, ca: &Pair) -> Result<()> {
    let client = Client {
        url: url.to_owned(),
        config: tls::client(Some(&ca.certificate), None)?,
        authorization: None,
    };
    let start = Instant::now();
    while !client.send("GET", "/readyz", &[], b"").is_ok_and(|(s, _)| s == 200)
    {
        if start.elapsed() > UP {
            return Err(format!(
                "error: the API server is not healthy after {UP:?}"
            )
            .into());
        }
        thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

fn put(client: &Client, path: &str, object: &Value) -> Result<()> {
    let body = object.to_string();
    match client.send("PUT", path, &[], body.as_bytes())? {
        (200 | 201, _) => Ok(()),
        (status, _) => Err(format!("error: PUT {path}: {status}").into()),
    }
}

fn upload_config(client: &Client, documents: &Documents) -> Result<()> {
    let config = documents
        .get("ClusterConfiguration")
        .ok_or("no ClusterConfiguration")?;
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "kubeadm-config", "namespace": "kube-system"},
        "data": {"ClusterConfiguration": config.to_string()},
    });
    put(
        client,
        "/api/v1/namespaces/kube-system/configmaps/kubeadm-config",
        &object,
    )?;
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "kubelet-config", "namespace": "kube-system"},
        "data": {"resolvConf": resolv_conf()},
    });
    put(client, kubelet::KUBELET_CONFIG, &object)
}

/// What the configuration of all kubelets gets from the node that begins the
/// cluster, whatever others have: none where systemd-resolved does not run.
fn resolv_conf() -> Option<&'static str> {
    let words = ["is-active", "--quiet", "systemd-resolved"];
    let status = Command::new("systemctl").args(words).status();
    let is_active = status.is_ok_and(|status| status.success());
    is_active.then_some("/run/systemd/resolve/resolv.conf")
}

/// Names the node a master.
pub fn mark(client: &Client, name: &str) -> Result<()> {
    let patch = json!({"metadata": {"labels": {
        "node-role.kubernetes.io/control-plane": "",
    }}});
    let path = format!("/api/v1/nodes/{name}");
    let start = Instant::now();
    loop {
        let body = patch.to_string();
        let (status, _) = client.send("PATCH", &path, &[], body.as_bytes())?;
        if status == 200 {
            return Ok(());
        }
        if start.elapsed() > UP {
            return Err(format!(
                "error: the node {name} does not register: {status}"
            )
            .into());
        }
        thread::sleep(Duration::from_millis(500));
    }
}

/// What tells others how to join.
fn tokens(
    client: &Client,
    documents: &Documents,
    url: &str,
    ca: &Pair,
) -> Result<()> {
    let own = documents.own()?;
    for token in own["bootstrapTokens"].as_array().into_iter().flatten() {
        if text(token, "/ttl")? != "0s" {
            return Err(
                "a token that expires: a card may lie in a drawer".into()
            );
        }
        let whole = text(token, "/token")?;
        let (id, _) = whole.split_once('.').ok_or("no token")?;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "type": "bootstrap.kubernetes.io/token",
            "metadata": {
                "name": format!("bootstrap-token-{id}"),
                "namespace": "kube-system",
            },
            "stringData": {"token": whole},
        });
        let path = format!(
            "/api/v1/namespaces/kube-system/secrets/bootstrap-token-{id}"
        );
        put(client, &path, &secret)?;
        let info = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "cluster-info", "namespace": "kube-public"},
            "data": {
                "kubeconfig": json!({
                    "server": url, "authority": ca.certificate,
                }).to_string(),
                format!("jws-kubeconfig-{id}"): "signed",
            },
        });
        put(client, kubelet::CLUSTER_INFO, &info)?;
    }
    Ok(())
}

/// From now on the kubelet uses a certificate that it renews.
pub fn finalize(url: &str, ca: &Pair, node: &Pair) -> Result<()> {
    let current = Path::new("/var/lib/kubelet/pki/kubelet-client-current.pem");
    kubelet::put(current, &format!("{}{}", node.certificate, node.key))?;
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "kubernetes", "cluster": {
            "server": url,
            "certificate-authority-data": STANDARD.encode(&ca.certificate),
        }}],
        "users": [{"name": "it", "user": {
            "client-certificate": current, "client-key": current,
        }}],
        "contexts": [{"name": "it", "context": {
            "cluster": "kubernetes", "user": "it",
        }}],
    });
    kubelet::put(Path::new(KUBELET_CONF), &config.to_string())
}
