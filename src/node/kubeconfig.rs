//! Kubeconfig files, as far as they say how to reach a cluster.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, pem::Error as PemError, pem::PemObject,
};
use serde::Deserialize;

/// No kubeconfig is larger, in bytes.
const LARGEST: u64 = 1 << 20;

/// A cluster's API server, and who asks it.
pub struct Kubeconfig {
    /// Its URL.
    pub server: String,
    /// What signs the server's certificate.
    pub authority: Vec<CertificateDer<'static>>,
    /// The client's certificate, with those between it and its authority.
    pub certificate: Vec<CertificateDer<'static>>,
    /// The client's key: a secret.
    pub key: PrivateKeyDer<'static>,
}

/// Why a kubeconfig is of no use.
#[derive(Debug, thiserror::Error)]
#[error("{} is of no use", .path.display())]
pub struct KubeconfigError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub source: Wrong,
}

/// What is wrong with a kubeconfig.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// It cannot be read.
    #[error("cannot read it")]
    Io(#[from] io::Error),
    /// It is none.
    #[error("it is no kubeconfig: {0}")]
    Form(String),
    /// Something that its current context needs is not there.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// A field is not what it should be.
    #[error("{0} is damaged")]
    Field(&'static str),
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    clusters: Vec<Named>,
    #[serde(default)]
    users: Vec<Named>,
    #[serde(default)]
    contexts: Vec<Named>,
    #[serde(rename = "current-context", default)]
    current: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    cluster: Option<ClusterOf>,
    #[serde(default)]
    user: Option<UserOf>,
    #[serde(default)]
    context: Option<ContextOf>,
}

#[derive(Deserialize)]
struct ClusterOf {
    server: String,
    #[serde(rename = "certificate-authority-data", default)]
    authority: String,
}

#[derive(Deserialize)]
struct UserOf {
    #[serde(rename = "client-certificate-data", default)]
    certificate: String,
    #[serde(rename = "client-key-data", default)]
    key: String,
}

#[derive(Deserialize)]
struct ContextOf {
    cluster: String,
    user: String,
}

impl Kubeconfig {
    /// Reads the current context of a file; None if there is no file.
    ///
    /// # Errors
    /// If it cannot be read, or lacks something.
    pub fn load(path: &Path) -> Result<Option<Self>, KubeconfigError> {
        let wrong = |source| KubeconfigError { path: path.to_owned(), source };
        let mut text = String::new();
        match File::open(path) {
            Ok(file) => file
                .take(LARGEST)
                .read_to_string(&mut text)
                .map_err(|e| wrong(e.into()))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(wrong(e.into())),
        };
        Self::read(&text).map(Some).map_err(wrong)
    }

    fn read(text: &str) -> Result<Self, Wrong> {
        // Without the parser's excerpt, which may have the key in it.
        let raw: Raw = serde_saphyr::from_str(text).map_err(|error| {
            let place = error.location();
            let line = place.map(|place| place.line());
            Wrong::Form(match line {
                Some(line) => format!("line {line} is not as it should be"),
                None => "it is not YAML".to_owned(),
            })
        })?;
        let find = |list: Vec<Named>, name: &str| {
            list.into_iter().find(|item| item.name == name)
        };
        let context = find(raw.contexts, &raw.current)
            .and_then(|item| item.context)
            .ok_or(Wrong::Missing("current context"))?;
        let cluster = find(raw.clusters, &context.cluster)
            .and_then(|item| item.cluster)
            .ok_or(Wrong::Missing("cluster of its current context"))?;
        let user = find(raw.users, &context.user)
            .and_then(|item| item.user)
            .ok_or(Wrong::Missing("user of its current context"))?;
        let (what, key) = ("client-key-data", &user.key);
        let key = PrivateKeyDer::from_pem_slice(&decoded(what, key)?)
            .map_err(|_| Wrong::Field(what))?;
        Ok(Self {
            server: cluster.server.trim_end_matches('/').to_owned(),
            authority: chain("certificate-authority-data", &cluster.authority)?,
            certificate: chain("client-certificate-data", &user.certificate)?,
            key,
        })
    }
}

fn chain(
    what: &'static str,
    data: &str,
) -> Result<Vec<CertificateDer<'static>>, Wrong> {
    let pem = decoded(what, data)?;
    let all: Result<Vec<_>, PemError> =
        CertificateDer::pem_slice_iter(&pem).collect();
    let all = all.map_err(|_| Wrong::Field(what))?;
    if all.is_empty() { Err(Wrong::Field(what)) } else { Ok(all) }
}

fn decoded(what: &'static str, data: &str) -> Result<Vec<u8>, Wrong> {
    if data.is_empty() {
        return Err(Wrong::Missing(what));
    }
    STANDARD.decode(data).map_err(|_| Wrong::Field(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    #[test]
    fn what_is_wrong_is_said_without_what_is_secret() {
        let secret = "c2VjcmV0IHNlY3JldA==";
        let whole = format!(
            "clusters: [{{name: c, cluster: {{server: https://a:6443/}}}}]\n\
             users: [{{name: u, user: {{client-key-data: {secret}}}}}]\n\
             contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
             current-context: x\n"
        );
        for (text, said) in [
            (String::new(), "no"),
            ("[]".to_owned(), "no kubeconfig"),
            (whole.replace("-context: x", "-context: y"), "current context"),
            (whole.replace("cluster: c,", "cluster: d,"), "no cluster"),
            (whole.replace("user: u}", "user: v}"), "no user"),
            (whole.replace(secret, "'$'"), "client-key-data is damaged"),
            (whole.replace(secret, "''"), "no client-key-data"),
            (whole.replace("users: [", "users: {["), "no kubeconfig: line"),
            (whole.clone(), "client-key-data is damaged"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("k3s-config.yml");
            std::fs::write(&path, &text).unwrap();
            let Err(error) = Kubeconfig::load(&path) else { panic!("{text}") };
            let cause = error.source().unwrap().to_string();
            assert!(cause.contains(said), "{said}: {cause}");
            assert!(!format!("{error:?} {cause}").contains("c2Vjc"), "{cause}");
        }
        let none = Kubeconfig::load(Path::new("/nowhere/at/all")).unwrap();
        assert!(none.is_none());
    }
}
