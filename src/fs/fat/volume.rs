use crate::disk::ReadAt;
use crate::fs::{FsErrorKind, Structure};

/// Where the parts of a FAT volume are (Microsoft's FAT specification,
/// version 1.03). All offsets are in bytes from the start of the volume.
#[derive(Clone, Debug)]
pub(super) struct Volume {
    pub(super) bits: u32,
    pub(super) cluster: u64,
    pub(super) clusters: u32,
    pub(super) fat: u64,
    pub(super) fat_len: u64,
    pub(super) fats: u64,
    /// The fixed root directory of FAT12 and FAT16.
    pub(super) root: u64,
    pub(super) root_len: u64,
    /// The first cluster of FAT32's root directory; 0 on FAT12 and FAT16.
    pub(super) root_cluster: u32,
    /// Where FAT32's FSInfo sector should be; [`super::check::check`] looks
    /// at whether it can be there.
    pub(super) fs_info: u64,
    data: u64,
}

/// A FAT larger than this is that of no boot partition.
const MAX_FAT: u64 = 64 << 20;

fn corrupt(what: impl Into<String>) -> FsErrorKind {
    Structure::BootSector.rule(what)
}

impl Volume {
    /// Reads the boot sector.
    pub(super) fn read(device: &dyn ReadAt) -> Result<Self, FsErrorKind> {
        let mut boot = [0; 512];
        device.read_at(0, &mut boot).map_err(FsErrorKind::Io)?;
        let at = |offset: usize, len: usize| {
            boot.iter()
                .skip(offset)
                .take(len)
                .rev()
                .fold(0u64, |value, byte| (value << 8) | u64::from(*byte))
        };
        if at(510, 2) != 0xaa55 {
            return Err(corrupt("no FAT boot sector"));
        }
        let (sector, per_cluster) = (at(11, 2), at(13, 1));
        if !matches!(sector, 512 | 1024 | 2048 | 4096)
            || !per_cluster.is_power_of_two()
        {
            return Err(corrupt("sector or cluster size of the boot sector"));
        }
        let (reserved, fats, entries) = (at(14, 2), at(16, 1), at(17, 2));
        let total = if at(19, 2) != 0 { at(19, 2) } else { at(32, 4) };
        let wide = at(22, 2) == 0;
        let fat_sectors = if wide { at(36, 4) } else { at(22, 2) };
        if reserved == 0 || !matches!(fats, 1 | 2) || fat_sectors == 0 {
            return Err(corrupt("FATs of the boot sector"));
        }
        // Numbers of 32 bits at most, of sectors of 4096 bytes at most.
        const SMALL: &str = "far below 2^64";
        let bytes = |sectors: u64| sectors.checked_mul(sector).expect(SMALL);
        let root_len = entries.checked_mul(32).expect(SMALL);
        let root_len = root_len.next_multiple_of(sector);
        let fat = bytes(reserved);
        let fat_len = bytes(fat_sectors);
        let all_fats = fats.checked_mul(fat_len).expect(SMALL);
        let root = fat.checked_add(all_fats).expect(SMALL);
        let data = root.checked_add(root_len).expect(SMALL);
        let size = bytes(total);
        if size > device.size() || data >= size {
            return Err(corrupt(format!(
                "the boot sector says {size} bytes, the partition has {}",
                device.size()
            )));
        }
        let cluster = bytes(per_cluster);
        let count =
            size.checked_sub(data).and_then(|bytes| bytes.checked_div(cluster));
        let clusters = count
            .and_then(|count| u32::try_from(count).ok())
            .filter(|count| (1..0x0fff_fff5).contains(count))
            .ok_or_else(|| corrupt("number of clusters"))?;
        let bits = match clusters {
            0..4085 => 12,
            4085..65525 => 16,
            _ => 32,
        };
        let needed = u64::from(clusters)
            .checked_add(2)
            .and_then(|entries| entries.checked_mul(bits.into()))
            .expect(SMALL);
        if needed.div_ceil(8) > fat_len {
            return Err(corrupt("the FAT is too small"));
        }
        if wide != (bits == 32) || (wide != (entries == 0)) {
            return Err(corrupt("neither FAT16 nor FAT32"));
        }
        if wide && (at(40, 2) & 0x80 != 0 || at(42, 2) != 0) {
            let what = "a FAT32 version or a FAT that is not mirrored";
            return Err(FsErrorKind::Unsupported(what.into()));
        }
        if fat_len > MAX_FAT {
            return Err(FsErrorKind::Unsupported("a FAT over 64 MiB".into()));
        }
        let root_cluster = if wide { at(44, 4) } else { 0 };
        Ok(Self {
            bits,
            cluster,
            clusters,
            fat,
            fat_len,
            fats,
            root,
            root_len,
            root_cluster: u32::try_from(root_cluster).expect("four bytes"),
            fs_info: if wide { bytes(at(48, 2)) } else { 0 },
            data,
        })
    }

    /// Returns whether the volume is marked as not cleanly unmounted: in the
    /// boot sector as Linux does it, or in the second FAT entry.
    pub(super) fn is_dirty(
        &self,
        device: &dyn ReadAt,
    ) -> Result<bool, FsErrorKind> {
        let mut state = [0];
        let at = if self.bits == 32 { 0x41 } else { 0x25 };
        device.read_at(at, &mut state).map_err(FsErrorKind::Io)?;
        let clean = match self.bits {
            32 => self.entry(device, 1)? & 0x0800_0000 != 0,
            16 => self.entry(device, 1)? & 0x8000 != 0,
            _ => true,
        };
        Ok(state == [1] || state == [3] || !clean)
    }

    /// Returns where a cluster of the data area is.
    pub(super) fn cluster_offset(&self, cluster: u32) -> u64 {
        u64::from(cluster)
            .checked_sub(2)
            .and_then(|number| number.checked_mul(self.cluster))
            .and_then(|offset| offset.checked_add(self.data))
            .expect("a cluster's number, from 2 on")
    }

    /// Returns how many clusters `len` bytes take.
    pub(super) fn clusters_of(&self, len: u64) -> u64 {
        len.div_ceil(self.cluster)
    }

    pub(super) fn is_cluster(&self, number: u32) -> bool {
        self.numbers().contains(&number)
    }

    /// Returns the FAT entry of a cluster, as it stands.
    pub(super) fn entry(
        &self,
        device: &dyn ReadAt,
        cluster: u32,
    ) -> Result<u32, FsErrorKind> {
        let bit = u64::from(cluster)
            .checked_mul(self.bits.into())
            .expect("inside of the volume");
        let mut raw = [0; 4];
        let len = if self.bits == 32 { 4 } else { 2 };
        let raw_part = raw.get_mut(..len).expect("four bytes at most");
        device
            .read_at(
                self.fat.checked_add(bit / 8).expect("inside of the volume"),
                raw_part,
            )
            .map_err(FsErrorKind::Io)?;
        let value = u32::from_le_bytes(raw);
        Ok(match self.bits {
            12 if cluster % 2 == 1 => value >> 4,
            12 => value & 0xfff,
            _ => value,
        })
    }

    /// Returns the next cluster of a chain, or `None` at its end.
    pub(super) fn next(
        &self,
        device: &dyn ReadAt,
        cluster: u32,
    ) -> Result<Option<u32>, FsErrorKind> {
        let value = self.entry(device, cluster)?;
        let (value, end) = match self.bits {
            12 => (value, 0xff8),
            16 => (value, 0xfff8),
            _ => (value & 0x0fff_ffff, 0x0fff_fff8),
        };
        if value >= end {
            return Ok(None);
        }
        if !self.is_cluster(value) {
            return Err(Structure::Cluster(cluster).field(
                "the number of the next cluster",
                value,
                "one of this volume",
            ));
        }
        Ok(Some(value))
    }

    /// Returns the clusters of a chain; none for 0.
    pub(super) fn chain(
        &self,
        device: &dyn ReadAt,
        first: u32,
    ) -> Result<Vec<u32>, FsErrorKind> {
        if first == 0 {
            return Ok(Vec::new());
        }
        if !self.is_cluster(first) {
            return Err(Structure::Cluster(first)
                .rule("a chain begins there, outside of the volume"));
        }
        let mut chain = vec![first];
        let mut cluster = first;
        while let Some(next) = self.next(device, cluster)? {
            if u32::try_from(chain.len()).is_ok_and(|len| len >= self.clusters)
            {
                return Err(
                    Structure::Cluster(first).rule("its chain is a loop")
                );
            }
            chain.push(next);
            cluster = next;
        }
        Ok(chain)
    }

    /// Returns whether a cluster is free.
    pub(super) fn is_free(
        &self,
        device: &dyn ReadAt,
        cluster: u32,
    ) -> Result<bool, FsErrorKind> {
        let mask = if self.bits == 32 { 0x0fff_ffff } else { u32::MAX };
        Ok(self.entry(device, cluster)? & mask == 0)
    }

    /// Returns the cluster numbers of the data area.
    pub(super) fn numbers(&self) -> std::ops::Range<u32> {
        2..self.clusters.checked_add(2).expect("inside of the volume")
    }
}
