//! What a card says of itself: what piflash put there, and what it was made
//! from. `inspect` and `verify` read it.

use serde::{Deserialize, Serialize};

use super::Plan;
use crate::{
    base::digest::Sha256,
    profile::{Access, Action, Content, Edit, Part},
};

/// The image that a card was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestBase {
    /// `demo`, a catalogue's id, or a file's name.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the raw image.
    pub sha256: Sha256,
}

/// One edit: what happened at a path. Of a secret there is no size and no
/// digest, for the key of a wireless network could be guessed by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEdit {
    /// The partition.
    pub part: Part,
    /// The path on it.
    pub path: String,
    /// The verb, as `write`.
    pub action: String,
    /// Whether it is a secret.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// Four octal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Bytes written, or added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Their SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Words that the kernel's command line got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Vec<String>>,
    /// Key of `config.txt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// And its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where a link leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// The manifest of a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Raised when a field changes its meaning; new fields may come.
    pub version: u32,
    /// Version of piflash.
    pub piflash: String,
    /// The node's name.
    pub node: String,
    /// The profile's name.
    pub profile: String,
    /// The time of the build, in seconds since the epoch.
    pub built: i64,
    /// What it was made from.
    pub base: ManifestBase,
    /// What was done, in order; all but this file.
    pub edits: Vec<ManifestEdit>,
}

/// Why a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not the JSON that piflash writes.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// Of a later piflash.
    #[error("its version is {0}, which only a newer piflash knows")]
    Newer(u64),
}

impl Manifest {
    /// Where it lies on the root partition.
    pub const PATH: &'static str = "/etc/piflash/manifest.json";

    /// Version of what is written here.
    pub const VERSION: u32 = 1;

    /// Describes `plan`, made at `built` for a card from `base`.
    #[must_use]
    pub fn of(plan: &Plan, base: &ManifestBase, built: i64) -> Self {
        Self {
            version: Self::VERSION,
            piflash: env!("CARGO_PKG_VERSION").to_owned(),
            node: plan.node.clone(),
            profile: plan.profile.clone(),
            built,
            base: base.clone(),
            edits: plan.edits.iter().map(ManifestEdit::of).collect(),
        }
    }

    /// Reads one.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let damaged = |error: serde_json::Error| {
            ManifestError::Damaged(error.to_string())
        };
        let value: serde_json::Value =
            serde_json::from_slice(bytes).map_err(damaged)?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version > u64::from(Self::VERSION) => {
                Err(ManifestError::Newer(version))
            }
            _ => serde_json::from_value(value).map_err(damaged),
        }
    }

    fn text(&self) -> String {
        // Nothing in it can fail to be JSON.
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        format!("{text}\n")
    }

    /// Returns whether what lies at a path is a secret.
    #[must_use]
    pub fn is_secret(&self, part: Part, path: &str) -> bool {
        let mut edits = self.edits.iter();
        edits.any(|e| e.secret && e.part == part && e.path == path)
    }
}

impl ManifestEdit {
    fn of(edit: &Edit) -> Self {
        let mut this = Self {
            part: edit.part,
            path: edit.path.clone(),
            action: edit.action.verb().to_owned(),
            secret: edit.secret,
            mode: None,
            uid: None,
            gid: None,
            size: None,
            sha256: None,
            words: None,
            key: None,
            value: None,
            target: None,
        };
        if let Action::Write { access, .. }
        | Action::Mkdir { access }
        | Action::Access { access } = &edit.action
        {
            this.mode = Some(format!("{:04o}", access.mode));
            this.uid = Some(access.uid);
            this.gid = Some(access.gid);
        }
        if edit.secret {
            return this;
        }
        match &edit.action {
            Action::Write { content, .. } => {
                this.size = Some(content.len());
                this.sha256 = digest(content);
            }
            Action::Append { text } | Action::Block { text } => {
                this.size = u64::try_from(text.len()).ok();
                this.sha256 = Some(Sha256::of(text.as_bytes()));
            }
            Action::KernelWords { words } => this.words = Some(words.clone()),
            Action::ConfigTxt { key, value } => {
                this.key = Some(key.clone());
                this.value = Some(value.clone());
            }
            Action::Symlink { target } => this.target = Some(target.clone()),
            Action::Mkdir { .. } | Action::Access { .. } | Action::Remove => {}
        }
        this
    }
}

fn digest(content: &Content) -> Option<Sha256> {
    match content {
        Content::Bytes(bytes) => Some(Sha256::of(bytes)),
        Content::File(file) => file.sha256().parse().ok(),
    }
}

impl Plan {
    /// Adds the last edit, which writes the manifest of all that come before
    /// it.
    pub fn seal(&mut self, base: &ManifestBase, built: i64) {
        let manifest = Manifest::of(self, base, built);
        self.edits.push(Edit {
            part: Part::Root,
            path: Manifest::PATH.to_owned(),
            action: Action::Write {
                content: manifest.text().into(),
                access: Access { mode: 0o600, uid: 0, gid: 0 },
            },
            why: "what piflash put here, for inspect and verify".to_owned(),
            secret: false,
        });
    }
}
