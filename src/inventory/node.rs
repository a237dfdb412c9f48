//! A node: what the inventory says about one card.

use std::{collections::BTreeMap, fmt, net::IpAddr, sync::Arc};

use minijinja::value::Value as Jinja;

use super::{
    keys::SshKeys,
    problem::Location,
    records::{ConfigTxtSetting, FileCopy},
    render::{self, RenderError, World},
    value::Value,
    variables,
    vars::Var,
    wifi::Wifi,
};

/// Which stock image a node wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OsGroup {
    /// Group `raspberry_pi_os` or `raspbian`.
    RaspberryPiOs,
    /// Group `ubuntu`.
    Ubuntu,
}

/// Which cluster a node belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cluster {
    /// The k3s cluster of the inventory.
    K3s,
    /// The kubeadm cluster of the inventory.
    K8s,
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::K3s => "k3s",
            Self::K8s => "k8s",
        })
    }
}

/// What a node does in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RoleKind {
    /// Runs the control plane.
    Master,
    /// Runs only workloads.
    Worker,
}

impl fmt::Display for RoleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "master",
            Self::Worker => "worker",
        })
    }
}

/// A node's place in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Role {
    /// The cluster.
    pub cluster: Cluster,
    /// The part in it.
    pub kind: RoleKind,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.cluster, self.kind)
    }
}

/// An address that is set in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticNetwork {
    /// The node's address, of the gateway's family.
    pub address: IpAddr,
    /// The length of the network prefix in bits.
    pub prefix: u8,
    /// The default route.
    pub gateway: IpAddr,
    /// Name servers, in order; never empty.
    pub dns: Vec<IpAddr>,
}

/// One node of the inventory, its settings checked.
#[derive(Clone, Debug)]
pub struct Node {
    /// The name, which becomes the hostname.
    pub name: String,
    /// Where the inventory first names it.
    pub at: Location,
    /// The stock image's family, if a group says.
    pub os: Option<OsGroup>,
    /// In group `raspberry_pi` or `raspberry_pi_hw`, perhaps through others.
    pub raspberry_pi: bool,
    /// The place in a cluster, if it has one.
    pub role: Option<Role>,
    /// The first of its cluster's masters: the one that begins it.
    pub first_master: bool,
    /// All groups it is in, those above included, `all` left out; sorted.
    pub groups: Vec<String>,
    /// `ansible_host`, if it is an IP address.
    pub address: Option<IpAddr>,
    /// `ansible_host` as it is, if it is a name.
    pub host_name: Option<String>,
    /// The address to set in the image, if there is a `gateway`. Without it
    /// the node stays on DHCP.
    pub static_network: Option<StaticNetwork>,
    /// The interface that gets the address.
    pub interface: String,
    /// The wireless network.
    pub wifi: Option<Wifi>,
    /// The account to make: `ansible_user`, or what the OS group is used to.
    pub account: Option<String>,
    /// The keys that may log in.
    pub ssh_authorized_keys: SshKeys,
    /// The crypt(3) hash of the account's password.
    pub password_hash: Option<Hidden>,
    /// Catalog id, path or URL of the stock image.
    pub image: Option<String>,
    /// SHA-256 of the image, lower case.
    pub image_sha256: Option<String>,
    /// Where the boot partition is expected.
    pub boot_directory: Option<String>,
    /// Time zone.
    pub timezone: Option<String>,
    /// Locale.
    pub locale: Option<String>,
    /// Time servers.
    pub ntp: Vec<String>,
    /// Packages to install.
    pub packages: Vec<String>,
    /// Upgrade all packages.
    pub upgrade: bool,
    /// Run rpi-update.
    pub rpi_update: bool,
    /// Show on the board's LED how far the first boot is.
    pub status_led: bool,
    /// Files to copy.
    pub files: Vec<FileCopy>,
    /// Settings for `config.txt`.
    pub config_txt: Vec<ConfigTxtSetting>,
    /// Every variable that holds for the node, ours and foreign. What has
    /// several names is here under the first one too. Text may hold Jinja
    /// expressions.
    pub vars: BTreeMap<String, Var>,
    pub(super) world: Arc<World>,
    pub(super) index: usize,
}

/// A text that is not shown when its owner is printed for debugging.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub(super) String);

impl Hidden {
    /// Gives the text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Node {
    /// Gives a variable by its name or an alias, unless it is null.
    pub fn var(&self, name: &str) -> Option<&Var> {
        let name = variables::variable(name).map_or(name, |v| v.name);
        self.vars.get(name).filter(|var| *var.value() != Value::Null)
    }

    /// Renders a text as Ansible would for this node. `facts` is a map of
    /// `ansible_...` names, or undefined.
    ///
    /// # Errors
    /// Names what is undefined or wrong.
    pub fn render(
        &self,
        text: &str,
        facts: &Jinja,
    ) -> Result<String, RenderError> {
        render::text(&self.world, self.index, facts, text)
    }

    /// Gives a variable's value, rendered: None if it is not set or null. A
    /// value that is one lone expression keeps the expression's type.
    ///
    /// # Errors
    /// Names what is undefined or wrong.
    pub fn rendered(
        &self,
        name: &str,
        facts: &Jinja,
    ) -> Result<Option<Jinja>, RenderError> {
        let Some(var) = self.var(name) else { return Ok(None) };
        if !var.definition.tree.is_template() {
            return Ok(Some(render::jinja(var.value())));
        }
        render::value(&self.world, self.index, facts, var.value()).map(Some)
    }

    /// Gives a variable that is `yes` or `no`, rendered; `no` if not set.
    ///
    /// # Errors
    /// Names what is undefined or wrong.
    pub fn flag(&self, name: &str, facts: &Jinja) -> Result<bool, RenderError> {
        let value = self.rendered(name, facts)?;
        Ok(value.is_some_and(|value| match value.as_str() {
            Some(text) => super::value::boolean(text).unwrap_or(false),
            None => value.is_true(),
        }))
    }

    /// Says how others reach the node: its address, its name in
    /// `ansible_host`, or its own name.
    pub fn reach(&self) -> String {
        match (&self.address, &self.host_name) {
            (Some(address), _) => address.to_string(),
            (None, Some(name)) => name.clone(),
            (None, None) => self.name.clone(),
        }
    }
}
