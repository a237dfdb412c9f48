use crate::{
    base::facts::{FsKind, Volume},
    disk::ReadAt,
};
use std::{fmt::Write, io};

/// Looks at a partition's first sectors for a file system.
///
/// # Errors
///
/// Only if the partition cannot be read; one too small to hold a file system
/// holds none.
pub fn identify(partition: &dyn ReadAt) -> io::Result<Volume> {
    if let Some(superblock) = bytes::<136>(partition, 1024)?
        && let Some(volume) = ext4(&superblock)
    {
        return Ok(volume);
    }
    let sector = bytes::<512>(partition, 0)?;
    if let Some(volume) = sector.and_then(|sector| fat(&sector)) {
        return Ok(volume);
    }
    Ok(Volume { foreign: foreign(partition)?, ..Volume::default() })
}

/// Signatures of what a root may be on instead: name, place, bytes.
const FOREIGN: [(&str, u64, &[u8]); 8] = [
    ("LUKS", 0, b"LUKS\xba\xbe"),
    ("XFS", 0, b"XFSB"),
    ("SquashFS", 0, b"hsqs"),
    ("exFAT", 3, b"EXFAT   "),
    ("NTFS", 3, b"NTFS    "),
    ("LVM", 0x200, b"LABELONE"),
    ("f2fs", 0x400, b"\x10\x20\xf5\xf2"),
    ("btrfs", 0x1_0040, b"_BHRfS_M"),
];

/// Names what is in a partition that holds no file system known here.
fn foreign(partition: &dyn ReadAt) -> io::Result<Option<&'static str>> {
    for (name, offset, signature) in FOREIGN {
        let found = bytes::<8>(partition, offset)?;
        if found.is_some_and(|found| found.starts_with(signature)) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Reads `N` bytes, if the partition has them.
fn bytes<const N: usize>(
    partition: &dyn ReadAt,
    offset: u64,
) -> io::Result<Option<[u8; N]>> {
    let mut buf = [0; N];
    let len = u64::try_from(N).map_err(io::Error::other)?;
    if partition.size() < offset.saturating_add(len) {
        return Ok(None);
    }
    partition.read_at(offset, &mut buf)?;
    Ok(Some(buf))
}

/// See the kernel's Documentation/filesystems/ext4/super.rst.
fn ext4(superblock: &[u8; 136]) -> Option<Volume> {
    let s_magic = superblock.get(0x38..0x3a)?;
    let s_uuid = superblock.get(0x68..0x78)?;
    let s_volume_name = superblock.get(0x78..0x88)?;
    if s_magic != [0x53, 0xef] {
        return None;
    }
    let mut uuid = String::new();
    for (index, byte) in s_uuid.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            uuid.push('-');
        }
        write!(uuid, "{byte:02x}").ok()?;
    }
    Some(Volume {
        fs: Some(FsKind::Ext4),
        foreign: None,
        label: label(s_volume_name, 0),
        uuid: Some(uuid),
    })
}

/// See Microsoft's FAT specification, section 3; all three kinds sign
/// `FATxx   ` behind the label.
fn fat(sector: &[u8; 512]) -> Option<Volume> {
    let signed = sector.get(510..512)? == [0x55, 0xaa];
    let at = |offset: usize, size: usize| {
        sector.get(offset..offset.checked_add(size)?)
    };
    let start = if at(82, 5)? == b"FAT32" {
        67
    } else if matches!(at(54, 5)?, b"FAT12" | b"FAT16") {
        39
    } else {
        return None;
    };
    if !signed {
        return None;
    }
    let serial = at(start, 4)?.try_into().ok().map(u32::from_le_bytes)?;
    let name = at(start.checked_add(4)?, 11)?;
    Some(Volume {
        fs: Some(FsKind::Fat),
        foreign: None,
        label: label(name, b' ').filter(|name| name != "NO NAME"),
        uuid: Some(format!("{:04x}-{:04x}", serial >> 16, serial & 0xffff)),
    })
}

fn label(bytes: &[u8], padding: u8) -> Option<String> {
    let end = match padding {
        0 => bytes.iter().position(|byte| *byte == 0),
        _ => bytes.iter().rposition(|b| *b != padding)?.checked_add(1),
    };
    let bytes = bytes.get(..end.unwrap_or(bytes.len()))?;
    let label = String::from_utf8_lossy(bytes).into_owned();
    (!label.is_empty()).then_some(label)
}
