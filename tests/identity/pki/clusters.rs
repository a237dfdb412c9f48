use super::{K3S, K8S, NOW, openssl, read_back, written};
use crate::support::oracle::{run, run_with};
use piflash::identity::{K3s, K8s, Kept, Secret, kubeconfig};
use std::{fs, path::Path};

const K3S_CAS: [&str; 5] = [
    "tls/server-ca",
    "tls/client-ca",
    "tls/request-header-ca",
    "tls/etcd/peer-ca",
    "tls/etcd/server-ca",
];
const K8S_CAS: [&str; 3] = ["pki/ca", "pki/front-proxy-ca", "pki/etcd/ca"];

fn sha256(path: &Path) -> String {
    let sum = run("sha256sum", &[path.to_str().unwrap()]).unwrap();
    String::from_utf8(sum).unwrap()[..64].to_owned()
}

fn check_authority(dir: &Path, ca: &str) {
    let text = openssl(dir, &format!("x509 -in @{ca}.crt -noout -text"));
    assert!(text.contains("Version: 3 (0x2)"), "{text}");
    assert!(text.contains("Not Before: Oct 25 00:00:00 2026 GMT"), "{text}");
    assert!(text.contains("Not After : Oct 22 00:00:00 2036 GMT"), "{text}");
    assert!(text.contains("ASN1 OID: prime256v1"), "{text}");
    assert!(
        text.contains(
            "X509v3 Basic Constraints: critical\n                CA:TRUE"
        ),
        "{text}"
    );
    assert!(
        text.contains("Digital Signature, Key Encipherment, Certificate Sign"),
        "{text}"
    );
    assert!(text.contains("X509v3 Subject Key Identifier"), "{text}");
    let of_certificate =
        openssl(dir, &format!("x509 -in @{ca}.crt -noout -pubkey"));
    let of_key = openssl(dir, &format!("pkey -in @{ca}.key -pubout"));
    assert_eq!(of_certificate, of_key);
    openssl(dir, &format!("ec -in @{ca}.key -noout -check"));
    let file = fs::read_to_string(dir.join(format!("{ca}.key"))).unwrap();
    assert!(file.starts_with("-----BEGIN EC PRIVATE KEY-----\n"), "{file}");
    // Valid for what it signs, a year on and nine years on.
    for later in [0, 365, 3285] {
        let at = NOW + later * 86_400;
        openssl(
            dir,
            &format!("verify -attime {at} -CAfile @{ca}.crt @{ca}.crt"),
        );
    }
}

fn check_admin(dir: &Path, ca: &str, subject: &str) {
    let of = |what: &str| {
        openssl(dir, &format!("x509 -in @admin.crt -noout {what}"))
    };
    assert_eq!(of("-subject -nameopt RFC2253").trim_end(), subject);
    openssl(
        dir,
        &format!(
            "verify -attime {NOW} -purpose sslclient -CAfile @{ca}.crt \
             @admin.crt"
        ),
    );
    let key = openssl(dir, "pkey -in @admin.key -pubout");
    assert_eq!(of("-pubkey"), key);
    assert!(of("-ext basicConstraints").contains("CA:FALSE"));
}

#[test]
fn openssl_accepts_what_a_k3s_cluster_begins_with() {
    let dir = written(&K3S.files());
    let dir = dir.path();
    for ca in K3S_CAS {
        check_authority(dir, ca);
    }
    check_admin(
        dir,
        "tls/client-ca",
        "subject=CN=system:admin,O=system:masters",
    );
    openssl(dir, "rsa -in @tls/service.key -noout -check");
    let key = fs::read_to_string(dir.join("tls/service.key")).unwrap();
    assert!(key.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
    let text = openssl(dir, "rsa -in @tls/service.key -noout -text");
    assert!(text.contains("2048 bit"), "{text}");
}

#[test]
fn tokens_of_k3s_carry_the_digest_of_the_authoritys_file() {
    let dir = written(&K3S.files());
    let digest = sha256(&dir.path().join("tls/server-ca.crt"));
    let password = |file: &str| {
        let text = fs::read_to_string(dir.path().join(file)).unwrap();
        text.trim_end().to_owned()
    };
    let (server, agent) =
        (password("server-password"), password("agent-password"));
    assert_ne!(server, agent);
    assert_eq!(
        K3S.server_token().reveal(),
        format!("K10{digest}::server:{server}")
    );
    assert_eq!(
        K3S.agent_token().reveal(),
        format!("K10{digest}::node:{agent}")
    );
}

#[test]
fn servers_of_k3s_get_what_their_tls_directory_begins_with() {
    let tls = K3S.server_tls();
    let names: Vec<&str> = tls.keys().copied().collect();
    assert_eq!(
        names,
        [
            "client-ca.crt",
            "client-ca.key",
            "etcd/peer-ca.crt",
            "etcd/peer-ca.key",
            "etcd/server-ca.crt",
            "etcd/server-ca.key",
            "request-header-ca.crt",
            "request-header-ca.key",
            "server-ca.crt",
            "server-ca.key",
            "service.key",
        ]
    );
}

#[test]
fn openssl_accepts_what_a_kubeadm_cluster_begins_with() {
    let dir = written(&K8S.files());
    let dir = dir.path();
    for ca in K8S_CAS {
        check_authority(dir, ca);
    }
    check_admin(dir, "pki/ca", "subject=CN=kubernetes-admin,O=system:masters");
    openssl(dir, "rsa -in @pki/sa.key -noout -check");
    let public = fs::read_to_string(dir.join("pki/sa.pub")).unwrap();
    assert_eq!(openssl(dir, "rsa -in @pki/sa.key -pubout"), public);
    // As kubeadm's documentation computes it.
    let key = openssl(dir, "x509 -in @pki/ca.crt -noout -pubkey");
    let key = run_with(
        "openssl",
        &["pkey", "-pubin", "-outform", "der"],
        key.as_bytes(),
    );
    let der = dir.join("ca.der");
    fs::write(&der, key.unwrap()).unwrap();
    assert_eq!(K8S.ca_digest(), format!("sha256:{}", sha256(&der)));
    let names: Vec<&str> = K8S.pki().into_keys().collect();
    assert_eq!(
        names,
        [
            "ca.crt",
            "ca.key",
            "etcd/ca.crt",
            "etcd/ca.key",
            "front-proxy-ca.crt",
            "front-proxy-ca.key",
            "sa.key",
            "sa.pub",
        ]
    );
}

#[test]
fn a_bootstrap_token_has_the_form_that_kubeadm_wants() {
    let token = K8S.bootstrap_token().reveal();
    let (id, secret) = token.split_once('.').unwrap();
    assert_eq!((id.len(), secret.len()), (6, 16));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    assert!(id.chars().chain(secret.chars()).all(plain), "{token}");
}

#[test]
fn what_was_kept_is_what_was_made() {
    let k3s = K3s::read(&read_back(&K3S.files())).unwrap();
    assert_eq!(k3s.files(), K3S.files());
    assert_eq!(k3s.server_token(), K3S.server_token());
    let k8s = K8s::read(&read_back(&K8S.files())).unwrap();
    assert_eq!(k8s.files(), K8S.files());
    assert_eq!(k8s.ca_digest(), K8S.ca_digest());
    assert_eq!(k8s.bootstrap_token(), K8S.bootstrap_token());
}

#[test]
fn two_clusters_share_nothing() {
    let (one, other) = (K3S.files(), K3s::make(NOW).unwrap().files());
    for (path, text) in &one {
        assert_ne!(Some(text), other.get(path), "{path}");
    }
}

#[test]
fn debugging_shows_no_secret() {
    let shown = format!("{:?}{:?}", *K3S, *K8S);
    assert!(!shown.contains("PRIVATE KEY"), "{shown}");
    let token = K8S.bootstrap_token();
    assert!(!shown.contains(token.reveal()), "{shown}");
    assert_eq!(format!("{:?}", Secret::new("hush")), "***");
}

#[test]
fn kubectl_reads_the_kubeconfig() {
    let text =
        kubeconfig("k8s", "https://[fd00::11]:6443", K8S.ca(), K8S.admin());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("k8s-config.yml");
    fs::write(&path, text.reveal()).unwrap();
    let config = format!("--kubeconfig={}", path.display());
    let view = |output: &str| {
        let args = [&*config, "config", "view", "--raw", "--minify", output];
        String::from_utf8(run("kubectl", &args).unwrap()).unwrap()
    };
    let field = |path: &str| view(&format!("-ojsonpath={{{path}}}"));
    assert_eq!(field(".current-context"), "k8s");
    assert_eq!(field(".clusters[0].cluster.server"), "https://[fd00::11]:6443");
    let decoded = |path: &str| {
        let text = field(path);
        let args = ["base64", "-d", "-A"];
        let bytes = run_with("openssl", &args, text.as_bytes()).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let ca = decoded(".clusters[0].cluster.certificate-authority-data");
    assert_eq!(ca, K8S.ca());
    let user = ".users[0].user.client";
    let admin = K8S.admin();
    assert_eq!(decoded(&format!("{user}-certificate-data")), admin.certificate);
    assert_eq!(decoded(&format!("{user}-key-data")), admin.key.reveal());
}
