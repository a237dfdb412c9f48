use super::{error::ProbeError, tree::Tree, units::Units};
use crate::base::facts::{
    BootFacts, CloudInitFacts, CloudInitState, FirstBoot,
};

/// `config.txt` always lies at the FAT's root, with A/B boot as well.
const CONFIG: &str = "config.txt";

/// Finds the live kernel command line and the FAT's mount point.
pub(super) fn read(
    boot: &Tree<'_>,
    root: &Tree<'_>,
) -> Result<BootFacts, ProbeError> {
    let (mount, mount_source) = mount(root)?;
    let ab = "current/cmdline.txt";
    let path = if boot.exists(&format!("/{ab}"))? { ab } else { "cmdline.txt" };
    let cmdline = boot.text(&format!("/{path}"))?;
    Ok(BootFacts {
        mount,
        mount_source,
        cmdline_path: path.to_owned(),
        cmdline: cmdline
            .map(|text| text.lines().next().unwrap_or("").trim().to_owned()),
        config_path: CONFIG.to_owned(),
    })
}

fn mount(root: &Tree<'_>) -> Result<(String, String), ProbeError> {
    let fstab = "/etc/fstab";
    for line in root.text(fstab)?.unwrap_or_default().lines() {
        let mut fields = line.split_whitespace();
        let device = fields.next().unwrap_or("#");
        let (Some(target), Some(kind)) = (fields.next(), fields.next()) else {
            continue;
        };
        if !device.starts_with('#')
            && matches!(kind, "vfat" | "msdos" | "auto")
            && matches!(target, "/boot" | "/boot/firmware")
        {
            return Ok((target.to_owned(), fstab.to_owned()));
        }
    }
    for path in ["/boot/firmware", "/boot"] {
        if root.is_dir(path)? {
            return Ok((path.to_owned(), format!("the directory {path}")));
        }
    }
    Err(ProbeError::NoBootMount(root.place(fstab)))
}

/// What rpi-imager's older formats and people put on the FAT for the first
/// boot to take over. The seeds of cloud-init are stock files.
const CUSTOMISATIONS: [&str; 7] = [
    "/custom.toml",
    "/firstrun.sh",
    "/rpi-preseed.toml",
    "/userconf",
    "/userconf.txt",
    "/wpa_supplicant.conf",
    "/wpa_supplicant.txt",
];

/// Returns the files of an earlier customisation.
pub(super) fn leftovers(boot: &Tree<'_>) -> Result<Vec<String>, ProbeError> {
    let mut found = Vec::new();
    for path in CUSTOMISATIONS {
        if boot.exists(path)? {
            found.push(path.to_owned());
        }
    }
    Ok(found)
}

/// Decides who grows the root partition, from the kernel's words and the
/// programs that they start.
pub(super) fn first_boot(
    root: &Tree<'_>,
    units: &Units<'_>,
    boot: &BootFacts,
    cloud_init: &CloudInitFacts,
) -> Result<FirstBoot, ProbeError> {
    let words = boot.cmdline.as_deref().unwrap_or_default();
    let init = words.split(' ').find_map(|word| word.strip_prefix("init="));
    if init.is_some_and(|init| init.ends_with("/init_resize.sh")) {
        return Ok(FirstBoot::InitResize);
    }
    if init.is_some_and(|init| init.ends_with("/firstboot")) {
        // The same word starts both; only the newer has its growing in the
        // initramfs.
        let script = "initramfs-tools/scripts/local-premount/firstboot";
        let grows = root.exists(&format!("/usr/share/{script}"))?
            || root.exists(&format!("/etc/{script}"))?;
        return Ok(if grows {
            FirstBoot::InitramfsFirstboot
        } else {
            FirstBoot::FirstbootScript
        });
    }
    if words.split(' ').any(|word| word == "resize")
        && units.state("rpi-resize.service")?.present
    {
        return Ok(FirstBoot::RpiResize);
    }
    if cloud_init.state == CloudInitState::Active && runs_growpart(root)? {
        return Ok(FirstBoot::Growpart);
    }
    Ok(FirstBoot::None)
}

/// Whether cloud-init's module list has growpart.
fn runs_growpart(root: &Tree<'_>) -> Result<bool, ProbeError> {
    let text = root.text("/etc/cloud/cloud.cfg")?.unwrap_or_default();
    Ok(text.lines().any(|line| {
        let item = line.trim().strip_prefix('-').map(str::trim);
        item.is_some_and(|item| item.trim_matches('"') == "growpart")
    }))
}
