//! What is to be changed in an image to make it one node's. Pure: no files,
//! network, clock or randomness, so the same inputs always give the same
//! plan.

mod account;
mod apt_sources;
mod artefact;
mod cluster;
mod context;
mod custom;
mod flannel;
mod hooks;
mod hosts;
mod kubeadm;
mod labels;
mod locale;
mod manifest;
mod proxy;
mod secrets;
mod settings;
mod show;
mod table;
mod wifi;

pub use crate::profile::{
    Access, Action, Artefacts, Content, Edit, FileContent, Part,
};
use crate::{
    base::{artefact::VersionError, facts::Facts},
    identity::NodeIdentity,
    inventory::{Cluster as Kind, Hook, Inventory, Node, Role, RoleKind},
    profile::{ProfileError, Profiles},
};
pub use account::{AccountError, Database};
pub use cluster::{Cluster, JOIN_ONLY};
pub use context::ansible_facts;
pub use custom::{CustomError, CustomFile};
pub use flannel::FlannelError;
pub use kubeadm::KubeadmError;
pub use manifest::{Manifest, ManifestBase, ManifestEdit, ManifestError};
pub use proxy::ProxyError;
pub use settings::SettingError;

/// All that a plan is made of.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'i> {
    /// The node, with the key of its wireless network.
    pub node: &'i Node,
    /// The inventory that it is of.
    pub inventory: &'i Inventory,
    /// What its image is.
    pub facts: &'i Facts,
    /// The profiles to choose from.
    pub profiles: &'i Profiles,
    /// The node's secrets. Without them the plan is to be shown, not for a
    /// card: looking makes no secret, and reads none.
    pub identity: Option<&'i NodeIdentity>,
    /// The files that the inventory names, read.
    pub files: &'i [CustomFile],
    /// The manifests for the node's cluster once its first master is up.
    pub hooks: &'i [Hook],
    /// What was downloaded for the node.
    pub artefacts: &'i Artefacts,
    /// Seconds since the epoch.
    pub time: i64,
}

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
    /// The node's part in a cluster, for people: `k3s server`.
    pub role: Option<String>,
    /// What the role does when the node is powered up, for people.
    pub does: Vec<String>,
    /// The cluster.
    pub cluster: Option<Cluster>,
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
    /// A variable of the node's role cannot be used.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A kubeadm node cannot be made of what the inventory says.
    #[error(transparent)]
    Kubeadm(#[from] KubeadmError),
    /// The program was built with a wrong list of releases.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// A file of the inventory's cannot be placed.
    #[error(transparent)]
    Custom(#[from] CustomError),
    /// The image lacks a file without which it cannot be a node.
    #[error("the image has no {0}")]
    NoFile(&'static str),
}

impl Plan {
    /// Plans a node on an image.
    ///
    /// # Errors
    /// Says why the image cannot become this node.
    pub fn new(inputs: &Inputs<'_>) -> Result<Self, PlanError> {
        let Inputs { node, facts, profiles, artefacts, .. } = *inputs;
        locale::check_zone(node, facts)?;
        let account = context::account(node, facts, inputs.time)?;
        let context::Context { value: context, cluster, notes } =
            context::build(inputs, &account)?;
        let profile = profiles.choose(&context)?;
        let mut edits = profile.edits(&context, artefacts)?;
        let mut parts = profile.parts(&context)?;
        let role = node.role.map(|role| profiles.role(role_profile(role)));
        let role = role.transpose()?.flatten();
        let mut does = Vec::new();
        if let Some(role) = &role {
            edits.extend(role.edits(&context, artefacts)?);
            parts.extend(role.parts(&context)?);
            does = role.does(&context)?;
        }
        edits.extend(custom::edits(node, facts, &account, inputs.files)?);
        Ok(Self {
            node: node.name.clone(),
            profile: profile.name().to_owned(),
            profile_title: profile.title().to_owned(),
            parts: parts.into_iter().map(str::to_owned).collect(),
            edits,
            notes: [
                context::notes(node, facts, &account, role.is_some()),
                notes,
            ]
            .concat(),
            account: account.name,
            role: role.map(|role| role.title().to_owned()),
            does,
            cluster,
        })
    }
}

/// Names the file of a role in `profiles/role/`.
fn role_profile(role: Role) -> &'static str {
    match (role.cluster, role.kind) {
        (Kind::K3s, RoleKind::Master) => "k3s-server",
        (Kind::K3s, RoleKind::Worker) => "k3s-agent",
        (Kind::K8s, RoleKind::Master) => "k8s-master",
        (Kind::K8s, RoleKind::Worker) => "k8s-worker",
    }
}
