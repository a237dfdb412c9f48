//! What a kubelet does for its node: registers it, and says that it is well.

use crate::{
    Result, VERSION,
    http::Client,
    objects::{heartbeat, merge},
};
use serde_json::{Map, Value, json};
use std::{
    env, fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::net::UnixDatagram,
    thread,
    time::Duration,
};

const BEAT: Duration = Duration::from_secs(5);

pub struct Kubelet {
    pub name: String,
    pub addresses: Vec<String>,
    /// `key=value`
    pub labels: Vec<String>,
    /// `key=value:Effect`
    pub taints: Vec<String>,
    /// As `control-plane`.
    pub roles: Vec<&'static str>,
    /// What pods get their name servers from.
    pub resolv_conf: Option<String>,
    pub client: Client,
}

impl Kubelet {
    /// Registers the node; never returns while it can be kept alive.
    pub fn run(&self) -> Result<()> {
        self.register()?;
        notify();
        thread::spawn(healthz);
        loop {
            thread::sleep(BEAT);
            if !self.runs_pods() {
                continue;
            }
            if let Err(error) = self.patch(&heartbeat()) {
                eprintln!("level=error msg=\"heartbeat: {error}\"");
                // Deleted behind its back: it registers again.
                if error.to_string().contains("404") {
                    self.register()?;
                }
            }
        }
    }

    /// Without this file no pod starts, and without those of its network the
    /// node is never ready.
    fn runs_pods(&self) -> bool {
        let path = self.resolv_conf.as_deref();
        let path = path.unwrap_or("/etc/resolv.conf");
        let exists = std::path::Path::new(path).exists();
        if !exists {
            eprintln!(
                "level=error msg=\"Could not open resolv conf file. {path}\""
            );
        }
        exists
    }

    fn path(&self) -> String {
        format!("/api/v1/nodes/{}", self.name)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Result<u16> {
        let body = body.to_string();
        let (status, text) =
            self.client.send(method, path, &[], body.as_bytes())?;
        if status >= 400 && status != 409 {
            let text = String::from_utf8_lossy(&text).into_owned();
            return Err(format!("{method} {path}: {status} {text}").into());
        }
        Ok(status)
    }

    fn patch(&self, patch: &Value) -> Result<()> {
        self.send("PATCH", &self.path(), patch).map(drop)
    }

    /// Labels are set at every start, taints only when a node is new.
    fn register(&self) -> Result<()> {
        let mut labels = Map::new();
        labels.insert("kubernetes.io/hostname".into(), json!(self.name));
        for label in &self.labels {
            let (key, value) = label.split_once('=').unwrap_or((label, ""));
            labels.insert(key.to_owned(), json!(value));
        }
        for role in &self.roles {
            let key = format!("node-role.kubernetes.io/{role}");
            labels.insert(key, json!("true"));
        }
        let taints = self.taints.iter().map(|text| taint(text));
        let taints = taints.collect::<Result<Vec<Value>>>()?;
        let addresses: Vec<Value> = self
            .addresses
            .iter()
            .map(|ip| json!({"type": "InternalIP", "address": ip}))
            .collect();
        let mut node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": self.name, "labels": labels},
            "spec": {"taints": taints},
            "status": {
                "addresses": addresses,
                "nodeInfo": {"kubeletVersion": VERSION},
            },
        });
        if self.runs_pods() {
            merge(&mut node, &heartbeat());
        }
        if self.send("POST", "/api/v1/nodes", &node)? == 409 {
            node["spec"] = json!({});
            self.patch(&node)?;
        }
        Ok(())
    }
}

fn taint(text: &str) -> Result<Value> {
    let (pair, effect) =
        text.rsplit_once(':').ok_or("a taint without effect")?;
    if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect) {
        return Err(format!("no effect of a taint: {effect}").into());
    }
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    Ok(json!({"key": key, "value": value, "effect": effect}))
}

/// Tells systemd that a unit of `Type=notify` is up; see sd_notify(3).
pub fn notify() {
    if let Some(path) = env::var_os("NOTIFY_SOCKET")
        && let Ok(socket) = UnixDatagram::unbound()
    {
        let _ = socket.send_to(b"READY=1", path);
    }
}

/// The kubelet's own port, on loopback.
fn healthz() {
    let Ok(listener) = TcpListener::bind("127.0.0.1:10248") else {
        eprintln!("level=error msg=\"port 10248 is in use\"");
        return;
    };
    for mut stream in listener.incoming().flatten() {
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        );
    }
}

/// What containers cannot do without: the Pi's firmware turns memory off
/// unless the kernel's command line says otherwise.
pub fn check_kernel() -> Result<()> {
    let file = "/sys/fs/cgroup/cgroup.controllers";
    let controllers = fs::read_to_string(file)
        .map_err(|error| format!("no cgroup v2: {file}: {error}"))?;
    for needed in ["cpuset", "memory", "pids"] {
        if !controllers.split_whitespace().any(|c| c == needed) {
            return Err(format!("failed to find {needed} cgroup (v2)").into());
        }
    }
    Ok(())
}
