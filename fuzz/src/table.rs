//! Partition tables.

use crc32fast::hash;
use piflash::disk::{PartitionTable, ReadAt, SECTOR_SIZE};

use crate::sparse::Sparse;

/// Bytes of entries that a checksum is made for.
const MOST_ENTRIES: usize = 1 << 17;

pub(crate) fn run(data: &[u8]) {
    let Some((disk, word)) = Sparse::parse(data) else { return };
    if word & 1 == 0 {
        seal(&disk, 1);
        seal(&disk, (disk.size() / SECTOR_SIZE).saturating_sub(1));
    }
    let Ok(table) = PartitionTable::read(&disk) else { return };
    let mut ranges = Vec::new();
    for partition in &table.partitions {
        let window = partition.window(&disk).expect("inside of the disk");
        assert_eq!(window.size(), partition.len);
        assert!(partition.len > 0 && partition.start >= SECTOR_SIZE);
        let mut sector = [0; 512];
        window.read_at(0, &mut sector).expect("inside of the disk");
        window
            .read_at(partition.len - SECTOR_SIZE, &mut sector)
            .expect("inside of the disk");
        assert_eq!(table.partition(partition.number), Some(partition));
        let _ = format!("{} {}", partition.kind, partition.partuuid);
        if !partition.is_extended() {
            ranges.push((partition.start, partition.end()));
        }
    }
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "{pair:?} overlap");
    }
}

/// Sets the checksums right of the GPT header in `sector`, and of its
/// entries: what is wrong otherwise is not found by them.
fn seal(disk: &Sparse, sector: u64) {
    let at = sector * SECTOR_SIZE;
    let Some(mut header) = disk.get(at, 512) else { return };
    if !header.starts_with(b"EFI PART") {
        return;
    }
    let word = |header: &[u8], at: usize| {
        u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"))
    };
    let first = u64::from_le_bytes(header[72..80].try_into().expect("eight"));
    let len = (word(&header, 80) as usize)
        .checked_mul(word(&header, 84) as usize)
        .filter(|len| *len <= MOST_ENTRIES);
    let entries =
        len.and_then(|len| disk.get(first.checked_mul(SECTOR_SIZE)?, len));
    if let Some(entries) = entries {
        header[88..92].copy_from_slice(&hash(&entries).to_le_bytes());
    }
    header[16..20].fill(0);
    let len = (word(&header, 12) as usize).min(512);
    let sum = hash(&header[..len]);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
    disk.put(at, &header);
}
