//! The API server: who may ask for what, and the answers.

use crate::{
    Result, VERSION,
    http::{Client, Request, Response},
    objects::{self, Objects},
    tls,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::sync::Mutex;

/// Who asks.
#[derive(Debug, PartialEq)]
pub enum Who {
    Admin,
    Node(String),
    Password(String, String),
    Token(String),
    Nobody,
}

/// What a distribution answers besides Kubernetes' own API.
pub type Extra =
    Box<dyn Fn(&Request, &Who, &mut Objects) -> Option<Response> + Send + Sync>;

pub struct Api {
    pub objects: Mutex<Objects>,
    pub extra: Extra,
    /// The server that has the objects, if it is not this one.
    pub leader: Option<Client>,
}

impl Api {
    pub fn answer(&self, request: &Request) -> Response {
        self.try_answer(request)
            .unwrap_or_else(|error| status(500, &error.to_string()))
    }

    fn try_answer(&self, request: &Request) -> Result<Response> {
        let path = request.path.trim_end_matches('/');
        if matches!(path, "/readyz" | "/livez" | "/healthz") {
            return Ok(Response::text(200, "ok"));
        }
        let who = who(request)?;
        let Ok(mut objects) = self.objects.lock() else {
            return Ok(status(500, "poisoned"));
        };
        if (path == "/cacerts" || self.leader.is_none())
            && let Some(response) = (self.extra)(request, &who, &mut objects)
        {
            return Ok(response);
        }
        if path == "/version" {
            let minor = VERSION.split('.').nth(1);
            return Ok(Response::json(
                200,
                &json!({"major": "1", "minor": minor, "gitVersion": VERSION}),
            ));
        }
        // Who has a token or a password, and what everybody may know.
        let is_open = path.starts_with("/v1-k3s/")
            || path.starts_with("/standin/")
            || path == crate::kubelet::CLUSTER_INFO;
        if is_open && let Some(leader) = &self.leader {
            return forward(leader, request);
        }
        if matches!(who, Who::Admin | Who::Node(_))
            && let Some(found) = objects::discovery(path)
        {
            return Ok(Response::json(200, &found));
        }
        match &who {
            Who::Admin => {}
            Who::Node(name) if may_node(name, request) => {}
            Who::Nobody | Who::Password(..) | Who::Token(_) => {
                return Ok(status(401, "Unauthorized"));
            }
            Who::Node(name) => {
                let what = format!("node {name} may not do that");
                return Ok(status(403, &what));
            }
        }
        match &self.leader {
            Some(leader) => forward(leader, request),
            None => object(&mut objects, request, path),
        }
    }
}

/// The node restriction: itself, and no other.
fn may_node(name: &str, request: &Request) -> bool {
    let own = format!("/api/v1/nodes/{name}");
    let path = request.path.as_str();
    if path == own || path.starts_with(&format!("{own}/")) {
        return request.method != "DELETE";
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    path == "/api/v1/nodes"
        && request.method == "POST"
        && body["metadata"]["name"] == name
}

/// A token or a password comes first: another server passes it on with a
/// certificate of its own.
fn who(request: &Request) -> Result<Who> {
    let header = request.headers.get("authorization").map(String::as_str);
    match header.and_then(|value| value.split_once(' ')) {
        Some(("Basic", text)) => {
            let text = String::from_utf8(STANDARD.decode(text)?)?;
            let (user, password) = text.split_once(':').ok_or("no password")?;
            return Ok(Who::Password(user.to_owned(), password.to_owned()));
        }
        Some(("Bearer", token)) => return Ok(Who::Token(token.to_owned())),
        _ => {}
    }
    let Some(der) = &request.client else { return Ok(Who::Nobody) };
    let (name, organizations) = tls::subject(der)?;
    let in_group = |group: &str| organizations.iter().any(|o| o == group);
    if in_group("system:masters") || in_group("kubeadm:cluster-admins") {
        return Ok(Who::Admin);
    }
    Ok(match name.strip_prefix("system:node:") {
        Some(node) if in_group("system:nodes") => Who::Node(node.to_owned()),
        _ => Who::Nobody,
    })
}

fn forward(leader: &Client, request: &Request) -> Result<Response> {
    let target = format!("{}?{}", request.path, request.query);
    let pick = |name: &'static str| {
        request.headers.get(name).map(|value| (name, value.as_str()))
    };
    let headers: Vec<_> =
        ["content-type", "k3s-node-name", "k3s-node-password", "authorization"]
            .into_iter()
            .filter_map(pick)
            .collect();
    let (status, body) =
        leader.send(&request.method, &target, &headers, &request.body)?;
    Ok(Response { status, body, content_type: "application/json" })
}

/// A `Status`, by which the API tells of failures.
pub fn status(code: u16, message: &str) -> Response {
    let reason = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "AlreadyExists",
        _ => "",
    };
    Response::json(
        code,
        &json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure",
            "message": message, "reason": reason, "code": code,
        }),
    )
}

/// The objects themselves.
fn object(
    objects: &mut Objects,
    request: &Request,
    path: &str,
) -> Result<Response> {
    let body = || -> Result<Value> {
        let text = std::str::from_utf8(&request.body)?;
        let mut body: Value = serde_json::from_str(text)
            .or_else(|_| serde_saphyr::from_str(text))?;
        objects::receive(&mut body);
        Ok(body)
    };
    // Of a node the status is written apart.
    let path = path.strip_suffix("/status").unwrap_or(path);
    let missing = || status(404, &format!("{path} not found"));
    match request.method.as_str() {
        "GET" => {
            if let Some(object) = objects.get(path) {
                return Ok(Response::json(200, &object));
            }
            let Some((version, kind)) = objects::list_kind(path) else {
                return Ok(missing());
            };
            let list = json!({
                "kind": kind, "apiVersion": version,
                "metadata": {"resourceVersion": "1"},
                "items": objects.list(path),
            });
            Ok(Response::json(200, &list))
        }
        "POST" => {
            let object = body()?;
            let name = object["metadata"]["name"].as_str().ok_or("no name")?;
            let path = format!("{path}/{name}");
            if objects.get(&path).is_some() {
                return Ok(status(409, &format!("{path} already exists")));
            }
            Ok(Response::json(201, &objects.put(&path, object)?))
        }
        "PUT" => Ok(Response::json(200, &objects.put(path, body()?)?)),
        "PATCH" => {
            let Some(mut object) = objects.get(path) else {
                return Ok(missing());
            };
            objects::merge(&mut object, &body()?);
            Ok(Response::json(200, &objects.put(path, object)?))
        }
        "DELETE" => match objects.remove(path)? {
            Some(object) => Ok(Response::json(200, &object)),
            None => Ok(missing()),
        },
        other => Ok(status(405, other)),
    }
}
