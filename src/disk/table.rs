use super::{Cursor, ReadAt, Window, gpt, mbr};
use std::{fmt, io};

/// The only sector size that images for SD cards use.
pub const SECTOR_SIZE: u64 = 512;

/// Which kind of partition table a disk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// Master boot record, with extended partitions.
    Mbr,
    /// GUID partition table.
    Gpt,
}

/// The type of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionType {
    /// MBR type byte, as `0x0c` for FAT32.
    Mbr(u8),
    /// GPT type GUID, its fields in the order in which they are printed.
    Gpt(u128),
}

impl fmt::Display for PartitionType {
    /// Writes `0c` or a GUID in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mbr(byte) => write!(f, "{byte:02x}"),
            Self::Gpt(guid) => {
                let hex = format!("{guid:032x}");
                let part = |range| hex.get(range).unwrap_or_default();
                write!(
                    f,
                    "{}-{}-{}-{}-{}",
                    part(0..8),
                    part(8..12),
                    part(12..16),
                    part(16..20),
                    part(20..32)
                )
            }
        }
    }
}

/// One entry of a partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The number that Linux gives it; logical ones begin at 5.
    pub number: u32,
    /// Where it begins, in bytes.
    pub start: u64,
    /// How long it is, in bytes.
    pub len: u64,
    /// What it is said to hold.
    pub kind: PartitionType,
    /// Active flag of an MBR, legacy BIOS bootable of a GPT.
    pub bootable: bool,
    /// Name in a GPT; empty in an MBR.
    pub name: String,
    /// What `root=PARTUUID=` names it by: `041bba91-02`, or a GUID.
    pub partuuid: String,
}

impl Partition {
    /// Returns the offset behind its last byte.
    pub fn end(&self) -> u64 {
        self.start
            .checked_add(self.len)
            .expect("partitions lie inside of the disk")
    }

    /// Returns whether it only holds logical partitions.
    pub fn is_extended(&self) -> bool {
        matches!(self.kind, PartitionType::Mbr(0x05 | 0x0f | 0x85))
    }

    /// Returns it as a device of its own.
    pub fn window<D: ReadAt>(&self, disk: D) -> io::Result<Window<D>> {
        Window::new(disk, self.start, self.len)
    }
}

/// The partitions of a disk, in order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionTable {
    /// MBR or GPT.
    pub kind: TableKind,
    /// The MBR's disk signature as 8 hex digits, or the GPT's disk GUID;
    /// what `lsblk` calls PTUUID.
    pub disk_id: String,
    /// All of them, extended ones and the logical ones in them too.
    pub partitions: Vec<Partition>,
}

impl PartitionTable {
    /// Reads the partition table of a disk with 512-byte sectors.
    ///
    /// An MBR with a protective entry makes it a GPT (UEFI 2.10, 5.2.3).
    /// Nothing is repaired: what contradicts itself is an error.
    pub fn read(disk: &dyn ReadAt) -> Result<Self, TableError> {
        let header = mbr::read_header(disk)?;
        let protective = header.iter().any(|(_, entry)| entry.sys == 0xee);
        let table = if protective {
            gpt::read(disk, &header)?
        } else {
            mbr::read(disk, &header)?
        };
        table.check(disk.size() / SECTOR_SIZE)?;
        Ok(table)
    }

    /// Returns the partition with this number.
    pub fn partition(&self, number: u32) -> Option<&Partition> {
        self.partitions.iter().find(|p| p.number == number)
    }

    /// Refuses partitions that are empty, outside the disk, or overlap.
    fn check(&self, disk_sectors: u64) -> Result<(), TableError> {
        for p in &self.partitions {
            if p.len == 0 {
                return Err(TableError::Empty { number: p.number });
            }
            let (first, end) = (p.start / SECTOR_SIZE, p.end() / SECTOR_SIZE);
            if first == 0 || end > disk_sectors {
                return Err(TableError::OutOfRange {
                    number: p.number,
                    first,
                    last: end.checked_sub(1).expect("it has sectors"),
                    disk_sectors,
                });
            }
        }
        let mut sorted: Vec<_> =
            self.partitions.iter().filter(|p| !p.is_extended()).collect();
        sorted.sort_by_key(|p| p.start);
        check_overlap(&sorted)?;
        // An extended partition overlaps its logical ones only; that these
        // are inside was checked when they were read.
        let mut primary: Vec<_> =
            self.partitions.iter().filter(|p| p.number < 5).collect();
        if self.kind == TableKind::Mbr {
            primary.sort_by_key(|p| p.start);
            check_overlap(&primary)?;
        }
        Ok(())
    }
}

fn check_overlap(sorted: &[&Partition]) -> Result<(), TableError> {
    for pair in sorted.windows(2) {
        if let [a, b] = pair
            && a.end() > b.start
        {
            return Err(TableError::Overlap {
                number: a.number,
                other: b.number,
                sector: b.start / SECTOR_SIZE,
            });
        }
    }
    Ok(())
}

/// Why a partition table could not be used. Sectors have 512 bytes.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The first sector has no boot signature `55 aa`, or no entries.
    #[error("no partition table: {0}")]
    Missing(&'static str),
    /// An entry of an MBR has a boot flag other than 0 and 0x80.
    #[error("the partition table of sector {sector} is damaged: {problem}")]
    BadMbr {
        /// Where the record is.
        sector: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// A partition has no sectors.
    #[error("partition {number} is empty")]
    Empty {
        /// Its number.
        number: u32,
    },
    /// A partition is not inside the disk.
    #[error(
        "partition {number} (sectors {first} to {last}) is not inside the \
         disk of {disk_sectors} sectors: the image may be cut short"
    )]
    OutOfRange {
        /// Its number.
        number: u32,
        /// Its first sector.
        first: u64,
        /// Its last sector.
        last: u64,
        /// How many the disk has.
        disk_sectors: u64,
    },
    /// Two partitions share sectors.
    #[error("partitions {number} and {other} overlap at sector {sector}")]
    Overlap {
        /// The one that begins first.
        number: u32,
        /// The other.
        other: u32,
        /// Where the other begins.
        sector: u64,
    },
    /// A logical partition is not inside its extended one.
    #[error(
        "logical partition {number} (sectors {first} to {last}) is not \
         inside the extended partition"
    )]
    OutsideExtended {
        /// Its number.
        number: u32,
        /// Its first sector.
        first: u64,
        /// Its last sector.
        last: u64,
    },
    /// A GPT disk has other entries in its MBR than the protective one.
    #[error(
        "hybrid MBR: partition {number} of type {kind:02x} stands beside the \
         protective entry of a GPT, so there are two tables to believe"
    )]
    Hybrid {
        /// Which entry of the MBR.
        number: u32,
        /// Its type.
        kind: u8,
    },
    /// The MBR protects a GPT, but the GPT is not usable.
    #[error(
        "the GPT is damaged: {problem} (its backup at the end of the disk is \
         {})",
        if *.backup { "readable: `sgdisk` or `gdisk` can restore it" }
        else { "not readable either" }
    )]
    BadGpt {
        /// What is wrong with the first header or its entries.
        problem: String,
        /// Whether the backup can be read.
        backup: bool,
    },
    /// The device failed.
    #[error("reading the partition table failed")]
    Io(#[from] io::Error),
}

/// Returns a cursor over the whole disk.
pub(super) fn cursor(disk: &dyn ReadAt) -> Cursor<&dyn ReadAt> {
    Cursor::new(disk)
}
