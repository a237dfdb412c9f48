//! Which places are in use, and which are likely to be written by edits.

use super::{Fat, INSIDE, volume::Volume};
use crate::{
    disk::ReadAt,
    fs::{DirEntry, FileKind, FsError, FsErrorKind, Range, Reader, join},
};

/// Free clusters for that many bytes of new files.
const HOT_FREE: u64 = 4 << 20;
/// A file that is smaller may be changed: `cmdline.txt`, not a kernel.
const SMALL: u64 = 64 << 10;

impl<D: ReadAt> Fat<D> {
    /// Returns the ranges of the device that hold nothing: free clusters.
    /// Boot sectors, FATs, directories and files are in use, and so is what
    /// lies behind the last cluster.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn free_ranges(&self) -> Result<Vec<Range>, FsError> {
        Ok(join(free(&self.volume, &*self.pages)?))
    }

    /// Returns the ranges that edits are likely to change: boot sectors and
    /// FATs, directories and small files of the root directory, and the free
    /// clusters that new files go to first.
    ///
    /// # Errors
    ///
    /// The volume contradicts itself, or cannot be read.
    pub fn hot_ranges(&self) -> Result<Vec<Range>, FsError> {
        let volume = &self.volume;
        let mut ranges =
            vec![(0, volume.root.checked_add(volume.root_len).expect(INSIDE))];
        let mut chain = |first| -> Result<(), FsErrorKind> {
            let clusters = volume.chain(&*self.pages, first)?;
            let at = |c| (volume.cluster_offset(c), volume.cluster);
            ranges.extend(clusters.into_iter().map(at));
            Ok(())
        };
        chain(volume.root_cluster)?;
        for DirEntry { name, .. } in self.read_dir("/")? {
            let path = format!("/{name}");
            let Some(entry) = self.lookup(&path).map_err(|k| k.at(&path))?
            else {
                continue;
            };
            let stat = entry.stat();
            let small = stat.kind == FileKind::Directory || stat.size < SMALL;
            if small {
                chain(entry.cluster).map_err(|kind| kind.at(&path))?;
            }
        }
        let free = free(volume, &*self.pages)?;
        // Where `fatfs` begins to look.
        let next = self.next_free_hint()?;
        for from in [0, next] {
            let mut left = HOT_FREE;
            for (at, len) in free.iter().filter(|(at, _)| *at >= from) {
                let len = (*len).min(left);
                ranges.push((*at, len));
                left = left.checked_sub(len).expect("at most what is left");
                if left == 0 {
                    break;
                }
            }
        }
        Ok(join(ranges))
    }

    /// Where the volume says that free clusters begin; 0 where it does not.
    fn next_free_hint(&self) -> Result<u64, FsErrorKind> {
        if self.volume.bits != 32 {
            return Ok(0);
        }
        let at = self.volume.fs_info.checked_add(492).expect(INSIDE);
        let mut raw = [0; 4];
        self.pages.read_at(at, &mut raw).map_err(FsErrorKind::Io)?;
        let cluster = u32::from_le_bytes(raw);
        let known = self.volume.is_cluster(cluster);
        Ok(if known { self.volume.cluster_offset(cluster) } else { 0 })
    }
}

/// Runs of free clusters, in bytes.
fn free(
    volume: &Volume,
    device: &dyn ReadAt,
) -> Result<Vec<Range>, FsErrorKind> {
    let mut ranges: Vec<Range> = Vec::new();
    for cluster in volume.numbers() {
        if !volume.is_free(device, cluster)? {
            continue;
        }
        let at = volume.cluster_offset(cluster);
        match ranges.last_mut() {
            Some((start, len))
                if start.checked_add(*len).expect(INSIDE) == at =>
            {
                *len = len.checked_add(volume.cluster).expect(INSIDE);
            }
            _ => ranges.push((at, volume.cluster)),
        }
    }
    Ok(ranges)
}
