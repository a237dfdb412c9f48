//! The tokens of k3s.

use crate::Result;
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

/// A secure token: `K10<sha256 of the authority>::<user>:<password>`.
#[derive(Clone)]
pub struct Token {
    pub digest: String,
    pub user: String,
    pub password: String,
}

impl Token {
    pub fn parse(text: &str) -> Result<Self> {
        let parts = || {
            let (digest, rest) = text.strip_prefix("K10")?.split_once("::")?;
            let (user, password) = rest.split_once(':')?;
            Some((digest, user, password))
        };
        let (digest, user, password) =
            parts().ok_or("invalid token format: not K10...::user:password")?;
        if digest.len() != 64 || password.is_empty() {
            return Err("invalid token CA hash length".into());
        }
        Ok(Self {
            digest: digest.to_owned(),
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

    pub fn check(&self, authority: &str) -> Result<()> {
        let found = sha256(authority.as_bytes());
        if self.digest == found {
            return Ok(());
        }
        Err(format!(
            "token CA hash does not match the Cluster CA certificate hash: \
             {} != {found}",
            self.digest
        )
        .into())
    }

    pub fn basic(&self) -> String {
        let pair = format!("{}:{}", self.user, self.password);
        format!("Basic {}", STANDARD.encode(pair))
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
