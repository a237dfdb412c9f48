use super::{INSIDE, dir::Directory, volume::Volume};
use crate::disk::ReadAt;
use crate::fs::{FsErrorKind, Structure};

/// As PATH_MAX of Linux.
const MAX_PATH: usize = 4096;

/// Follows every chain of the volume and refuses what contradicts itself.
///
/// `fatfs` trusts what it reads: a chain that is a loop keeps it for ever,
/// a wild cluster number makes it panic. So an image is looked through once
/// before it is edited, as fsck.vfat would.
pub(super) fn check(
    volume: &Volume,
    device: &dyn ReadAt,
) -> Result<(), FsErrorKind> {
    // It is written: elsewhere it would be other data.
    if volume.bits == 32 && !(512..volume.fat).contains(&volume.fs_info) {
        return Err(Structure::BootSector.field(
            "the offset of the FSInfo sector",
            volume.fs_info,
            format_args!("one of the reserved sectors below {}", volume.fat),
        ));
    }
    same_fats(volume, device)?;
    let end = usize::try_from(volume.numbers().end).expect(INSIDE);
    let mut seen = vec![false; end];
    let mut claim = |first: u32, path: &str| {
        let chain = volume.chain(device, first)?;
        for cluster in &chain {
            let slot = usize::try_from(*cluster)
                .ok()
                .and_then(|cluster| seen.get_mut(cluster));
            if slot.is_none_or(|slot| std::mem::replace(slot, true)) {
                return Err(Structure::Cluster(*cluster)
                    .rule(format!("{path}: it belongs to another file too")));
            }
        }
        u64::try_from(chain.len())
            .map_err(|_| Structure::Cluster(first).rule("a chain too long"))
    };
    claim(volume.root_cluster, "/")?;
    // Directories are claimed before they are entered, so none comes twice.
    let mut waiting = vec![(0, String::new())];
    while let Some((cluster, path)) = waiting.pop() {
        let directory = Directory::read(volume, device, cluster)?;
        for entry in directory.entries(volume) {
            let path = format!("{path}/{}", entry.name);
            let clusters = claim(entry.cluster, &path)?;
            let problem = if entry.is_dir {
                (clusters == 0).then_some("a directory without a cluster")
            } else if clusters < volume.clusters_of(entry.size.into()) {
                Some("fewer clusters than its size needs")
            } else {
                None
            };
            if let Some(problem) = problem {
                return Err(Structure::Entry.rule(format!("{path}: {problem}")));
            }
            if path.len() > MAX_PATH {
                let what = "directories nested too deep";
                return Err(Structure::FileSystem.rule(what));
            }
            if entry.is_dir {
                waiting.push((entry.cluster, path));
            }
        }
    }
    Ok(())
}

/// Refuses FATs that differ: nobody knows which one is right.
fn same_fats(volume: &Volume, device: &dyn ReadAt) -> Result<(), FsErrorKind> {
    if volume.fats < 2 {
        return Ok(());
    }
    let (mut first, mut second) = ([0; 65_536], [0; 65_536]);
    let mut at = 0;
    while at < volume.fat_len {
        let len = volume.fat_len.checked_sub(at).expect(INSIDE).min(65_536);
        let end = usize::try_from(len).expect("64 KiB");
        let a = first.get_mut(..end).expect("64 KiB");
        let b = second.get_mut(..end).expect("64 KiB");
        let offset = volume.fat.checked_add(at).expect(INSIDE);
        let mirror = offset.checked_add(volume.fat_len).expect(INSIDE);
        device.read_at(offset, a).map_err(FsErrorKind::Io)?;
        device.read_at(mirror, b).map_err(FsErrorKind::Io)?;
        if a != b {
            let what = "the two FATs differ: fsck.vfat may repair them";
            return Err(Structure::ClusterTable.rule(what));
        }
        at = at.checked_add(len).expect(INSIDE);
    }
    Ok(())
}

/// Counts the free clusters.
pub(super) fn count_free(
    volume: &Volume,
    device: &dyn ReadAt,
) -> Result<u64, FsErrorKind> {
    let mut free = 0u64;
    if volume.bits == 12 {
        for cluster in volume.numbers() {
            if volume.is_free(device, cluster)? {
                free = free.checked_add(1).expect(INSIDE);
            }
        }
        return Ok(free);
    }
    // A FAT32 may have a million entries: not one by one.
    let (width, first) = if volume.bits == 32 { (4, 8) } else { (2, 4) };
    let mut left = usize::try_from(volume.clusters).expect(INSIDE);
    let mut at = volume.fat.checked_add(first).expect(INSIDE);
    let mut buffer = [0; 65_536];
    while left > 0 {
        let count = left.min(16_384);
        let bytes = count.checked_mul(width).expect(INSIDE);
        let part = buffer.get_mut(..bytes).expect("four bytes each");
        device.read_at(at, part).map_err(FsErrorKind::Io)?;
        // The upper four bits of a FAT32 entry are reserved.
        let zeros = part
            .chunks_exact(width)
            .filter(|entry| match entry {
                [a, b, c, d] => (a | b | c | (d & 0x0f)) == 0,
                other => other.iter().all(|byte| *byte == 0),
            })
            .count();
        free = free
            .checked_add(u64::try_from(zeros).expect(INSIDE))
            .expect(INSIDE);
        left = left.checked_sub(count).expect(INSIDE);
        at = at.checked_add(u64::try_from(bytes).expect(INSIDE)).expect(INSIDE);
    }
    Ok(free)
}
