use super::{error::ProbeError, probe_volumes, volume::identify};
use crate::{
    base::facts::{Facts, FsKind, PartitionFacts, TableFacts, TableKind},
    disk::{self, PartitionTable, ReadAt},
    fs::{FsError, Reader},
};

/// Opens the file system in a partition for reading.
pub type Open<'a, 'r> = &'a dyn Fn(
    FsKind,
    &PartitionFacts,
) -> Result<Box<dyn Reader + 'r>, FsError>;

/// Facts of the disk image `disk`. `open` is asked for every file system of
/// a known kind; what it returns may borrow from what the caller holds.
///
/// # Errors
///
/// All of [`read_table`]'s and [`probe_volumes`]', and what `open` returns.
pub fn probe_image(
    disk: &dyn ReadAt,
    open: Open<'_, '_>,
) -> Result<Facts, ProbeError> {
    let table = read_table(disk)?;
    let mut readers = Vec::new();
    for partition in &table.partitions {
        let Some(kind) = partition.volume.fs else { continue };
        let reader = open(kind, partition).map_err(|source| {
            ProbeError::Open { number: partition.number, kind, source }
        })?;
        readers.push((partition.number, reader));
    }
    let volumes: Vec<(u32, &dyn Reader)> =
        readers.iter().map(|(number, r)| (*number, r.as_ref())).collect();
    probe_volumes(&volumes, &table)
}

/// Reads the partition table of `disk`, and what each partition holds.
///
/// # Errors
///
/// The table is missing or damaged, or the disk could not be read.
pub fn read_table(disk: &dyn ReadAt) -> Result<TableFacts, ProbeError> {
    let table = PartitionTable::read(disk).map_err(ProbeError::Table)?;
    let mut partitions = Vec::new();
    for partition in &table.partitions {
        let window = partition.window(disk).map_err(ProbeError::Io)?;
        partitions.push(PartitionFacts {
            number: partition.number,
            start: partition.start,
            len: partition.len,
            type_id: partition.kind.to_string(),
            volume: identify(&window).map_err(ProbeError::Io)?,
        });
    }
    partitions.sort_by_key(|partition| partition.number);
    Ok(TableFacts {
        kind: match table.kind {
            disk::TableKind::Mbr => TableKind::Mbr,
            disk::TableKind::Gpt => TableKind::Gpt,
        },
        disk_id: table.disk_id.to_lowercase(),
        partitions,
    })
}
