//! Which places of a card hold something, and which ones nodes change: what
//! the file systems know and sinks want to.

use std::sync::Arc;

use crate::{
    base::image::Image,
    disk::{Overlay, ReadAt, Window},
    fs::{
        Fat, FsError, Range,
        ext4::{EditOptions, Ext4},
    },
};

/// Directories that edits go to. Blocks of others are not cut finely, for
/// each costs a little of size and much of the time to prepare a base.
const EDITED: [&str; 58] = [
    "/",
    "/boot",
    "/etc",
    "/etc/NetworkManager",
    "/etc/NetworkManager/conf.d",
    "/etc/NetworkManager/system-connections",
    "/etc/apt",
    "/etc/apt/apt.conf.d",
    "/etc/apt/keyrings",
    "/etc/apt/sources.list.d",
    "/etc/chrony",
    "/etc/chrony/sources.d",
    "/etc/cloud",
    "/etc/cloud/cloud.cfg.d",
    "/etc/cni",
    "/etc/cni/net.d",
    "/etc/containerd",
    "/etc/default",
    "/etc/docker",
    "/etc/kubernetes",
    "/etc/modules-load.d",
    "/etc/netplan",
    "/etc/network",
    "/etc/network/interfaces.d",
    "/etc/piflash",
    "/etc/rancher",
    "/etc/rpi",
    "/etc/rpi/swap.conf.d",
    "/etc/ssh",
    "/etc/ssh/sshd_config.d",
    "/etc/sudoers.d",
    "/etc/sysctl.d",
    "/etc/systemd",
    "/etc/systemd/network",
    "/etc/systemd/system",
    "/etc/systemd/system-preset",
    "/etc/systemd/system/getty.target.wants",
    "/etc/systemd/system/multi-user.target.wants",
    "/etc/systemd/system/sysinit.target.wants",
    "/etc/systemd/timesyncd.conf.d",
    "/etc/wpa_supplicant",
    "/etc/xdg",
    "/etc/xdg/autostart",
    "/home",
    "/home/pi",
    "/home/ubuntu",
    "/opt",
    "/root",
    "/usr/lib",
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/lib",
    "/usr/local/sbin",
    "/var",
    "/var/lib",
    "/var/lib/NetworkManager",
    "/var/lib/systemd",
    "/var/log",
];

/// Returns the ranges of a card that hold nothing: free blocks and clusters
/// of its two file systems. All else counts as used: the partition table,
/// what lies between partitions, and partitions of other kinds.
pub(super) fn unused(
    image: &Image,
    overlay: &Arc<Overlay>,
) -> Result<Vec<Range>, FsError> {
    ranges(image, overlay, |fat| fat.free_ranges(), |ext4| ext4.free_ranges())
}

/// Returns the ranges of a base image that nodes' cards are likely to differ
/// in. It depends on nothing but the image.
pub(super) fn hot(image: &Image) -> Result<Vec<Range>, FsError> {
    let overlay = Arc::new(Overlay::new(image.device()));
    let mut hot = ranges(
        image,
        &overlay,
        |fat| fat.hot_ranges(),
        |ext4| ext4.hot_ranges(&EDITED),
    )?;
    // The table.
    hot.insert(0, (0, overlay.size().min(4096)));
    Ok(hot)
}

/// The FAT partition of a card.
type Boot = Fat<Window<Arc<Overlay>>>;

fn ranges(
    image: &Image,
    overlay: &Arc<Overlay>,
    fat: impl Fn(&Boot) -> Result<Vec<Range>, FsError>,
    ext4: impl Fn(&Ext4) -> Result<Vec<Range>, FsError>,
) -> Result<Vec<Range>, FsError> {
    let boot = image.boot(Arc::clone(overlay))?;
    let start = boot.start();
    let found = fat(&Fat::open(boot, 0)?)?;
    let mut all = moved(found, start);
    let root = image.root(Arc::clone(overlay))?;
    let options = EditOptions { now: 0, seed: 0 };
    let found = ext4(&Ext4::open(&root, options)?)?;
    all.extend(moved(found, root.start()));
    all.sort_unstable();
    Ok(all)
}

/// From the start of a partition to that of the disk.
fn moved(ranges: Vec<Range>, start: u64) -> Vec<Range> {
    let moved = ranges.into_iter();
    moved.map(|(at, len)| (start.saturating_add(at), len)).collect()
}
