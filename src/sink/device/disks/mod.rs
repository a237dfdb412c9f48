//! The disks of this machine: what they are, and what uses them. All of it is
//! what the kernel tells in `/sys` and `/proc`; nothing is opened.

mod mounts;
mod uses;

pub use uses::{How, Use};

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Where the kernel tells of disks.
#[derive(Clone, Debug)]
pub struct Machine {
    root: PathBuf,
}

/// How a disk is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// USB: card readers, sticks, external disks.
    Usb,
    /// A slot for SD cards.
    Sd,
    /// Soldered flash memory.
    Emmc,
    /// NVMe.
    Nvme,
    /// SATA or IDE.
    Ata,
    /// A virtual machine's disk.
    Virtio,
    /// A file as a device.
    Loop,
    /// Anything else.
    Other,
}

impl Bus {
    /// Returns its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Usb => "USB",
            Self::Sd => "SD slot",
            Self::Emmc => "eMMC",
            Self::Nvme => "NVMe",
            Self::Ata => "SATA",
            Self::Virtio => "virtio",
            Self::Loop => "loop",
            Self::Other => "other",
        }
    }
}

/// A whole disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The kernel's name, as `sdb`.
    pub name: String,
    /// Major and minor number.
    pub number: (u32, u32),
    /// Counts disks since the machine was started: the next one that gets
    /// this name has another. Older kernels have none.
    pub sequence: Option<u64>,
    /// Size in bytes; 0 for a reader without a card.
    pub size: u64,
    /// How it is connected.
    pub bus: Bus,
    /// Vendor and model, or the file behind a loop device; may be empty.
    pub model: String,
    /// Whether it is made to be taken out.
    pub removable: bool,
    /// Whether it refuses to be written.
    pub read_only: bool,
    /// What uses it or one of its partitions.
    pub uses: Vec<Use>,
}

impl Disk {
    /// Returns the path of its device.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// Returns whether this machine runs from it.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.uses.iter().any(Use::is_system)
    }
}

/// Why a device is not one that a card is written to.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// There is none.
    #[error("there is no such device")]
    Missing,
    /// A file, or a character device.
    #[error("it is not a block device")]
    NotADevice,
    /// A part of a disk.
    #[error("it is partition {number} of {disk}, not a disk")]
    Partition {
        /// Its number.
        number: String,
        /// The disk's path.
        disk: PathBuf,
    },
    /// The kernel does not tell.
    #[error("{} cannot be read", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Default for Machine {
    /// This one.
    fn default() -> Self {
        Self::at(Path::new("/"))
    }
}

impl Machine {
    /// Takes `sys` and `proc` below `root` for those of a machine.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn block(&self) -> PathBuf {
        self.root.join("sys/block")
    }

    /// Returns every disk that can hold something, sorted by name: no RAM
    /// disks, no mappings of other disks, and no loop devices without a file.
    ///
    /// # Errors
    ///
    /// Those of reading `/sys` and `/proc`.
    pub fn disks(&self) -> Result<Vec<Disk>, DiskError> {
        let path = self.block();
        let error = |source| DiskError::Io { path: path.clone(), source };
        let mut disks = Vec::new();
        for entry in fs::read_dir(&path).map_err(error)? {
            let name = entry.map_err(error)?.file_name();
            let Some(name) = name.to_str() else { continue };
            let disk = match self.disk(name) {
                // Gone meanwhile, or a path of a multipath disk.
                Err(DiskError::Missing) => continue,
                disk => disk?,
            };
            let made_up = ["ram", "zram", "dm-", "md", "sr", "fd", "nbd"];
            if disk.size > 0 && !made_up.iter().any(|p| name.starts_with(p)) {
                disks.push(disk);
            }
        }
        disks.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(disks)
    }

    /// Looks at the disk behind the path of a device, or at one by its name.
    ///
    /// # Errors
    ///
    /// See [`DiskError`].
    pub fn find(&self, path: &Path) -> Result<Disk, DiskError> {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            // `sdb` for `/dev/sdb`.
            Err(_) => match path.to_str() {
                Some(name) if !name.contains('/') => return self.named(name),
                _ => return Err(DiskError::Missing),
            },
        };
        if !metadata.file_type().is_block_device() {
            return Err(DiskError::NotADevice);
        }
        let number = metadata.rdev();
        let number = (rustix::fs::major(number), rustix::fs::minor(number));
        self.numbered(number)
    }

    /// Looks at the disk that has these numbers.
    ///
    /// # Errors
    ///
    /// See [`DiskError`].
    pub fn numbered(&self, number: (u32, u32)) -> Result<Disk, DiskError> {
        let link = format!("sys/dev/block/{}:{}", number.0, number.1);
        let path = self.root.join(link);
        let device = fs::canonicalize(&path).map_err(|_| DiskError::Missing)?;
        let name = device.file_name().and_then(|name| name.to_str());
        self.named(name.ok_or(DiskError::Missing)?)
    }

    /// Looks at the disk with this name.
    ///
    /// # Errors
    ///
    /// See [`DiskError`].
    pub fn named(&self, name: &str) -> Result<Disk, DiskError> {
        if self.block().join(name).exists() {
            return self.disk(name);
        }
        let path = self.root.join("sys/class/block").join(name);
        let Some(number) = text(&path.join("partition")) else {
            return Err(DiskError::Missing);
        };
        let disk = fs::canonicalize(&path)
            .ok()
            .and_then(|path| Some(path.parent()?.file_name()?.to_owned()))
            .unwrap_or_default();
        Err(DiskError::Partition { number, disk: Path::new("/dev").join(disk) })
    }

    fn disk(&self, name: &str) -> Result<Disk, DiskError> {
        let dir = self.block().join(name);
        let attribute = |name: &str| text(&dir.join(name));
        let number = attribute("dev").and_then(|text| number(&text));
        let number = number.ok_or(DiskError::Missing)?;
        let place = fs::canonicalize(dir.join("device"))
            .map_or_else(|_| String::new(), |p| p.display().to_string());
        let bus = bus(name, &place, attribute("device/type").as_deref());
        let model = match bus {
            Bus::Loop => attribute("loop/backing_file").unwrap_or_default(),
            Bus::Sd | Bus::Emmc => attribute("device/name").unwrap_or_default(),
            _ => ["device/vendor", "device/model"]
                .iter()
                .filter_map(|name| attribute(name))
                // An ID of PCI's, of virtio disks.
                .filter(|text| !text.starts_with("0x"))
                .collect::<Vec<_>>()
                .join(" "),
        };
        // Of a slot the kernel says that it is fixed, as the slot is.
        let removable =
            attribute("removable").as_deref() == Some("1") || bus == Bus::Sd;
        let sectors = attribute("size").and_then(|t| t.parse::<u64>().ok());
        Ok(Disk {
            name: name.to_owned(),
            number,
            sequence: attribute("diskseq").and_then(|t| t.parse().ok()),
            // Always in 512 bytes, whatever the disk's sectors are.
            size: sectors.unwrap_or(0).saturating_mul(512),
            bus,
            model,
            removable,
            read_only: attribute("ro").as_deref() == Some("1"),
            uses: uses::of(&self.root, name)?,
        })
    }
}

fn bus(name: &str, place: &str, kind: Option<&str>) -> Bus {
    if name.starts_with("loop") {
        Bus::Loop
    } else if place.contains("/mmc_host/") {
        // "MMC" is soldered, "SD" is a card.
        if kind == Some("SD") { Bus::Sd } else { Bus::Emmc }
    } else if place.contains("/usb") {
        Bus::Usb
    } else if place.contains("/nvme") {
        Bus::Nvme
    } else if place.contains("/ata") {
        Bus::Ata
    } else if place.contains("/virtio") {
        Bus::Virtio
    } else {
        Bus::Other
    }
}

/// Reads an attribute; `None` where it is not there or empty.
fn text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// `8:16`
fn number(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
