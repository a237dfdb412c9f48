//! Kubeconfig files (`kubectl config view`), known before the first boot.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{authority::Certified, secret::Secret};

/// Writes the kubeconfig of a cluster's owner.
///
/// `cluster` names cluster, user and context; `server` is a URL; `authority`
/// is PEM.
#[must_use]
pub fn kubeconfig(
    cluster: &str,
    server: &str,
    authority: &str,
    admin: &Certified,
) -> Secret {
    let encode = |text: &str| STANDARD.encode(text);
    Secret::new(&format!(
        "apiVersion: v1
kind: Config
clusters:
- name: {cluster}
  cluster:
    server: {server}
    certificate-authority-data: {authority}
users:
- name: {cluster}-admin
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
contexts:
- name: {cluster}
  context:
    cluster: {cluster}
    user: {cluster}-admin
current-context: {cluster}
",
        authority = encode(authority),
        certificate = encode(&admin.certificate),
        key = encode(admin.key.reveal()),
    ))
}
