use serde::{Deserialize, Serialize};

use super::name::{FileName, file_of};
use crate::base::{
    date::Date,
    digest::Sha256,
    facts::{Architecture, Flavour, InitFormat},
    signature::{self, Scheme, SignatureSource, Verification},
};

/// The largest download or image that is believed: 64 GiB.
const MAX_SIZE: u64 = 64 << 30;

/// Where Ubuntu has the newest images, and where those that it had before.
const CURRENT: &str = "https://cdimage.ubuntu.com/releases/";
const FORMER: &str = "https://old-releases.ubuntu.com/releases/";

/// Has the keys of both vendors; Ubuntu's own.
const KEY_SERVER: &str = "https://keyserver.ubuntu.com";

/// One image of a vendor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// `raspios-trixie-arm64-2026-10-06`, `ubuntu-24.04.4-arm64`: made from
    /// the file name, so the same file has the same id wherever it is.
    pub id: String,
    /// The system.
    pub os: Os,
    /// Debian's codename or Ubuntu's version: `trixie`, `24.04.4`.
    pub release: String,
    /// What the programs in it are compiled for.
    pub arch: Architecture,
    /// The day in the vendor's file name; of Ubuntu that of the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Date>,
    /// Where the vendor has it.
    pub url: String,
    /// The file behind `url`.
    #[serde(default, skip_serializing_if = "Blob::is_unknown")]
    pub download: Blob,
    /// The raw image inside it.
    #[serde(default, skip_serializing_if = "Blob::is_unknown")]
    pub image: Blob,
    /// How rpi-imager customises it, where the vendor's list says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_format: Option<InitFormat>,
}

/// What is known of a file's content.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Blob {
    /// In bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Its SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Whether `sha256` is part of this program, not out of a list that was
    /// fetched.
    #[serde(skip)]
    pub pinned: bool,
}

/// Systems in the catalogue.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Os {
    /// Ubuntu Server.
    Ubuntu,
    /// Raspberry Pi OS Lite; Raspbian before 2020-05.
    RaspberryPiOs,
}

/// What an image must turn out to be when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Whose image.
    pub flavour: Flavour,
    /// Compiled for.
    pub architecture: Architecture,
}

/// Why a row is no usable [`Entry`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Not `https`, or no plain URL.
    #[error("`{0}` is not an https URL of a file")]
    Url(String),
    /// Not on one of the vendor's servers: its name could claim anything.
    #[error("`{url}` is not on a server of {vendor}")]
    Host {
        /// The URL.
        url: String,
        /// Whose image it claims to be.
        vendor: &'static str,
    },
    /// The file is not one whose name tells what it is.
    #[error(
        "`{0}` is not named like an image of Raspberry Pi OS Lite or of \
         Ubuntu Server for the Raspberry Pi"
    )]
    Name(String),
    /// The row and its file name contradict each other.
    #[error("`{id}` has the {field} {found}, but its file name says {name}")]
    Contradiction {
        /// The row.
        id: String,
        /// `id`, `release`, ...
        field: &'static str,
        /// In the row.
        found: String,
        /// In the file name.
        name: String,
    },
    /// Neither the download nor the image has a SHA-256.
    #[error("`{0}` has no SHA-256, so nothing could be checked")]
    NoDigest(String),
    /// A size that no image has.
    #[error("`{id}` has a {part} of {size} bytes")]
    Size {
        /// The row.
        id: String,
        /// `download` or `image`.
        part: &'static str,
        /// In bytes.
        size: u64,
    },
}

impl Blob {
    fn is_unknown(&self) -> bool {
        self.size.is_none() && self.sha256.is_none()
    }
}

impl Entry {
    /// Makes an entry out of a URL, whose file name says what it is; nothing
    /// is known of the content yet. `http` is made `https`, as vendors' lists
    /// still have the former; `arch` is for names without one.
    ///
    /// # Errors
    ///
    /// The URL or the name is of no kind that is understood.
    pub fn of_url(
        url: &str,
        arch: Option<Architecture>,
    ) -> Result<Self, EntryError> {
        let url = match url.strip_prefix("http://") {
            Some(rest) => format!("https://{rest}"),
            None => url.to_owned(),
        };
        check_url(&url)?;
        let file = file_of(&url);
        let unknown = || EntryError::Name(shown(&file));
        let name = FileName::parse(&file).ok_or_else(unknown)?;
        if !is_on(&url, name.os.hosts()) {
            let vendor = name.os.vendor();
            return Err(EntryError::Host { url: shown(&url), vendor });
        }
        // Raspbian was armhf only.
        let arch = name.arch.or(arch).unwrap_or(Architecture::Armhf);
        Ok(Self {
            id: id(&name, arch),
            os: name.os,
            release: name.release,
            arch,
            date: name.date,
            url,
            download: Blob::default(),
            image: Blob::default(),
            init_format: None,
        })
    }

    /// Checks a row against its own file name and against what images are
    /// like.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), EntryError> {
        let named = Self::of_url(&self.url, Some(self.arch))?;
        // The release date of Ubuntu is not in the name.
        let date = named.date.or(self.date);
        let text = |date: Option<Date>| {
            date.map_or_else(|| "none".to_owned(), |date| date.to_string())
        };
        for (field, found, name) in [
            ("id", self.id.clone(), named.id),
            ("URL", self.url.clone(), named.url),
            ("release", self.release.clone(), named.release),
            ("architecture", self.arch.to_string(), named.arch.to_string()),
            ("date", text(self.date), text(date)),
            ("system", self.os.name().to_owned(), named.os.name().to_owned()),
        ] {
            if found != name {
                let (id, found) = (shown(&self.id), shown(&found));
                return Err(EntryError::Contradiction {
                    id,
                    field,
                    found,
                    name,
                });
            }
        }
        if self.download.sha256.is_none() && self.image.sha256.is_none() {
            return Err(EntryError::NoDigest(self.id.clone()));
        }
        for (part, blob) in [("download", self.download), ("image", self.image)]
        {
            if let Some(size) = blob.size
                && (size == 0 || size > MAX_SIZE)
            {
                let id = self.id.clone();
                return Err(EntryError::Size { id, part, size });
            }
        }
        Ok(())
    }

    /// Returns what the image must be; anything else is the wrong file.
    #[must_use]
    pub fn expected(&self) -> Expected {
        let flavour = match self.os {
            Os::RaspberryPiOs => Flavour::RaspberryPiOs,
            Os::Ubuntu => Flavour::Ubuntu,
        };
        Expected { flavour, architecture: self.arch }
    }

    /// Returns what matching every known digest would prove; a vendor's
    /// signature proves more.
    #[must_use]
    pub fn verification(&self) -> Verification {
        if self.download.pinned || self.image.pinned {
            Verification::PinnedHash
        } else {
            Verification::HashOnly
        }
    }

    /// Returns the same image at the address where the vendor keeps what it
    /// has replaced by something newer; nothing where there is no such place.
    /// Ubuntu's point releases go there when the next one comes.
    #[must_use]
    pub fn superseded(&self) -> Option<Self> {
        let rest = self.url.strip_prefix(CURRENT)?;
        let (folder, file) = rest.split_once("/release/")?;
        let url = format!("{FORMER}{folder}/{file}");
        Some(Self { url, ..self.clone() })
    }

    /// Returns where the vendor's signature is: Raspberry Pi signs each file,
    /// Ubuntu the list of a release's checksums.
    #[must_use]
    pub fn signature(&self) -> SignatureSource {
        let scheme = match self.os {
            Os::RaspberryPiOs => {
                Scheme::File { signature: format!("{}.sig", self.url) }
            }
            Os::Ubuntu => {
                let end = self.url.rfind('/').unwrap_or(self.url.len());
                let folder = self.url.get(..end).unwrap_or_default();
                Scheme::Sums {
                    sums: format!("{folder}/SHA256SUMS"),
                    signature: format!("{folder}/SHA256SUMS.gpg"),
                    file: file_of(&self.url),
                }
            }
        };
        let keys = self.os.signing_keys().iter();
        SignatureSource {
            scheme,
            pinned: keys.map(|&key| key.to_owned()).collect(),
            key_server: Some(KEY_SERVER.to_owned()),
        }
    }

    /// Says of its digests that they are part of the program.
    pub(super) fn pin(&mut self) {
        for blob in [&mut self.download, &mut self.image] {
            blob.pinned = blob.sha256.is_some();
        }
    }
}

impl Os {
    /// Returns `raspios` or `ubuntu`, with which ids and aliases begin.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RaspberryPiOs => "raspios",
            Self::Ubuntu => "ubuntu",
        }
    }

    /// Returns the fingerprints of the keys that sign the vendor's images
    /// (Raspberry Pi) or its `SHA256SUMS` (Ubuntu).
    #[must_use]
    pub fn signing_keys(self) -> &'static [&'static str] {
        match self {
            Self::RaspberryPiOs => signature::RASPBERRY_PI,
            Self::Ubuntu => signature::UBUNTU,
        }
    }

    fn vendor(self) -> &'static str {
        match self {
            Self::RaspberryPiOs => "Raspberry Pi",
            Self::Ubuntu => "Ubuntu",
        }
    }

    /// The servers that the vendor publishes images on.
    fn hosts(self) -> &'static [&'static str] {
        match self {
            Self::RaspberryPiOs => {
                &["downloads.raspberrypi.com", "downloads.raspberrypi.org"]
            }
            Self::Ubuntu => &[
                "cdimage.ubuntu.com",
                "old-releases.ubuntu.com",
                "releases.ubuntu.com",
            ],
        }
    }
}

/// Whether an https URL is on one of the hosts.
fn is_on(url: &str, hosts: &[&str]) -> bool {
    let rest = url.strip_prefix("https://").unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    hosts.contains(&host)
}

/// Whether a URL is on a server of any vendor.
pub(super) fn is_on_vendor(url: &str) -> bool {
    check_url(url).is_ok()
        && [Os::RaspberryPiOs, Os::Ubuntu]
            .iter()
            .any(|os| is_on(url, os.hosts()))
}

fn id(name: &FileName, arch: Architecture) -> String {
    let start = format!("{}-{}-{arch}", name.os.name(), name.release);
    match name.date {
        Some(date) => format!("{start}-{date}"),
        None => start,
    }
}

/// Accepts `https://host/path`, without user, query or fragment.
pub(super) fn check_url(url: &str) -> Result<(), EntryError> {
    let plain = |url: &str| -> Option<()> {
        let (host, path) = url.strip_prefix("https://")?.split_once('/')?;
        let host_ok = host.contains('.')
            && host.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || b".-".contains(&byte)
            });
        let path_ok = !path.is_empty()
            && path.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || b"/._-+%~:".contains(&byte)
            })
            && !path.split('/').any(|part| part == "..");
        (url.len() <= 2048 && host_ok && path_ok).then_some(())
    };
    plain(url).ok_or_else(|| EntryError::Url(shown(url)))
}

/// Shortens a text of unknown origin and takes the controls out, for
/// messages.
pub(super) fn shown(text: &str) -> String {
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().take(200).map(visible).collect()
}
