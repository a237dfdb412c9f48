//! What uses a disk: mounts and swap on it, on its partitions, and on what is
//! made of those (LVM, RAID, encryption, loop devices).

use super::{
    DiskError,
    mounts::{Mount, mounts, swaps},
};
use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
};

/// Where a running system has its own files.
const SYSTEM: [&str; 9] = [
    "/",
    "/boot",
    "/boot/efi",
    "/boot/firmware",
    "/efi",
    "/home",
    "/nix",
    "/usr",
    "/var",
];

/// One use of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The kernel's name of the disk or partition, as `sdb1`.
    pub device: String,
    /// How it is used.
    pub how: How,
}

/// How a disk is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// Mounted there.
    Mounted(PathBuf),
    /// As swap.
    Swap,
    /// Another device is made of it, as `dm-0`.
    Holder(String),
    /// Part of a btrfs that is mounted by another of its devices.
    Btrfs(String),
}

impl Use {
    /// Returns whether the running system needs it.
    #[must_use]
    pub fn is_system(&self) -> bool {
        match &self.how {
            How::Mounted(at) => SYSTEM.iter().any(|s| at == Path::new(s)),
            How::Swap => true,
            How::Holder(_) | How::Btrfs(_) => false,
        }
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is ", self.device)?;
        match &self.how {
            How::Mounted(at) => write!(f, "mounted at {}", at.display()),
            How::Swap => f.write_str("used as swap"),
            How::Holder(name) => write!(f, "held by {name}"),
            How::Btrfs(id) => write!(f, "part of the btrfs {id}"),
        }
    }
}

/// Returns what uses the disk `name`.
pub(super) fn of(root: &Path, name: &str) -> Result<Vec<Use>, DiskError> {
    let mut finder = Finder {
        root,
        mounts: mounts(root)?,
        swaps: swaps(root)?,
        seen: BTreeSet::new(),
        uses: Vec::new(),
    };
    finder.look(name);
    Ok(finder.uses)
}

struct Finder<'r> {
    root: &'r Path,
    mounts: Vec<Mount>,
    swaps: Vec<PathBuf>,
    /// Devices may be made of each other in many ways, but not for ever.
    seen: BTreeSet<String>,
    uses: Vec<Use>,
}

impl Finder<'_> {
    fn look(&mut self, name: &str) {
        if !self.seen.insert(name.to_owned()) {
            return;
        }
        let dir = self.root.join("sys/class/block").join(name);
        let number = super::text(&dir.join("dev"));
        let number = number.and_then(|text| super::number(&text));
        let mut found = Vec::new();
        for mount in &self.mounts {
            if Some(mount.number) == number || self.is(&mount.source, name) {
                found.push(How::Mounted(mount.at.clone()));
            }
        }
        if self.swaps.iter().any(|path| self.is(path, name)) {
            found.push(How::Swap);
        }
        found.extend(self.btrfs(name).map(How::Btrfs));
        let holders = names(&dir.join("holders"));
        let loops = self.loops(name);
        for holder in holders.into_iter().chain(loops) {
            found.push(How::Holder(self.shown(&holder)));
            self.add(name, &mut found);
            self.look(&holder);
        }
        self.add(name, &mut found);
        for part in names(&dir) {
            if dir.join(&part).join("partition").exists() {
                self.look(&part);
            }
        }
    }

    fn add(&mut self, name: &str, found: &mut Vec<How>) {
        let device = name.to_owned();
        self.uses.extend(
            found.drain(..).map(|how| Use { device: device.clone(), how }),
        );
    }

    /// Returns whether `path` leads to the device `name`.
    fn is(&self, path: &Path, name: &str) -> bool {
        let Ok(below) = path.strip_prefix("/dev") else { return false };
        // `/dev/mapper/x` is a link to `../dm-0`.
        let there = fs::canonicalize(self.root.join("dev").join(below));
        let there = there.as_deref().unwrap_or(path);
        there.file_name().is_some_and(|found| found == name)
    }

    /// `dm-0 (vg-root)`
    fn shown(&self, name: &str) -> String {
        let path = self.root.join("sys/class/block").join(name);
        match super::text(&path.join("dm/name")) {
            Some(known) => format!("{name} ({known})"),
            None => name.to_owned(),
        }
    }

    /// Loop devices that show this device.
    fn loops(&self, name: &str) -> Vec<String> {
        let block = self.root.join("sys/block");
        let mut found = names(&block);
        found.retain(|other| {
            let file = block.join(other).join("loop/backing_file");
            super::text(&file).is_some_and(|p| self.is(Path::new(&p), name))
        });
        found
    }

    /// The file systems of several devices that this one belongs to.
    fn btrfs(&self, name: &str) -> Option<String> {
        let all = self.root.join("sys/fs/btrfs");
        names(&all)
            .into_iter()
            .find(|id| all.join(id).join("devices").join(name).exists())
    }
}

/// The names in a directory, sorted; none where it is not there.
fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    names
}
