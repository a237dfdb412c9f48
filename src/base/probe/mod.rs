//! What an image is, read from its own files and never from its name.

mod architecture;
mod boot;
mod clock;
mod cloud_init;
mod error;
mod image;
mod locale;
mod network;
mod os;
mod packages;
mod system;
mod tree;
mod units;
mod volume;
mod wifi;

use crate::{
    base::facts::{
        CloudInitState, Facts, Flavour, FsKind, InitFormat, TableFacts,
        UserMechanism,
    },
    fs::Reader,
};
pub use error::{Place, ProbeError};
pub use image::{Open, probe_image, read_table};
use packages::Packages;
use tree::Tree;
use units::Units;
pub use volume::identify;

/// Facts of the image whose partitions are `volumes`: pairs of a partition's
/// number in `table` and a reader of it. Partitions of unknown content may
/// be left out.
///
/// # Errors
///
/// No or more than one boot or root partition, and all of [`probe`]'s.
pub fn probe_volumes(
    volumes: &[(u32, &dyn Reader)],
    table: &TableFacts,
) -> Result<Facts, ProbeError> {
    let (boot, boot_reader) = find(
        volumes,
        table,
        FsKind::Fat,
        is_boot,
        |fat| ProbeError::NoBoot { fat },
        ProbeError::TwoBoots,
    )?;
    let (root, root_reader) = find(
        volumes,
        table,
        FsKind::Ext4,
        is_root,
        |ext4| ProbeError::NoRoot { ext4, foreign: Vec::new() },
        ProbeError::TwoRoots,
    )
    .map_err(|error| explained(error, volumes, table))?;
    facts(boot, boot_reader, root, root_reader, table)
}

/// Facts of an image whose boot and root partitions are known to be the
/// first FAT and the last ext4 partition of `table`.
///
/// # Errors
///
/// A partition, `etc/os-release` or another file without which the image
/// cannot be understood is missing, malformed or too large; the
/// architecture contradicts the package database; reading failed. Missing
/// optional files are facts.
pub fn probe(
    boot: &dyn Reader,
    root: &dyn Reader,
    table: &TableFacts,
) -> Result<Facts, ProbeError> {
    let number = |kind: FsKind, last: bool| {
        let mut of_kind =
            table.partitions.iter().filter(|p| p.volume.fs == Some(kind));
        let found = if last { of_kind.next_back() } else { of_kind.next() };
        found.map(|partition| partition.number)
    };
    let no_boot = || ProbeError::NoBoot { fat: count(table, FsKind::Fat) };
    let boot_number = number(FsKind::Fat, false).ok_or_else(no_boot)?;
    if !is_boot(&Tree::new(boot, "boot"))? {
        return Err(no_boot());
    }
    let root_number =
        number(FsKind::Ext4, true).ok_or_else(|| no_root(table))?;
    facts(boot_number, boot, root_number, root, table)
}

fn no_root(table: &TableFacts) -> ProbeError {
    let foreign = table.partitions.iter().filter_map(|partition| {
        Some((partition.number, partition.volume.foreign?))
    });
    ProbeError::NoRoot {
        ext4: count(table, FsKind::Ext4),
        foreign: foreign.collect(),
    }
}

fn count(table: &TableFacts, kind: FsKind) -> usize {
    table.partitions.iter().filter(|p| p.volume.fs == Some(kind)).count()
}

/// Finds the only volume of `kind` that `matches`.
fn find<'v>(
    volumes: &[(u32, &'v dyn Reader)],
    table: &TableFacts,
    kind: FsKind,
    matches: fn(&Tree<'_>) -> Result<bool, ProbeError>,
    none: fn(usize) -> ProbeError,
    two: fn(u32, u32) -> ProbeError,
) -> Result<(u32, &'v dyn Reader), ProbeError> {
    let mut found: Option<(u32, &'v dyn Reader)> = None;
    let name = if kind == FsKind::Fat { "boot" } else { "root" };
    for (number, reader) in volumes {
        let of_kind = table
            .partitions
            .iter()
            .any(|p| p.number == *number && p.volume.fs == Some(kind));
        if !of_kind || !matches(&Tree::new(*reader, name))? {
            continue;
        }
        if let Some((first, _)) = found {
            return Err(two(first, *number));
        }
        found = Some((*number, *reader));
    }
    found.ok_or_else(|| none(count(table, kind)))
}

/// Says more exactly why there is no root partition: a system whose
/// os-release was lost.
fn explained(
    error: ProbeError,
    volumes: &[(u32, &dyn Reader)],
    table: &TableFacts,
) -> ProbeError {
    if matches!(error, ProbeError::NoRoot { .. }) {
        for (_, reader) in volumes {
            let tree = Tree::new(*reader, "root");
            if has_init(&tree).unwrap_or(false) {
                return ProbeError::Missing(tree.place("/etc/os-release"));
            }
        }
        return no_root(table);
    }
    error
}

fn is_boot(tree: &Tree<'_>) -> Result<bool, ProbeError> {
    Ok(tree.exists("/config.txt")?
        || tree.exists("/cmdline.txt")?
        || tree.exists("/current/cmdline.txt")?)
}

fn is_root(tree: &Tree<'_>) -> Result<bool, ProbeError> {
    Ok(has_init(tree)? && tree.exists("/etc/os-release")?)
}

fn has_init(tree: &Tree<'_>) -> Result<bool, ProbeError> {
    Ok(tree.exists("/usr/sbin/init")? || tree.exists("/sbin/init")?)
}

fn facts(
    boot_partition: u32,
    boot: &dyn Reader,
    root_partition: u32,
    root: &dyn Reader,
    table: &TableFacts,
) -> Result<Facts, ProbeError> {
    let boot = &Tree::new(boot, "boot");
    let root = &Tree::new(root, "root");
    let packages = &Packages::read(root)?;
    let units = &Units::read(root)?;
    let partition =
        |number: u32| table.partitions.iter().find(move |p| p.number == number);
    let label =
        partition(boot_partition).and_then(|p| p.volume.label.as_deref());
    let root_start = partition(root_partition).map_or(0, |p| p.start);

    let os = os::read(root, packages)?;
    let boot_facts = boot::read(boot, root)?;
    let cloud_init =
        cloud_init::read(boot, root, label, &boot_facts, packages, units)?;
    let texts = system::texts(boot, root, &boot_facts)?;
    Ok(Facts {
        table: table.clone(),
        boot_partition,
        root_partition,
        root_is_last: table
            .partitions
            .iter()
            .all(|partition| partition.start <= root_start),
        architecture: architecture::read(root, packages)?,
        network: network::read(root, packages, units, &cloud_init)?,
        init_format: init_format(os.flavour, cloud_init.state),
        user_mechanism: user_mechanism(packages, units, cloud_init.state)?,
        first_boot: boot::first_boot(root, units, &boot_facts, &cloud_init)?,
        ssh: system::ssh(root, units)?,
        swap: system::swap(root, packages, units)?,
        machine_id: system::machine_id(root)?,
        systemd: system::systemd(root, packages)?,
        iptables: packages.get("iptables").map(|p| p.version.clone()),
        kernels: system::kernels(root)?,
        saved_clock: clock::read(root)?,
        chrony: root.exists("/usr/sbin/chronyd")?,
        fake_hwclock: root.exists("/usr/sbin/fake-hwclock")?
            || root.exists("/sbin/fake-hwclock")?,
        wifi: wifi::read(root, packages)?,
        locale: locale::read(root)?,
        piwiz: root.exists("/etc/xdg/autostart/piwiz.desktop")?,
        leftovers: boot::leftovers(boot)?,
        time_zones: locale::time_zones(root)?,
        timesyncd: units.state("systemd-timesyncd.service")?.present,
        sudo: packages.has("sudo") || root.exists("/usr/bin/sudo")?,
        accounts: system::accounts(root, &texts)?,
        os,
        boot: boot_facts,
        cloud_init,
        texts,
    })
}

/// As rpi-imager decides, but by what is in the image.
fn init_format(flavour: Flavour, cloud_init: CloudInitState) -> InitFormat {
    match (flavour, cloud_init) {
        (Flavour::RaspberryPiOs, CloudInitState::Active) => {
            InitFormat::CloudinitRpi
        }
        (_, CloudInitState::Active) => InitFormat::Cloudinit,
        (Flavour::RaspberryPiOs, _) => InitFormat::Systemd,
        _ => InitFormat::None,
    }
}

fn user_mechanism(
    packages: &Packages,
    units: &Units<'_>,
    cloud_init: CloudInitState,
) -> Result<UserMechanism, ProbeError> {
    if packages.has("userconf-pi") && units.enabled("userconfig.service")? {
        return Ok(UserMechanism::Userconf);
    }
    Ok(match cloud_init {
        CloudInitState::Active => UserMechanism::CloudInit,
        _ => UserMechanism::Passwd,
    })
}
