use super::{error::ProbeError, probe_volumes, volume::identify};
use crate::{
    base::facts::{Facts, FsKind, PartitionFacts, TableFacts, TableKind},
    disk::{self, PartitionTable, ReadAt, Window},
    fs::{FsError, Reader},
};
use std::sync::Arc;

/// A partition of a disk that is shared.
pub type SharedWindow = Window<Arc<dyn ReadAt>>;

/// Opens a file system of a known kind for reading.
pub type Open<'a> =
    &'a dyn Fn(FsKind, SharedWindow) -> Result<Box<dyn Reader>, FsError>;

/// Facts of the disk image `disk`, whose file systems `open` opens.
///
/// # Errors
///
/// All of [`read_table`]'s and [`probe_volumes`]', and what `open` returns.
pub fn probe_image(
    disk: &Arc<dyn ReadAt>,
    open: Open<'_>,
) -> Result<Facts, ProbeError> {
    let table = read_table(disk)?;
    let mut readers = Vec::new();
    for partition in &table.partitions {
        let Some(kind) = partition.volume.fs else { continue };
        let window =
            Window::new(Arc::clone(disk), partition.start, partition.len)
                .map_err(ProbeError::Io)?;
        let reader = open(kind, window).map_err(|source| ProbeError::Open {
            number: partition.number,
            kind,
            source,
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
pub fn read_table(disk: &Arc<dyn ReadAt>) -> Result<TableFacts, ProbeError> {
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
