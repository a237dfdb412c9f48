use super::{INSIDE, check, pages::Pages, volume::Volume};
use crate::disk::ReadAt;
use crate::fs::{FsError, summary::Summary};

/// Reads what the volume on `device` says of itself.
pub(in crate::fs) fn summary(device: &dyn ReadAt) -> Result<Summary, FsError> {
    let pages = Pages::new(device);
    let volume = Volume::read(&pages)?;
    let clusters = u64::from(volume.clusters);
    let free = check::count_free(&volume, &pages)?;
    let mut problems = Vec::new();
    if volume.is_dirty(&pages)? {
        problems.push("not unmounted".to_owned());
    }
    if let Err(error) = check::check(&volume, &pages) {
        problems.push(error.to_string());
    }
    Ok(Summary {
        kind: match volume.bits {
            12 => "FAT12",
            16 => "FAT16",
            _ => "FAT32",
        },
        features: Vec::new(),
        block_size: volume.cluster,
        size: volume
            .cluster_offset(2)
            .checked_add(clusters.checked_mul(volume.cluster).expect(INSIDE))
            .expect(INSIDE),
        free: free.checked_mul(volume.cluster).expect(INSIDE),
        inodes: None,
        problems,
        history: None,
    })
}
