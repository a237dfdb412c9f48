//! What a file has to be, whatever a list of checksums says of it.

use std::{
    fs::File,
    io::{self, Read},
};

use serde::Deserialize;

use crate::base::{
    digest::FromStart, elf, facts::Architecture, signature::Keyring,
    unpack::Format,
};

/// The largest program or bundle of images, in bytes; k3s 1.36 has 68 MiB
/// and 167 MiB.
const MAX_BINARY: u64 = 2 << 30;
/// The largest text, in bytes; Flannel's manifest has 5 KiB.
const MAX_TEXT: u64 = 1 << 20;

/// What a file has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Anything.
    Any,
    /// An ELF program of this architecture.
    Program(Architecture),
    /// Something compressed by zstd.
    Zstd,
    /// Kubernetes objects in YAML.
    Manifest,
    /// An armored OpenPGP public key.
    PublicKey,
}

/// What a file should be, with what it is instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOfForm {
    /// No program, or one of another machine.
    #[error("program for {wanted}, but {found}")]
    Program {
        /// Of the node's image.
        wanted: Architecture,
        /// As `not an ELF program`.
        found: String,
    },
    /// No zstd magic.
    #[error("file compressed by zstd")]
    Zstd,
    /// Not UTF-8.
    #[error("text")]
    Text,
    /// Neither YAML nor objects.
    #[error("manifest of Kubernetes objects: {0}")]
    Manifest(String),
    /// No key in it.
    #[error("armored OpenPGP public key")]
    PublicKey,
}

/// What all objects have; the rest is not ours to judge.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    api_version: String,
    kind: String,
}

impl Form {
    /// Returns the most bytes that such a file has.
    pub(super) fn limit(self) -> u64 {
        match self {
            Self::Any | Self::Program(_) | Self::Zstd => MAX_BINARY,
            Self::Manifest | Self::PublicKey => MAX_TEXT,
        }
    }

    /// Looks into `file`.
    pub(super) fn check(
        self,
        file: &File,
    ) -> io::Result<Result<(), NotOfForm>> {
        Ok(match self {
            Self::Any => Ok(()),
            Self::Program(wanted) => {
                match elf::machine(&head::<{ elf::HEAD }>(file)?) {
                    Ok(found) if found == wanted => Ok(()),
                    Ok(found) => Err(format!("one for {found}")),
                    Err(found) => Err(found),
                }
                .map_err(|found| NotOfForm::Program { wanted, found })
            }
            Self::Zstd => match Format::of(&head::<4>(file)?) {
                Ok(Format::Zst) => Ok(()),
                _ => Err(NotOfForm::Zstd),
            },
            Self::Manifest => text(file)?.and_then(|text| manifest(&text)),
            Self::PublicKey => text(file)?.and_then(|text| {
                let armored = text.trim_start().starts_with("-----BEGIN PGP");
                match Keyring::parse(text.as_bytes()) {
                    Ok(_) if armored => Ok(()),
                    _ => Err(NotOfForm::PublicKey),
                }
            }),
        })
    }
}

/// The first bytes, or as many as there are.
fn head<const LEN: u64>(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    FromStart::of(file).take(LEN).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// All of a text of a bearable size.
pub(super) fn text(file: &File) -> io::Result<Result<String, NotOfForm>> {
    let mut bytes = Vec::new();
    let limit = MAX_TEXT.saturating_add(1);
    FromStart::of(file).take(limit).read_to_end(&mut bytes)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|len| len <= MAX_TEXT);
    let text = String::from_utf8(bytes).ok().filter(|_| fits);
    Ok(text.ok_or(NotOfForm::Text))
}

fn manifest(text: &str) -> Result<(), NotOfForm> {
    let wrong = |what: &str| NotOfForm::Manifest(what.to_owned());
    let documents = serde_saphyr::from_multiple::<Option<Object>>(text);
    let documents = documents.map_err(|error| {
        let error = error.to_string();
        wrong(error.lines().next().unwrap_or_default())
    })?;
    let objects = documents.iter().flatten();
    if objects.clone().any(|o| o.api_version.is_empty() || o.kind.is_empty()) {
        return Err(wrong("an object without apiVersion or kind"));
    }
    match objects.count() {
        0 => Err(wrong("there is none in it")),
        _ => Ok(()),
    }
}
