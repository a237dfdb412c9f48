//! `k3s server` and `k3s agent`.

use crate::{
    Result,
    api::{Api, Who, status},
    config::{Config, closed},
    http::{self, Client, Request, Response},
    kubelet::put,
    node::{Kubelet, check_kernel, notify},
    objects::{self, Objects, now},
    tls::{self, Pair, read},
    token::{Token, sha256},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

const ETC: &str = "/etc/rancher/k3s";
pub const KUBECONFIG: &str = "/etc/rancher/k3s/k3s.yaml";
const NODE_PASSWORD: &str = "/etc/rancher/node/password";
const SERVER: &str = "/var/lib/rancher/k3s/server";
const AGENT: &str = "/var/lib/rancher/k3s/agent";

/// etcd takes one new member at a time; seconds that one needs.
const LEARNING: u64 = 6;

/// What a server says whose name etcd knows already, and ends.
const DUPLICATE: &str = "etcd cluster join failed: duplicate node name found, \
                         please use a unique name for this node";

fn own_name(config: &Config) -> Result<String> {
    match config.text("node-name") {
        Some(name) => Ok(name.to_owned()),
        None => Ok(read(Path::new("/etc/hostname"))?.trim().to_owned()),
    }
}

fn check_registries() -> Result<()> {
    let path = Path::new(ETC).join("registries.yaml");
    if !path.exists() {
        return Ok(());
    }
    let value: Value = serde_saphyr::from_str(&read(&path)?)?;
    for key in value.as_object().ok_or("registries.yaml: no mapping")?.keys() {
        if !["mirrors", "configs", "auths"].contains(&key.as_str()) {
            return Err(format!("registries.yaml: unknown key {key}").into());
        }
    }
    Ok(())
}

pub fn server() -> Result<()> {
    check_kernel()?;
    check_registries()?;
    closed(&Path::new(ETC).join("config.yaml"))?;
    let config = Config::read(Path::new(ETC), true)?;
    let token = config.secret("token")?.ok_or("no token")?;
    let token = Token::parse(&token)?;
    let name = own_name(&config)?;
    let tls_dir = Path::new(SERVER).join("tls");

    // Once there are data, nobody joins any more.
    let url = config.text("server");
    let database = match url.is_some() || config.flag("cluster-init") {
        true => Path::new(SERVER).join("db/etcd"),
        false => Path::new(SERVER).join("db/sqlite"),
    };
    let joined = database.join("leader");
    if let Some(url) = url
        && !database.exists()
    {
        // Others get the authorities over the network.
        for (path, text) in join(url, &token, &name)? {
            put(&tls_dir.join(path), &text)?;
        }
        put(&joined, url)?;
    }
    let leader = match joined.exists() {
        true => Some(read(&joined)?),
        false => None,
    };

    let pair = |name: &str| {
        let key = tls_dir.join(format!("{name}.key"));
        closed(&key)?;
        Pair::authority(&tls_dir.join(format!("{name}.crt")), &key)
    };
    let (server_ca, client_ca) = (pair("server-ca")?, pair("client-ca")?);
    for name in ["request-header-ca", "etcd/peer-ca", "etcd/server-ca"] {
        pair(name)?;
    }
    let service_key = read(&tls_dir.join("service.key"))?;
    if !service_key.contains("-----BEGIN RSA PRIVATE KEY-----") {
        return Err("service.key is no RSA key of PKCS#1".into());
    }
    token.check(&server_ca.certificate)?;
    let agent_token = match config.secret("agent-token")? {
        Some(text) => Token::parse(&text)?,
        None => token.clone(),
    };
    agent_token.check(&server_ca.certificate)?;

    let mut names: Vec<String> = [
        "127.0.0.1",
        "localhost",
        "10.43.0.1",
        "kubernetes",
        "kubernetes.default.svc",
    ]
    .map(str::to_owned)
    .into();
    names.push(name.clone());
    names.extend(config.list("node-ip"));
    names.extend(config.list("tls-san"));
    let leaf = server_ca.issue("k3s", Some("k3s"), &names)?;

    let admin = client_ca.issue("system:admin", Some("system:masters"), &[])?;
    let local = "https://127.0.0.1:6443";
    put(
        Path::new(KUBECONFIG),
        &kubeconfig(local, &server_ca.certificate, &admin),
    )?;

    let mut objects = Objects::open(database.join("objects.json"))?;
    if leader.is_none() {
        objects.save()?;
        manifests(&mut objects)?;
    }
    let authority = server_ca.certificate.clone();
    let api = Api {
        objects: Mutex::new(objects),
        extra: extra(&server_ca, &client_ca, &token, &agent_token),
        leader: match &leader {
            Some(url) => Some(Client {
                url: url.clone(),
                config: tls::client(Some(&authority), Some(&admin))?,
                authorization: None,
            }),
            None => None,
        },
    };
    let tls_config = tls::server(&leaf, &client_ca.certificate)?;
    let listener = TcpListener::bind(("0.0.0.0", 6443))?;
    thread::spawn(move || {
        http::serve(&listener, &tls_config, move |request| api.answer(request));
    });
    notify();
    let roles = match leader.is_some() || config.flag("cluster-init") {
        true => vec!["control-plane", "etcd"],
        false => vec!["control-plane"],
    };
    kubelet(&config, name, local, &token, roles)?.run()
}

/// Becomes a member of the cluster that another server has begun.
fn join(
    url: &str,
    token: &Token,
    name: &str,
) -> Result<BTreeMap<String, String>> {
    let authority = authority_of(url, token)?;
    let client = Client {
        url: url.to_owned(),
        config: tls::client(Some(&authority), None)?,
        authorization: Some(token.basic()),
    };
    let headers = [("k3s-Node-Name", name)];
    match client.send("POST", "/v1-k3s/join-server", &headers, b"")? {
        (200, body) => Ok(serde_json::from_slice(&body)?),
        (status, body) => {
            let body = String::from_utf8_lossy(&body).into_owned();
            Err(format!("failed to join the cluster: {status} {body}").into())
        }
    }
}

/// Asks anybody for the authority, and believes the token alone.
fn authority_of(url: &str, token: &Token) -> Result<String> {
    let client = Client {
        url: url.to_owned(),
        config: tls::client(None, None)?,
        authorization: None,
    };
    let (status, body) = client.send("GET", "/cacerts", &[], b"")?;
    if status != 200 {
        return Err(format!("{url}/cacerts: {status}").into());
    }
    let authority = String::from_utf8(body)?;
    token.check(&authority)?;
    Ok(authority)
}

/// What only k3s answers.
fn extra(
    server_ca: &Pair,
    client_ca: &Pair,
    token: &Token,
    agent_token: &Token,
) -> crate::api::Extra {
    let authority = server_ca.certificate.clone();
    let (client_ca, token, agent_token) =
        (client_ca.clone(), token.clone(), agent_token.clone());
    let learner = AtomicU64::new(0);
    Box::new(move |request: &Request, who: &Who, objects: &mut Objects| {
        let known = |t: &Token| {
            *who == Who::Password(t.user.clone(), t.password.clone())
        };
        match request.path.as_str() {
            "/cacerts" => Some(Response::text(200, &authority)),
            "/v1-k3s/join-server" => {
                if !known(&token) {
                    return Some(status(401, "Unauthorized"));
                }
                if is_member(request, objects) {
                    return Some(status(409, DUPLICATE));
                }
                let last = learner.load(Ordering::SeqCst);
                if now() < last + LEARNING {
                    return Some(status(
                        503,
                        "too many learner members in cluster",
                    ));
                }
                learner.store(now(), Ordering::SeqCst);
                Some(match bootstrap() {
                    Ok(files) => Response::json(200, &files),
                    Err(error) => status(500, &error.to_string()),
                })
            }
            "/v1-k3s/client-kubelet.crt" => {
                if !known(&token) && !known(&agent_token) {
                    return Some(status(401, "Unauthorized"));
                }
                Some(client_kubelet(request, &client_ca, objects))
            }
            _ => None,
        }
    })
}

/// Whether etcd has a server of this name, and nobody took it out.
fn is_member(request: &Request, objects: &Objects) -> bool {
    let Some(name) = request.headers.get("k3s-node-name") else {
        return false;
    };
    let node = objects.get(&format!("/api/v1/nodes/{name}"));
    let role = "node-role.kubernetes.io/etcd";
    node.is_some_and(|node| node["metadata"]["labels"][role].is_string())
}

/// What other servers need: all authorities, by their paths below `tls`.
fn bootstrap() -> Result<Value> {
    let tls = Path::new(SERVER).join("tls");
    let mut files = serde_json::Map::new();
    for name in [
        "server-ca",
        "client-ca",
        "request-header-ca",
        "etcd/peer-ca",
        "etcd/server-ca",
    ] {
        for end in ["crt", "key"] {
            let file = format!("{name}.{end}");
            files.insert(file.clone(), json!(read(&tls.join(file))?));
        }
    }
    let service = "service.key";
    files.insert(service.to_owned(), json!(read(&tls.join(service))?));
    Ok(Value::Object(files))
}

/// A certificate for a node that knows the password of its first time.
fn client_kubelet(
    request: &Request,
    client_ca: &Pair,
    objects: &mut Objects,
) -> Response {
    let header = |name: &str| request.headers.get(name).map(String::as_str);
    let (Some(name), Some(password)) =
        (header("k3s-node-name"), header("k3s-node-password"))
    else {
        return status(400, "no node name or password");
    };
    let digest = sha256(password.as_bytes());
    if objects.passwords.get(name).is_some_and(|known| *known != digest) {
        return status(
            403,
            "Node password rejected, duplicate hostname or contents of \
             '/etc/rancher/node/password' may not match server node-passwd \
             entry, try enabling a unique node name with the --with-node-id \
             flag",
        );
    }
    objects.passwords.insert(name.to_owned(), digest);
    let user = format!("system:node:{name}");
    let issued = objects
        .save()
        .and_then(|()| client_ca.issue(&user, Some("system:nodes"), &[]));
    match issued {
        Ok(pair) => Response::json(
            200,
            &json!({"certificate": pair.certificate, "key": pair.key}),
        ),
        Err(error) => status(500, &error.to_string()),
    }
}

/// Manifests that are there at the start are applied.
fn manifests(objects: &mut Objects) -> Result<()> {
    let Ok(entries) = fs::read_dir(Path::new(SERVER).join("manifests")) else {
        return Ok(());
    };
    let mut files: Vec<_> = entries.flatten().map(|e| e.path()).collect();
    files.sort();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let stem = name.trim_end_matches(".yaml").trim_end_matches(".yml");
        let fits = |c: char| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c)
        };
        if stem == name || !stem.chars().all(fits) {
            return Err(
                format!("manifests/{name}: no name for a manifest").into()
            );
        }
        for document in serde_saphyr::from_multiple::<Value>(&read(&file)?)? {
            if document.is_null() {
                continue;
            }
            let collection = objects::collection(&document)?;
            let name =
                document["metadata"]["name"].as_str().ok_or("no name")?;
            objects.put(&format!("{collection}/{name}"), document.clone())?;
        }
    }
    Ok(())
}

fn kubeconfig(url: &str, authority: &str, pair: &Pair) -> String {
    let encode = |text: &str| STANDARD.encode(text);
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "default",
        "clusters": [{"name": "default", "cluster": {
            "server": url, "certificate-authority-data": encode(authority),
        }}],
        "users": [{"name": "default", "user": {
            "client-certificate-data": encode(&pair.certificate),
            "client-key-data": encode(&pair.key),
        }}],
        "contexts": [{"name": "default", "context": {
            "cluster": "default", "user": "default",
        }}],
    })
    .to_string()
}

pub fn agent() -> Result<()> {
    check_kernel()?;
    check_registries()?;
    closed(&Path::new(ETC).join("config.yaml"))?;
    let config = Config::read(Path::new(ETC), false)?;
    let url = config.text("server").ok_or("--server is required")?;
    let token = config.secret("token")?.ok_or("--token is required")?;
    let token = Token::parse(&token)?;
    let name = own_name(&config)?;
    kubelet(&config, name, url, &token, Vec::new())?.run()
}

/// Gets the node its certificate; waits for the server as long as it takes,
/// for one that is not the right one too, and says why.
fn kubelet(
    config: &Config,
    name: String,
    url: &str,
    token: &Token,
    roles: Vec<&'static str>,
) -> Result<Kubelet> {
    let path = Path::new(NODE_PASSWORD);
    closed(path)?;
    let password = read(path)?.trim().to_owned();
    let (authority, pair) = loop {
        match certificate(url, token, &name, &password) {
            Ok(found) => break found,
            Err(error) => {
                let text = error.to_string();
                if text.contains("rejected") {
                    eprintln!(
                        "level=info msg=\"Waiting to retrieve agent \
                         configuration; server is not ready: {text}\""
                    );
                } else {
                    eprintln!(
                        "level=error msg=\"Failed to validate connection to \
                         cluster at {url}: {text}\""
                    );
                }
                thread::sleep(Duration::from_secs(2));
            }
        }
    };
    let own = kubeconfig(url, &authority, &pair);
    put(&Path::new(AGENT).join("kubelet.kubeconfig"), &own)?;
    Ok(Kubelet {
        name,
        addresses: config.list("node-ip"),
        labels: config.list("node-label"),
        taints: config.list("node-taint"),
        roles,
        resolv_conf: None,
        client: Client {
            url: url.to_owned(),
            config: tls::client(Some(&authority), Some(&pair))?,
            authorization: None,
        },
    })
}

fn certificate(
    url: &str,
    token: &Token,
    name: &str,
    password: &str,
) -> Result<(String, Pair)> {
    let authority = authority_of(url, token)?;
    let client = Client {
        url: url.to_owned(),
        config: tls::client(Some(&authority), None)?,
        authorization: Some(token.basic()),
    };
    let headers = [("k3s-Node-Name", name), ("k3s-Node-Password", password)];
    let (status, body) =
        client.send("POST", "/v1-k3s/client-kubelet.crt", &headers, b"")?;
    if status != 200 {
        let body = String::from_utf8_lossy(&body).into_owned();
        return Err(format!("{status} {body}").into());
    }
    let answer: Value = serde_json::from_slice(&body)?;
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    Ok((authority, Pair { certificate: text("certificate"), key: text("key") }))
}
