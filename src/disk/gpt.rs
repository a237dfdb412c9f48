use super::{
    Partition, PartitionTable, PartitionType, ReadAt, SECTOR_SIZE, TableError,
    TableKind, Window, table::cursor,
};
use ::gpt::{
    disk::DEFAULT_SECTOR_SIZE,
    header::{Header, read_header_from_arbitrary_device as read_header},
    partition::{Partition as Entry, file_read_partitions},
};
use mbrman::MBRHeader;
use std::collections::BTreeMap;

/// The entries of real tables are 128; more than this is no real table.
const MAX_ENTRIES: u32 = 1024;
/// Attribute bit 2: legacy BIOS bootable (UEFI 2.10, table 5.8).
const BOOTABLE: u64 = 1 << 2;

/// Reads the GPT of a disk whose MBR has a protective entry.
pub(super) fn read(
    disk: &dyn ReadAt,
    mbr: &MBRHeader,
) -> Result<PartitionTable, TableError> {
    if let Some((number, entry)) =
        mbr.iter().find(|(_, entry)| entry.is_used() && entry.sys != 0xee)
    {
        let number = u32::try_from(number).expect("an MBR has four entries");
        return Err(TableError::Hybrid { number, kind: entry.sys });
    }
    let (header, entries) = read_copy(disk, 1).map_err(|problem| {
        TableError::BadGpt { problem, backup: read_backup(disk).is_ok() }
    })?;
    let partitions = entries
        .iter()
        .filter(|(_, entry)| !entry.part_type_guid.guid.is_nil())
        .map(|(number, entry)| partition(*number, entry, &header))
        .collect::<Result<_, _>>()?;
    Ok(PartitionTable {
        kind: TableKind::Gpt,
        disk_id: header.disk_guid.to_string(),
        partitions,
    })
}

type Copy = (Header, BTreeMap<u32, Entry>);

/// Reads the header at `lba` and the entries it names, both with their CRC.
fn read_copy(disk: &dyn ReadAt, lba: u64) -> Result<Copy, String> {
    // The crate reads a header at sector 1 of what it is given.
    let start = lba
        .checked_sub(1)
        .and_then(|before| before.checked_mul(SECTOR_SIZE))
        .ok_or("no room for it")?;
    let len = SECTOR_SIZE.checked_mul(2).expect("two sectors");
    let window = Window::new(disk, start, len).map_err(|e| e.to_string())?;
    let mut header_cursor = super::Cursor::new(window);
    let header = read_header(&mut header_cursor, DEFAULT_SECTOR_SIZE)
        .map_err(|error| format!("header at sector {lba}: {error}"))?;
    check_header(disk, &header, lba)?;
    let mut disk = cursor(disk);
    let entries = file_read_partitions(&mut disk, &header, DEFAULT_SECTOR_SIZE)
        .map_err(|error| format!("entries: {error}"))?;
    Ok((header, entries))
}

/// Refuses what the crate would trust: sizes above all.
fn check_header(
    disk: &dyn ReadAt,
    header: &Header,
    lba: u64,
) -> Result<(), String> {
    let disk_sectors = disk.size() / SECTOR_SIZE;
    if header.current_lba != lba {
        return Err(format!(
            "the header at sector {lba} says it is at {}",
            header.current_lba
        ));
    }
    if header.part_size != 128 {
        return Err(format!("entries of {} bytes", header.part_size));
    }
    if header.num_parts == 0 || header.num_parts > MAX_ENTRIES {
        return Err(format!("{} entries", header.num_parts));
    }
    let table_sectors = u64::from(header.num_parts).div_ceil(4);
    let end = header.part_start.checked_add(table_sectors);
    if header.part_start < 2 || end.is_none_or(|end| end > disk_sectors) {
        return Err(format!(
            "its entries (sector {}) are not inside the disk",
            header.part_start
        ));
    }
    if header.first_usable > header.last_usable
        || header.last_usable >= disk_sectors
    {
        return Err(format!(
            "its usable sectors ({} to {}) are not inside the disk of \
             {disk_sectors}: the image may be cut short",
            header.first_usable, header.last_usable
        ));
    }
    Ok(())
}

/// Reads the copy in the last sector.
fn read_backup(disk: &dyn ReadAt) -> Result<Copy, String> {
    let sectors = disk.size() / SECTOR_SIZE;
    let last = sectors.checked_sub(1).ok_or("no room for it")?;
    read_copy(disk, last)
}

fn partition(
    number: u32,
    entry: &Entry,
    header: &Header,
) -> Result<Partition, TableError> {
    if entry.last_lba < entry.first_lba {
        return Err(TableError::Empty { number });
    }
    if entry.first_lba < header.first_usable
        || entry.last_lba > header.last_usable
    {
        return Err(TableError::OutOfRange {
            number,
            first: entry.first_lba,
            last: entry.last_lba,
            disk_sectors: header
                .last_usable
                .checked_add(1)
                .expect("inside the disk: see check_header"),
        });
    }
    let bytes = |sectors: Option<u64>| {
        sectors
            .and_then(|sectors| sectors.checked_mul(SECTOR_SIZE))
            .expect("usable sectors are inside the disk: see check_header")
    };
    let sectors = entry.last_lba.checked_sub(entry.first_lba);
    let sectors = sectors.and_then(|before_last| before_last.checked_add(1));
    Ok(Partition {
        number,
        start: bytes(Some(entry.first_lba)),
        len: bytes(sectors),
        kind: PartitionType::Gpt(entry.part_type_guid.guid.as_u128()),
        bootable: entry.flags & BOOTABLE != 0,
        name: entry.name.clone(),
        partuuid: entry.part_guid.to_string(),
    })
}
