use super::{error::ProbeError, packages::Packages, tree::Tree, units::Units};
use crate::{
    base::facts::{Account, BootFacts, MachineId, SshFacts, Swap, Texts},
    fs::FileKind,
};

/// Debian gives people the ids from here on, and `nobody` the last of them.
const FIRST_UID: u32 = 1000;
const NOBODY: u32 = 65534;

/// Reads the files that a plan rewrites.
pub(super) fn texts(
    boot: &Tree<'_>,
    root: &Tree<'_>,
    facts: &BootFacts,
) -> Result<Texts, ProbeError> {
    Ok(Texts {
        passwd: root.exact_text("/etc/passwd")?,
        group: root.exact_text("/etc/group")?,
        shadow: root.exact_text("/etc/shadow")?,
        gshadow: root.exact_text("/etc/gshadow")?,
        subuid: root.exact_text("/etc/subuid")?,
        subgid: root.exact_text("/etc/subgid")?,
        hosts: root.exact_text("/etc/hosts")?,
        hostname: root.exact_text("/etc/hostname")?,
        cmdline: boot.exact_text(&format!("/{}", facts.cmdline_path))?,
        config: boot.exact_text(&format!("/{}", facts.config_path))?,
        locales: root.text("/usr/share/i18n/SUPPORTED")?,
    })
}

/// Returns the accounts of people, in the file's order.
pub(super) fn accounts(
    root: &Tree<'_>,
    texts: &Texts,
) -> Result<Vec<Account>, ProbeError> {
    let mut accounts = Vec::new();
    let passwd = texts.passwd.as_deref().unwrap_or_default();
    for (index, line) in passwd.lines().enumerate() {
        // `+` and `-` are for NIS, see nsswitch.conf(5).
        if line.trim().is_empty() || line.starts_with(['#', '+', '-']) {
            continue;
        }
        let malformed = || ProbeError::Malformed {
            place: root.place("/etc/passwd"),
            what: format!(
                "line {} is not an entry of passwd(5)",
                index.saturating_add(1)
            ),
        };
        let fields: Vec<&str> = line.split(':').collect();
        let [name, password, uid, gid, _, home, shell] = fields[..] else {
            return Err(malformed());
        };
        let uid: u32 = uid.parse().map_err(|_| malformed())?;
        let gid: u32 = gid.parse().map_err(|_| malformed())?;
        if uid < FIRST_UID || uid == NOBODY {
            continue;
        }
        let hash = match password {
            "x" => shadow_field(texts, name).unwrap_or("!"),
            old => old,
        };
        accounts.push(Account {
            name: name.to_owned(),
            uid,
            gid,
            home: home.to_owned(),
            shell: shell.to_owned(),
            locked: hash.starts_with(['!', '*']),
        });
    }
    Ok(accounts)
}

/// Returns the password field of shadow(5), which is looked at and dropped.
fn shadow_field<'t>(texts: &'t Texts, name: &str) -> Option<&'t str> {
    texts.shadow.as_deref()?.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.next())?
    })
}

/// Returns the SSH server's state.
pub(super) fn ssh(
    root: &Tree<'_>,
    units: &Units<'_>,
) -> Result<SshFacts, ProbeError> {
    let mut installed = false;
    let mut enabled = false;
    for unit in ["ssh.service", "ssh.socket", "sshd.service"] {
        installed |= units.state(unit)?.present;
        enabled |= units.enabled(unit)?;
    }
    let config = root.text("/etc/ssh/sshd_config")?.unwrap_or_default();
    let drop_ins = config.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next().is_some_and(|w| w.eq_ignore_ascii_case("include"))
            && words.any(|w| w == "/etc/ssh/sshd_config.d/*.conf")
    });
    let regenerates_host_keys =
        units.state("regenerate_ssh_host_keys.service")?;
    let masked = units.masked("ssh.service")?;
    let socket = units.enabled("ssh.socket")?
        && !units.enabled("ssh.service")?
        && !units.enabled("sshd.service")?;
    Ok(SshFacts {
        installed,
        enabled,
        socket,
        masked,
        drop_ins,
        regenerates_host_keys,
    })
}

/// Returns who sets up swap.
pub(super) fn swap(
    root: &Tree<'_>,
    packages: &Packages,
    units: &Units<'_>,
) -> Result<Swap, ProbeError> {
    let generator = "/usr/lib/systemd/system-generators/rpi-swap-generator";
    if packages.has("rpi-swap") || root.exists(generator)? {
        return Ok(match rpi_swap_mechanism(root)?.as_deref() {
            Some("none") => Swap::None,
            _ => Swap::RpiSwap,
        });
    }
    Ok(match units.enabled("dphys-swapfile.service")? {
        true => Swap::DphysSwapfile,
        false => Swap::None,
    })
}

/// Returns the last `Mechanism=` of swap.conf(5) and its drop-ins.
fn rpi_swap_mechanism(root: &Tree<'_>) -> Result<Option<String>, ProbeError> {
    let mut files = vec!["/etc/rpi/swap.conf".to_owned()];
    for entry in root.list("/etc/rpi/swap.conf.d")? {
        if entry.name.ends_with(".conf") {
            files.push(format!("/etc/rpi/swap.conf.d/{}", entry.name));
        }
    }
    let mut found = None;
    for path in files {
        let text = root.text(&path)?.unwrap_or_default();
        let last = text.lines().rev().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == "Mechanism").then(|| value.trim().to_owned())
        });
        found = last.or(found);
    }
    Ok(found)
}

/// Returns what `/etc/machine-id` holds.
pub(super) fn machine_id(root: &Tree<'_>) -> Result<MachineId, ProbeError> {
    let text = root.text("/etc/machine-id")?;
    Ok(match text.as_deref().map(str::trim) {
        None => MachineId::Missing,
        Some("") => MachineId::Empty,
        Some("uninitialized") => MachineId::Uninitialized,
        Some(_) => MachineId::Set,
    })
}

/// Returns systemd's version: from its package, else from the name of its
/// private library.
pub(super) fn systemd(
    root: &Tree<'_>,
    packages: &Packages,
) -> Result<Option<u32>, ProbeError> {
    if let Some(package) = packages.get("systemd")
        && let Some(version) = leading_number(&package.version)
    {
        return Ok(Some(version));
    }
    // Debian keeps the library in its architecture's directory since 252.
    let mut dirs =
        vec!["/usr/lib/systemd".to_owned(), "/lib/systemd".to_owned()];
    for entry in root.list("/usr/lib")? {
        if entry.name.contains("-linux-gnu") {
            dirs.push(format!("/usr/lib/{}/systemd", entry.name));
        }
    }
    for dir in dirs {
        for entry in root.list(&dir)? {
            let number = entry.name.strip_prefix("libsystemd-shared-");
            if let Some(version) = number.and_then(leading_number) {
                return Ok(Some(version));
            }
        }
    }
    Ok(None)
}

fn leading_number(version: &str) -> Option<u32> {
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Returns the kernel releases that have modules.
pub(super) fn kernels(root: &Tree<'_>) -> Result<Vec<String>, ProbeError> {
    let mut kernels = Vec::new();
    // The same directory where /lib is a link to usr/lib.
    for dir in ["/usr/lib/modules", "/lib/modules"] {
        for entry in root.list(dir)? {
            if entry.kind == FileKind::Directory {
                kernels.push(entry.name);
            }
        }
    }
    kernels.sort();
    kernels.dedup();
    Ok(kernels)
}
