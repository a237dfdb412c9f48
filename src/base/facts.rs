//! What an image is, as its own files tell.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Everything known about a base image. Templates see it as `facts`.
///
/// Serialised, it holds no password hash: [`Texts`] is left out whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The partition table and what each partition holds.
    pub table: TableFacts,
    /// Number of the FAT partition that the firmware boots from.
    pub boot_partition: u32,
    /// Number of the ext4 partition that holds the system.
    pub root_partition: u32,
    /// Whether nothing lies behind the root partition, so that it can grow.
    pub root_is_last: bool,
    /// The operating system.
    pub os: OsFacts,
    /// What the programs in the image are compiled for.
    pub architecture: Architecture,
    /// Kernel command line, `config.txt` and where they are mounted.
    pub boot: BootFacts,
    /// Which program configures the network.
    pub network: NetworkFacts,
    /// What cloud-init will do.
    pub cloud_init: CloudInitFacts,
    /// How rpi-imager would customise this image.
    pub init_format: InitFormat,
    /// Who creates the first account.
    pub user_mechanism: UserMechanism,
    /// Who grows the root partition on the first boot.
    pub first_boot: FirstBoot,
    /// The SSH server.
    pub ssh: SshFacts,
    /// Who sets up swap.
    pub swap: Swap,
    /// What `/etc/machine-id` holds.
    pub machine_id: MachineId,
    /// systemd's version number.
    pub systemd: Option<u32>,
    /// Version of the `iptables` package.
    pub iptables: Option<String>,
    /// Kernel releases with modules in the image, sorted.
    pub kernels: Vec<String>,
    /// Whether systemd-timesyncd is installed.
    pub timesyncd: bool,
    /// Where systemd-timesyncd keeps the time.
    pub saved_clock: SavedClock,
    /// Whether chrony is installed.
    pub chrony: bool,
    /// Whether fake-hwclock is installed.
    pub fake_hwclock: bool,
    /// What Wi-Fi needs.
    pub wifi: WifiFacts,
    /// Where the locale is set, and whether one can be made.
    pub locale: LocaleFacts,
    /// The wizard that asks for a first user on the desktop.
    pub piwiz: bool,
    /// Files on the FAT by which rpi-imager or a person has customised this
    /// image already, as `/custom.toml`.
    pub leftovers: Vec<String>,
    /// Whether sudo is installed.
    pub sudo: bool,
    /// Accounts of people (uid 1000 and up, without `nobody`).
    pub accounts: Vec<Account>,
    /// The names below `/usr/share/zoneinfo`, sorted.
    #[serde(skip)]
    pub time_zones: Vec<String>,
    /// The files that a plan rewrites.
    #[serde(skip)]
    pub texts: Texts,
}

/// A partition table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableFacts {
    /// MBR or GPT.
    pub kind: TableKind,
    /// `041bba91` (MBR) or the GUID (GPT), lower case.
    pub disk_id: String,
    /// In the order of their numbers.
    pub partitions: Vec<PartitionFacts>,
}

/// Kinds of partition tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TableKind {
    /// Master boot record.
    Mbr,
    /// GUID partition table.
    Gpt,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionFacts {
    /// Number as the kernel counts, from 1.
    pub number: u32,
    /// First byte.
    pub start: u64,
    /// Size in bytes.
    pub len: u64,
    /// Two hex digits (MBR) or a GUID (GPT), lower case.
    #[serde(rename = "type")]
    pub type_id: String,
    /// The file system in it.
    #[serde(flatten)]
    pub volume: Volume,
}

/// What a partition's first sectors say of the file system in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// The file system, where it is one that piflash knows.
    pub fs: Option<FsKind>,
    /// What else is there, where it can be told: `LUKS`, `btrfs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foreign: Option<&'static str>,
    /// Its label, where it has one.
    pub label: Option<String>,
    /// Its UUID; of a FAT the serial number as `b2f0-82d2`.
    pub uuid: Option<String>,
}

/// File systems that piflash knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FsKind {
    /// FAT12, FAT16 or FAT32.
    Fat,
    /// ext4.
    Ext4,
}

impl fmt::Display for FsKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fat => "FAT",
            Self::Ext4 => "ext4",
        })
    }
}

/// The operating system, mostly from os-release(5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OsFacts {
    /// `ID`: `debian`, `raspbian`, `ubuntu`.
    pub id: String,
    /// The words of `ID_LIKE`.
    pub id_like: Vec<String>,
    /// `VERSION_ID`; none on Debian's testing.
    pub version_id: Option<String>,
    /// `VERSION_CODENAME`.
    pub codename: Option<String>,
    /// `PRETTY_NAME`.
    pub pretty_name: String,
    /// What Ansible's `ansible_lsb.id` would be on the running node.
    pub lsb_id: String,
    /// Whose image it is.
    pub flavour: Flavour,
}

/// Whose image it is; 64-bit Raspberry Pi OS calls itself `debian`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flavour {
    /// Raspberry Pi OS, 32 or 64 bits.
    RaspberryPiOs,
    /// Ubuntu.
    Ubuntu,
    /// Debian itself.
    Debian,
    /// Something else.
    Other,
}

/// Debian's names of architectures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// 64-bit ARM.
    Arm64,
    /// 32-bit ARM with hardware floating point.
    Armhf,
    /// 64-bit x86.
    Amd64,
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arm64 => "arm64",
            Self::Armhf => "armhf",
            Self::Amd64 => "amd64",
        })
    }
}

/// The boot partition's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootFacts {
    /// Where the running system mounts the FAT: `/boot` or
    /// `/boot/firmware`.
    pub mount: String,
    /// How that is known: `/etc/fstab` or a directory.
    pub mount_source: String,
    /// The live kernel command line, relative to the FAT's root.
    pub cmdline_path: String,
    /// Its words: the first line, which is all that is read.
    pub cmdline: Option<String>,
    /// `config.txt`, relative to the FAT's root.
    pub config_path: String,
}

/// Which program configures the network, and why that is believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetworkFacts {
    /// The decision.
    pub stack: NetworkStack,
    /// What it rests on, one observation each.
    pub evidence: Vec<String>,
}

/// Network stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkStack {
    /// NetworkManager with keyfiles.
    Networkmanager,
    /// dhcpcd with `/etc/dhcpcd.conf`.
    Dhcpcd,
    /// netplan, rendered for systemd-networkd.
    NetplanNetworkd,
    /// netplan, rendered for NetworkManager. Keyfiles work as well.
    NetplanNetworkmanager,
    /// systemd-networkd with `.network` files.
    Networkd,
    /// ifupdown with `/etc/network/interfaces`.
    Ifupdown,
    /// None that is both installed and enabled, or two at once.
    Unknown,
}

impl fmt::Display for NetworkStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Networkmanager => "networkmanager",
            Self::Dhcpcd => "dhcpcd",
            Self::NetplanNetworkd => "netplan-networkd",
            Self::NetplanNetworkmanager => "netplan-networkmanager",
            Self::Networkd => "networkd",
            Self::Ifupdown => "ifupdown",
            Self::Unknown => "unknown",
        })
    }
}

/// What cloud-init will do on the first boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CloudInitFacts {
    /// The decision.
    pub state: CloudInitState,
    /// Where its seeds are: `boot:/user-data`, `root:/var/lib/...`.
    pub seeds: Vec<String>,
    /// What the decision rests on.
    pub evidence: Vec<String>,
}

/// Whether cloud-init will run, and do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CloudInitState {
    /// Not installed.
    Absent,
    /// Installed, but disabled or without a seed that it would look at.
    Inert,
    /// Runs with the seeds found.
    Active,
}

/// rpi-imager's names of the ways to customise an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InitFormat {
    /// `firstrun.sh` started by the kernel command line.
    Systemd,
    /// cloud-init seeds.
    Cloudinit,
    /// cloud-init seeds with Raspberry Pi OS's `rpi:` key.
    CloudinitRpi,
    /// None of them.
    None,
}

/// Who creates the first account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserMechanism {
    /// userconf-pi's `userconfig.service`.
    Userconf,
    /// cloud-init.
    CloudInit,
    /// It stands in `/etc/passwd` already.
    Passwd,
}

/// Who grows the root partition on the first boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstBoot {
    /// raspi-config's `init_resize.sh` as PID 1 (buster).
    #[serde(rename = "init_resize")]
    InitResize,
    /// raspberrypi-sys-mods' `firstboot` as PID 1 (bullseye).
    FirstbootScript,
    /// The same with the growing done in the initramfs (bookworm).
    InitramfsFirstboot,
    /// The word `resize` and `rpi-resize.service` (trixie).
    RpiResize,
    /// cloud-init's growpart (Ubuntu).
    Growpart,
    /// Nobody.
    None,
}

/// `/var/lib/systemd/timesync/clock`, by whose time systemd-timesyncd begins.
/// It is to stay what it is to its owner, who writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SavedClock {
    /// Whether it is a directory, as in Raspberry Pi OS of 2025-10-01.
    pub is_directory: bool,
    /// Owner as `uid:gid`: its own, or its directory's, or root.
    pub owner: String,
    /// Mode of the file in four octal digits.
    pub mode: String,
}

/// The SSH server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SshFacts {
    /// Whether its unit is in the image.
    pub installed: bool,
    /// Whether sshd reads `/etc/ssh/sshd_config.d` (OpenSSH since 8.2).
    pub drop_ins: bool,
    /// Whether it starts at boot.
    pub enabled: bool,
    /// Whether `ssh.socket` waits for logins and starts sshd, instead of
    /// `ssh.service`.
    pub socket: bool,
    /// Whether `ssh.service` is masked: nothing can start it.
    pub masked: bool,
    /// `regenerate_ssh_host_keys.service`, which deletes host keys.
    pub regenerates_host_keys: ServiceState,
}

/// What Wi-Fi needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WifiFacts {
    /// Whether wpa_supplicant is installed.
    pub supplicant: bool,
    /// What systemd-rfkill(8) will restore for wireless networks, as
    /// `/var/lib/systemd/rfkill/platform-3f300000.mmcnr:wlan`.
    pub rfkill: Vec<String>,
    /// Whether netplan knows `regulatory-domain` (since 0.105).
    pub netplan_country: bool,
}

/// Where the locale is set, and whether one can be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LocaleFacts {
    /// `/etc/default/locale`, or `/etc/locale.conf` where the former is a
    /// link to it (Debian since 13).
    pub file: String,
    /// Whether locale-gen is installed.
    pub generator: bool,
}

/// A systemd unit's state, as far as files tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServiceState {
    /// A unit file or init script is there.
    pub present: bool,
    /// Something wants it, and it is not masked.
    pub enabled: bool,
}

/// Who sets up swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Swap {
    /// A file, by dphys-swapfile.
    DphysSwapfile,
    /// zram and a file, by rpi-swap's generator.
    RpiSwap,
    /// Nobody.
    None,
}

/// What `/etc/machine-id` holds; see machine-id(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MachineId {
    /// No such file.
    Missing,
    /// Nothing: filled at boot, and not a first boot.
    Empty,
    /// The word `uninitialized`: the next boot is the first.
    Uninitialized,
    /// An identity.
    Set,
}

/// An account out of `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group's id.
    pub gid: u32,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
    /// Whether no password opens it.
    pub locked: bool,
}

/// The small files that plans rewrite; `None` where one is missing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// `/etc/passwd`
    pub passwd: Option<String>,
    /// `/etc/group`
    pub group: Option<String>,
    /// `/etc/shadow`: secret.
    pub shadow: Option<String>,
    /// `/etc/gshadow`: secret.
    pub gshadow: Option<String>,
    /// `/etc/subuid`
    pub subuid: Option<String>,
    /// `/etc/subgid`
    pub subgid: Option<String>,
    /// `/etc/hosts`
    pub hosts: Option<String>,
    /// `/etc/hostname`
    pub hostname: Option<String>,
    /// The kernel command line, whole, from [`BootFacts::cmdline_path`].
    pub cmdline: Option<String>,
    /// `config.txt`
    pub config: Option<String>,
    /// `/usr/share/i18n/SUPPORTED`: every locale that can be made.
    pub locales: Option<String>,
    /// `/etc/apt/sources.list` and the files in `sources.list.d`, by their
    /// paths.
    pub apt_sources: BTreeMap<String, String>,
}

// Hashes must not come out by way of `{:?}` either.
impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Texts").finish_non_exhaustive()
    }
}
