//! What templates see: `node`, `cluster`, `settings`, `facts`, `identity`,
//! `account`, `artefacts`, `hooks`, `kubeadm`, `cgroup`, `hosts_file`, `clock`,
//! `build_time` and `node_json`.

use minijinja::{
    context,
    value::{Serde, Value},
};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    Artefacts, Inputs, PlanError,
    account::{self, Account, Database},
    cluster::{Cluster, View},
    hooks, hosts, kubeadm, locale, proxy, secrets,
    settings::Settings,
    wifi,
};
use crate::{
    base::{
        artefact::DefaultVersions,
        date::Date,
        facts::{Facts, Flavour},
    },
    inventory::{Cluster as Kind, Hidden, Node, RoleKind},
};

const SECONDS_PER_DAY: i64 = 86_400;

/// Adds the node's account to the image's user database.
pub(super) fn account(
    node: &Node,
    facts: &Facts,
    time: i64,
) -> Result<Account, PlanError> {
    let texts = &facts.texts;
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    let need = |text: &Option<String>, path: &'static str| {
        text.clone().ok_or(PlanError::NoFile(path))
    };
    let passwd = need(&texts.passwd, "/etc/passwd")?;
    let shadow = need(&texts.shadow, "/etc/shadow")?;
    let group = need(&texts.group, "/etc/group")?;
    let database = Database {
        passwd: &passwd,
        shadow: &shadow,
        group: &group,
        gshadow: &optional(&texts.gshadow),
        subuid: &optional(&texts.subuid),
        subgid: &optional(&texts.subgid),
    };
    let password_hash = node.password_hash.as_ref().map(Hidden::reveal);
    let day = time.div_euclid(SECONDS_PER_DAY);
    let name = account_name(node, facts);
    Ok(account::add(database, &name, password_hash, day)?)
}

/// What templates see, and what it was made of.
pub(super) struct Context {
    pub(super) value: Value,
    pub(super) cluster: Option<Cluster>,
    /// What the owner should know of the node's part in it.
    pub(super) notes: Vec<String>,
}

pub(super) fn build(
    inputs: &Inputs<'_>,
    account: &Account,
) -> Result<Context, PlanError> {
    let Inputs { node, facts, identity, time, .. } = *inputs;
    let hosts = facts.texts.hosts.as_deref().unwrap_or_default();
    let node_json = json!({
        "version": 1,
        "name": node.name,
        "address": node.address.map(|address| address.to_string()),
        "account": account.name,
        "role": node.role.map(|role| role.to_string()),
        "groups": node.groups,
    });
    let ansible = ansible_facts(node, facts);
    let proxy = proxy::of(node, &ansible)?;
    let settings = Settings::of(node, &ansible, &DefaultVersions::embedded()?)?;
    let view = View::of(
        node,
        inputs.inventory,
        &settings,
        &ansible,
        proxy.as_ref().map(|p| &*p.no_proxy).unwrap_or_default(),
    )?;
    let cluster = view.as_ref().map(|view| view.cluster.clone());
    let foreign = cluster.as_ref().is_some_and(|cluster| cluster.foreign);
    let master = node.role.is_some_and(|role| role.kind == RoleKind::Master);
    let known = node_value(node, facts, &account.name)?;
    let (kubeadm, notes) = match node.role.map(|role| role.cluster) {
        Some(Kind::K8s) => {
            let manifest = inputs.artefacts.text(kubeadm::MANIFEST);
            (
                kubeadm::context(node, facts, &settings, manifest)?,
                kubeadm::notes(&settings, facts).into_iter().collect(),
            )
        }
        _ => (().into(), Vec::new()),
    };
    let proxy = proxy.map(|proxy| {
        let own = || proxy.no_proxy.join(",");
        let no_proxy = view.as_ref().map_or_else(own, |v| v.no_proxy.clone());
        context! { no_proxy, ..proxy.value }
    });
    let value = context! {
        kubeadm,
        node => context! { proxy, ..known },
        cluster => view.map_or_else(|| Value::from(()), |view| view.value()),
        settings => settings.value(),
        identity => secrets::value(node, foreign, identity),
        facts => Value::from(Serde(facts)),
        cgroup => cgroup(facts),
        account => Value::from(Serde(account)),
        artefacts => names(inputs.artefacts),
        // They may hold secrets of the cluster's.
        hooks => hooks::value(if master { inputs.hooks } else { &[] }),
        hosts_file => hosts::with_own_name(hosts, &node.name),
        clock => clock(time),
        node_json => format!("{node_json:#}"),
        build_time => time,
    };
    Ok(Context { value, cluster, notes })
}

fn names(artefacts: &Artefacts) -> Vec<String> {
    artefacts.names().map(str::to_owned).collect()
}

/// Returns the version of control groups that systemd sets up: 2 by its own
/// choice since Debian 11 and Ubuntu 21.10, or because the kernel's command
/// line says so (systemd(1)).
fn cgroup(facts: &Facts) -> u32 {
    let word = "systemd.unified_cgroup_hierarchy";
    let line = facts.boot.cmdline.as_deref().unwrap_or_default();
    let wanted = line.split_whitespace().rev().find_map(|found| {
        match found.strip_prefix(word)? {
            "" | "=1" | "=yes" | "=true" | "=on" => Some(2),
            "=0" | "=no" | "=false" | "=off" => Some(1),
            _ => None,
        }
    });
    let own = || match facts.systemd {
        Some(version) if version < 247 => 1,
        _ => 2,
    };
    wanted.unwrap_or_else(own)
}

/// Returns what Ansible would know of the running node, for expressions in
/// the inventory.
#[must_use]
pub fn ansible_facts(node: &Node, facts: &Facts) -> Value {
    let os = &facts.os;
    context! {
        ansible_hostname => &node.name,
        ansible_distribution_release => &os.codename,
        ansible_distribution_version => &os.version_id,
        ansible_lsb => context! {
            id => &os.lsb_id,
            codename => &os.codename,
        },
    }
}

/// Returns a time as fake-hwclock(8) keeps it.
fn clock(time: i64) -> Option<String> {
    let day = Date::of_seconds(time)?;
    let second = time.rem_euclid(SECONDS_PER_DAY);
    let (hour, minute) =
        (second.div_euclid(3600), second.div_euclid(60).rem_euclid(60));
    let second = second.rem_euclid(60);
    Some(format!("{day} {hour:02}:{minute:02}:{second:02}"))
}

fn node_value(
    node: &Node,
    facts: &Facts,
    account: &str,
) -> Result<Value, PlanError> {
    let network = Value::from(node.static_network.as_ref().map(|network| {
        let (dns6, dns4): (Vec<_>, Vec<_>) =
            network.dns.iter().partition(|server| server.is_ipv6());
        let texts = |servers: Vec<&std::net::IpAddr>| {
            servers.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        context! {
            address => network.address.to_string(),
            prefix => network.prefix,
            gateway => network.gateway.to_string(),
            family => if network.address.is_ipv6() { 6 } else { 4 },
            dns => texts(network.dns.iter().collect()),
            dns4 => texts(dns4),
            dns6 => texts(dns6),
        }
    }));
    let keys: Vec<String> = node
        .ssh_authorized_keys
        .keys
        .iter()
        .map(|key| key.text.clone())
        .collect();
    let wifi = wifi::value(node)?;
    // What gets a configuration of its own. A wired interface without an
    // address is left to the image, which asks DHCP.
    let on_wifi = wifi::interface(node);
    let mut connections = Vec::new();
    let mut connect = |interface: &str, network: Value| {
        connections.push(context! {
            interface,
            network,
            wifi => on_wifi == Some(interface),
            uuid => uuid(&node.name, interface),
        });
    };
    if on_wifi != Some(&node.interface) && node.static_network.is_some() {
        connect(&node.interface, network.clone());
    }
    if let Some(interface) = on_wifi {
        let own = interface == node.interface;
        connect(interface, if own { network.clone() } else { ().into() });
    }
    Ok(context! {
        name => &node.name,
        interface => &node.interface,
        account => account,
        password_hash => node.password_hash.is_some(),
        raspberry_pi => node.raspberry_pi,
        role => node.role.map(|role| context! {
            cluster => role.cluster.to_string(),
            kind => role.kind.to_string(),
        }),
        packages => &node.packages,
        upgrade => node.upgrade,
        rpi_update => node.rpi_update,
        status_led => node.status_led,
        timezone => &node.timezone,
        ntp => &node.ntp,
        static_network => network,
        wifi => wifi,
        connections => connections,
        locale => locale::value(node, facts)?,
        first_master => node.first_master,
        address => node.address.map(|address| address.to_string()),
        reach => node.reach(),
        cluster => node.role.is_some(),
        ssh_authorized_keys => keys,
    })
}

/// Returns the account to make: the inventory's, or the one that people
/// expect on this system.
fn account_name(node: &Node, facts: &Facts) -> String {
    let stock = || facts.accounts.first().map(|account| account.name.clone());
    node.account.clone().or_else(stock).unwrap_or_else(|| {
        match facts.os.flavour {
            Flavour::RaspberryPiOs => "pi",
            Flavour::Ubuntu => "ubuntu",
            Flavour::Debian | Flavour::Other => "debian",
        }
        .to_owned()
    })
}

/// Returns a UUID that is always the same for a node's interface (version 8
/// of RFC 9562: made by our own rule).
fn uuid(node: &str, interface: &str) -> String {
    let hash = Sha256::digest(format!("piflash connection {node} {interface}"));
    let hex: String =
        hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let digits = |range| hex.get(range).unwrap_or_default();
    format!(
        "{}-{}-8{}-8{}-{}",
        digits(0..8),
        digits(8..12),
        digits(13..16),
        digits(17..20),
        digits(20..32)
    )
}

/// Returns what the owner should know about this node's image.
pub(super) fn notes(
    node: &Node,
    facts: &Facts,
    account: &Account,
    has_role_profile: bool,
) -> Vec<String> {
    let mut notes = Vec::new();
    if node.static_network.is_none() {
        notes.push(
            "no `gateway` in the inventory: the address comes from DHCP"
                .to_owned(),
        );
    }
    if node.ssh_authorized_keys.keys.is_empty() && node.password_hash.is_none()
    {
        notes.push(format!(
            "no SSH key and no `password_hash`: nobody can log in as {}",
            account.name
        ));
    }
    if !facts.ssh.installed {
        notes
            .push("the image has no SSH server: log in on a screen".to_owned());
    }
    if let Some(directory) = &node.boot_directory
        && *directory != facts.boot.mount
    {
        notes.push(format!(
            "`boot_directory` is {directory}, but this image mounts its boot \
             partition at {}: the image counts",
            facts.boot.mount
        ));
    }
    if let Some(zone) = &node.timezone
        && !facts.time_zones.contains(zone)
        && !locale::knows_zones(facts)
    {
        notes.push(format!(
            "the image has no tzdata: the time is UTC, not {zone}, until that \
             package is installed"
        ));
    }
    if !node.ntp.is_empty() && !facts.timesyncd && !facts.chrony {
        notes.push(
            "`ntp`: the image has neither systemd-timesyncd nor chrony"
                .to_owned(),
        );
    }
    if let Some(locale) = &node.locale
        && !locale::is_built_in(locale)
        && !facts.locale.generator
    {
        notes.push(format!(
            "the image has no locale-gen: {locale} comes with the package \
             `locales`, once that is installed"
        ));
    }
    if !facts.leftovers.is_empty() {
        notes.push(format!(
            "the image has been customised before: {} removed",
            facts.leftovers.join(", ")
        ));
    }
    if facts.timesyncd && facts.saved_clock.is_directory {
        notes.push(
            "the image has a directory where systemd-timesyncd keeps the \
             time: it is replaced by a file, or the clock would not be saved"
                .to_owned(),
        );
    }
    if !facts.root_is_last {
        notes.push(
            "the root partition is not the last one: it cannot grow to the \
             card's size"
                .to_owned(),
        );
    }
    if node.rpi_update {
        notes.push(
            match facts.os.flavour {
                Flavour::RaspberryPiOs => {
                    "rpi_update installs firmware and a kernel that are not \
                 released: such a node may fail to boot"
                }
                _ => {
                    "rpi_update: only for Raspberry Pi OS, nothing is done here"
                }
            }
            .to_owned(),
        );
    }
    if node.var("no_proxy").is_some() && node.var("proxy_url").is_none() {
        notes.push("no_proxy has no effect without proxy_url".to_owned());
    }
    if let Some(role) = node.role
        && !has_role_profile
    {
        notes.push(format!(
            "role `{role}`: recorded in the image; joining the cluster is not \
             part of this version"
        ));
    }
    notes
}
