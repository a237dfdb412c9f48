//! What is to be changed in an image to make it one node's. Pure: no files,
//! network, clock or randomness, so the same inputs always give the same
//! plan.

mod account;
mod artefact;
mod context;
mod custom;
mod hosts;
mod locale;
mod manifest;
mod proxy;
mod show;
mod table;
mod wifi;

pub use crate::profile::{Access, Action, Content, Edit, FileContent, Part};
use crate::{
    base::facts::Facts,
    identity::NodeIdentity,
    inventory::Node,
    profile::{ProfileError, Profiles},
};
pub use account::{AccountError, Database};
pub use custom::{CustomError, CustomFile};
pub use manifest::{Manifest, ManifestBase, ManifestEdit, ManifestError};
pub use proxy::ProxyError;

/// Everything to be done for one node, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The node's name.
    pub node: String,
    /// The login name of the account that is made.
    pub account: String,
    /// The profile's name, as `raspberry-pi-os`.
    pub profile: String,
    /// The profile's title.
    pub profile_title: String,
    /// What is done, by the names of the profile's parts: `account`, `ssh`.
    pub parts: Vec<String>,
    /// The edits, in the order in which they are to be applied.
    pub edits: Vec<Edit>,
    /// What the owner should know.
    pub notes: Vec<String>,
}

/// Why there is no plan for a node and an image.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A profile is wrong, or none is for this image.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The account cannot be made in this image.
    #[error("account")]
    Account(#[from] AccountError),
    /// The image does not know the time zone.
    #[error(
        "the image has no time zone `{zone}` in /usr/share/zoneinfo{}",
        near.as_ref().map(|near| format!(" (did you mean `{near}`?)"))
            .unwrap_or_default()
    )]
    TimeZone {
        /// The inventory's.
        zone: String,
        /// One of the image's that is called alike.
        near: Option<String>,
    },
    /// The image cannot make the locale.
    #[error(
        "the image knows no locale `{0}`: /usr/share/i18n/SUPPORTED has those \
         that it can make"
    )]
    Locale(String),
    /// The key of the wireless network was not looked up.
    #[error("the key of the wireless network is in ${0}, which was not read")]
    WifiKey(String),
    /// The proxy cannot be set.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// A file of the inventory's cannot be placed.
    #[error(transparent)]
    Custom(#[from] CustomError),
    /// The image lacks a file without which it cannot be a node.
    #[error("the image has no {0}")]
    NoFile(&'static str),
}

impl Plan {
    /// Plans `node` on an image with `facts`, at `time` (seconds since the
    /// epoch). `files` are those that the inventory names, read. Without
    /// `identity` the plan is to be shown, not for a card: looking makes no
    /// secret, and reads none.
    pub fn new(
        node: &Node,
        facts: &Facts,
        profiles: &Profiles,
        identity: Option<&NodeIdentity>,
        files: &[CustomFile],
        time: i64,
    ) -> Result<Self, PlanError> {
        locale::check_zone(node, facts)?;
        let account = context::account(node, facts, time)?;
        let context = context::build(node, facts, identity, &account, time)?;
        let profile = profiles.choose(&context)?;
        let mut edits = profile.edits(&context)?;
        edits.extend(custom::edits(node, facts, &account, files)?);
        Ok(Self {
            node: node.name.clone(),
            profile: profile.name().to_owned(),
            profile_title: profile.title().to_owned(),
            parts: profile
                .parts(&context)?
                .into_iter()
                .map(str::to_owned)
                .collect(),
            edits,
            notes: context::notes(node, facts, &account),
            account: account.name,
        })
    }
}
