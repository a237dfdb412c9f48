//! `kubeadm join`.

use crate::{
    Result,
    http::Client,
    kubeadm::{PKI, control_plane, finalize, mark, owner, registration},
    kubeadm_config::{Documents, text},
    kubelet,
    preflight::{authorities, preflight},
    tls::{self, Pair},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::Path;

pub fn join(documents: &Documents) -> Result<()> {
    let own =
        documents.get("JoinConfiguration").ok_or("no JoinConfiguration")?;
    let is_master = own.get("controlPlane").is_some();
    let socket = text(own, "/nodeRegistration/criSocket")?;
    let ports: &[u16] = if is_master { &[6443, 10248] } else { &[10248] };
    preflight(socket, ports, !is_master)?;
    let token = text(own, "/discovery/bootstrapToken/token")?;
    let endpoint = text(own, "/discovery/bootstrapToken/apiServerEndpoint")?;
    let url = format!("https://{endpoint}");
    let authority = discover(&url, &own["discovery"]["bootstrapToken"])?;

    let mut plan = registration(documents, is_master)?;
    let client = Client {
        url: url.clone(),
        config: tls::client(Some(&authority), None)?,
        authorization: Some(format!("Bearer {token}")),
    };
    let headers = [("standin-node", plan.name.as_str())];
    let target = if is_master { "/standin/member" } else { "/standin/client" };
    let (status, body) = client.send("POST", target, &headers, b"")?;
    if status != 200 {
        let body = String::from_utf8_lossy(&body).into_owned();
        return Err(format!("error: couldn't join: {status} {body}").into());
    }
    let answer: Value = serde_json::from_slice(&body)?;
    let node = Pair {
        certificate: text(&answer, "/certificate")?.to_owned(),
        key: text(&answer, "/key")?.to_owned(),
    };
    let shared = answer["resolvConf"].as_str().map(str::to_owned);
    plan.resolv_conf = plan.resolv_conf.or(shared);
    let mut ca = Pair { certificate: authority.clone(), key: String::new() };
    let mut admin = None;
    if is_master {
        ca = authorities()?;
        if ca.certificate != authority {
            return Err(
                "error: the authority in /etc/kubernetes/pki is another one"
                    .into(),
            );
        }
        admin = Some(control_plane(documents, &ca, Some(&url))?.1);
    } else {
        kubelet::put(&Path::new(PKI).join("ca.crt"), &authority)?;
    }
    finalize(&url, &ca, &node)?;
    kubelet::start(&plan)?;
    if let Some(admin) = admin {
        mark(&owner(&url, &ca, &admin)?, &plan.name)?;
    }
    println!("This node has joined the cluster");
    Ok(())
}

/// Asks anybody for the authority, and believes only one of the digests.
fn discover(url: &str, discovery: &Value) -> Result<String> {
    let anybody = Client {
        url: url.to_owned(),
        config: tls::client(None, None)?,
        authorization: None,
    };
    let (status, body) =
        anybody.send("GET", kubelet::CLUSTER_INFO, &[], b"")?;
    if status != 200 {
        return Err(format!("error: cluster-info: {status}").into());
    }
    let info: Value = serde_json::from_slice(&body)?;
    let token = text(discovery, "/token")?;
    let id = token.split('.').next().unwrap_or_default();
    if info["data"][format!("jws-kubeconfig-{id}")].is_null() {
        return Err(
            "error: could not find a JWS signature for the token".into()
        );
    }
    let inner: Value = serde_json::from_str(text(&info, "/data/kubeconfig")?)?;
    let authority = text(&inner, "/authority")?.to_owned();
    let digest: String = Sha256::digest(tls::public_key(&authority)?)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let hashes =
        discovery["caCertHashes"].as_array().ok_or("no caCertHashes")?;
    if !hashes.iter().any(|hash| *hash == format!("sha256:{digest}")) {
        return Err("error: cluster CA found in cluster-info ConfigMap is invalid: none of the public keys is pinned".into());
    }
    Ok(authority)
}
