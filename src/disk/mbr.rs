use super::{
    Partition, PartitionTable, PartitionType, ReadAt, SECTOR_SIZE, TableError,
    TableKind,
};
use mbrman::{Error, MBRHeader, MBRPartitionEntry};
use std::io;

/// Linux gives no device to a partition beyond this number.
const MAX_PARTITIONS: u32 = 256;
const NO_SIGNATURE: &str = "no boot signature";

/// Reads and checks the record of the first sector.
pub(super) fn read_header(disk: &dyn ReadAt) -> Result<MBRHeader, TableError> {
    if disk.size() < SECTOR_SIZE {
        return Err(TableError::Missing("shorter than one sector"));
    }
    let header = read_record(disk, 0)?;
    if looks_like_fat(disk)? {
        return Err(TableError::Missing(
            "a FAT file system begins in the first sector",
        ));
    }
    if !header.iter().any(|(_, entry)| entry.is_used()) {
        return Err(TableError::Missing("all entries are unused"));
    }
    Ok(header)
}

/// A FAT boot sector has the same signature as an MBR; told apart as the
/// Linux kernel does: by the media byte and the jump (block/partitions/
/// msdos.c looks for a plausible boot flag, which `mbrman` has checked).
fn looks_like_fat(disk: &dyn ReadAt) -> io::Result<bool> {
    let mut start = [0; 0x5a];
    disk.read_at(0, &mut start)?;
    let name = |range| start.get(range).unwrap_or_default();
    Ok(name(0x36..0x39) == b"FAT" || name(0x52..0x57) == b"FAT32")
}

/// Reads a master or extended boot record: their entries are alike.
fn read_record(
    disk: &dyn ReadAt,
    sector: u64,
) -> Result<MBRHeader, TableError> {
    let mut bytes = [0; 512];
    let offset = sector
        .checked_mul(SECTOR_SIZE)
        .ok_or_else(|| io::Error::other("sector number overflows"))?;
    disk.read_at(offset, &mut bytes)?;
    MBRHeader::read_from(&mut io::Cursor::new(bytes)).map_err(|e| match e {
        Error::InvalidSignature if sector == 0 => {
            TableError::Missing("the first sector has no boot signature")
        }
        Error::InvalidSignature => {
            TableError::BadMbr { sector, problem: NO_SIGNATURE.to_owned() }
        }
        error => TableError::BadMbr { sector, problem: error.to_string() },
    })
}

/// Lists the primary partitions, then the logical ones from number 5.
pub(super) fn read(
    disk: &dyn ReadAt,
    header: &MBRHeader,
) -> Result<PartitionTable, TableError> {
    let disk_id = format!("{:08x}", u32::from_le_bytes(header.disk_signature));
    let mut partitions = Vec::new();
    let mut extended = None;
    for (number, entry) in header.iter() {
        let number = u32::try_from(number).expect("an MBR has four entries");
        if !entry.is_used() {
            continue;
        }
        let first = u64::from(entry.starting_lba);
        let found = partition(&disk_id, number, first, entry);
        if found.is_extended() && extended.replace(entry).is_some() {
            return Err(TableError::BadMbr {
                sector: 0,
                problem: "two extended partitions".to_owned(),
            });
        }
        partitions.push(found);
    }
    if let Some(extended) = extended {
        read_logical(disk, &disk_id, extended, &mut partitions)?;
    }
    Ok(PartitionTable { kind: TableKind::Mbr, disk_id, partitions })
}

/// Follows the chain of extended boot records. The first entry of each is a
/// logical partition, relative to the record; the second is the next record,
/// relative to the extended partition.
fn read_logical(
    disk: &dyn ReadAt,
    disk_id: &str,
    extended: &MBRPartitionEntry,
    partitions: &mut Vec<Partition>,
) -> Result<(), TableError> {
    let start = u64::from(extended.starting_lba);
    let end = sum(start, extended.sectors);
    let disk_sectors = disk.size() / SECTOR_SIZE;
    if end > disk_sectors {
        // Reported as out of range by the check of the whole table.
        return Ok(());
    }
    let mut sector = start;
    let mut number: u32 = 5;
    loop {
        let damaged = |problem: &str| TableError::BadMbr {
            sector,
            problem: problem.to_owned(),
        };
        let record = match read_record(disk, sector) {
            Ok(record) => record,
            // An extended partition without logical ones may have no record
            // at all.
            Err(TableError::BadMbr { problem, .. })
                if sector == start && problem == NO_SIGNATURE =>
            {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if record.partition_3.is_used() || record.partition_4.is_used() {
            return Err(damaged("a third entry in an extended boot record"));
        }
        let entry = &record.partition_1;
        if entry.is_used() && entry.sectors > 0 {
            let first = sum(sector, entry.starting_lba);
            let found = partition(disk_id, number, first, entry);
            let behind = sum(first, entry.sectors);
            if entry.starting_lba == 0 || behind > end {
                return Err(TableError::OutsideExtended {
                    number,
                    first,
                    last: behind.checked_sub(1).expect("it has sectors"),
                });
            }
            if found.is_extended() {
                return Err(damaged("an extended partition in another"));
            }
            partitions.push(found);
            number = number.checked_add(1).expect("bounded below");
        }
        let next = &record.partition_2;
        if !next.is_used() {
            return Ok(());
        }
        let next = sum(start, next.starting_lba);
        // Only forward, so that a chain ends; and not without bound.
        if next <= sector || next >= end {
            return Err(damaged("the chain of boot records is broken"));
        }
        if number > MAX_PARTITIONS {
            return Err(damaged("more than 256 partitions"));
        }
        sector = next;
    }
}

/// Adds to the number of a sector of the disk.
fn sum(sector: u64, more: u32) -> u64 {
    sector.checked_add(more.into()).expect("a few 32-bit numbers")
}

fn partition(
    disk_id: &str,
    number: u32,
    first: u64,
    entry: &MBRPartitionEntry,
) -> Partition {
    let bytes = |sectors: u64| {
        sectors.checked_mul(SECTOR_SIZE).expect("a few 32-bit numbers")
    };
    Partition {
        number,
        start: bytes(first),
        len: bytes(entry.sectors.into()),
        kind: PartitionType::Mbr(entry.sys),
        bootable: entry.is_active(),
        name: String::new(),
        // As in block/partitions/msdos.c of Linux.
        partuuid: format!("{disk_id}-{number:02x}"),
    }
}
