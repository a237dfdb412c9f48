use super::{INSIDE, clock, volume::Volume};
use crate::disk::ReadAt;
use crate::fs::{FsErrorKind, Structure};

/// Entries a directory may have, by the specification.
const MAX_ENTRIES: usize = 65_536;
/// What the last cluster of such a directory may hold beside them.
const READ_AT_MOST: usize = MAX_ENTRIES + 4096;
pub(super) const ENTRY: usize = 32;

/// A file or directory, as its directory names it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    short: String,
    pub(super) is_dir: bool,
    pub(super) cluster: u32,
    pub(super) size: u32,
    pub(super) mtime: i64,
}

impl Entry {
    /// Returns the root directory, whose cluster is written as 0.
    pub(super) fn root() -> Self {
        Self::directory(0)
    }

    /// Returns the directory that begins at a cluster.
    pub(super) fn directory(cluster: u32) -> Self {
        Self {
            name: String::new(),
            short: String::new(),
            is_dir: true,
            cluster,
            size: 0,
            mtime: 0,
        }
    }

    /// Compares as FAT does, with either name and without case.
    pub(super) fn is_named(&self, name: &str) -> bool {
        let same = |ours: &str| {
            let ours = ours.chars().flat_map(char::to_uppercase);
            ours.eq(name.chars().flat_map(char::to_uppercase))
        };
        same(&self.name) || same(&self.short)
    }
}

/// A directory's bytes, all of its clusters.
pub(super) struct Directory {
    pub(super) bytes: Vec<u8>,
}

impl Directory {
    /// Reads the directory at `cluster`; 0 is the root.
    pub(super) fn read(
        volume: &Volume,
        device: &dyn ReadAt,
        cluster: u32,
    ) -> Result<Self, FsErrorKind> {
        let first = if cluster == 0 { volume.root_cluster } else { cluster };
        let parts: Vec<(u64, u64)> = if first == 0 {
            vec![(volume.root, volume.root_len)]
        } else {
            let chain = volume.chain(device, first)?;
            let at = |c| (volume.cluster_offset(c), volume.cluster);
            chain.into_iter().map(at).collect()
        };
        let mut bytes = Vec::new();
        for (offset, len) in parts {
            let len = usize::try_from(len).expect(INSIDE);
            let start = bytes.len();
            let end = start.checked_add(len).expect(INSIDE);
            if end / ENTRY > READ_AT_MOST {
                return Err(Structure::Cluster(first).rule(format!(
                    "a directory with more than {MAX_ENTRIES} entries"
                )));
            }
            bytes.resize(end, 0);
            let part = bytes.get_mut(start..).expect("just made");
            device.read_at(offset, part).map_err(FsErrorKind::Io)?;
        }
        Ok(Self { bytes })
    }

    fn raw(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes
            .chunks_exact(ENTRY)
            .take_while(|raw| raw.first().is_some_and(|b| *b != 0))
    }

    /// Returns how many entries are used or deleted: the next one and all
    /// after it were never used.
    pub(super) fn used(&self) -> usize {
        self.raw().count()
    }

    /// Returns where `wanted` entries in a row can go, as `fatfs` looks for
    /// them; perhaps in part behind the last entry there is room for.
    pub(super) fn room_for(&self, wanted: usize) -> usize {
        let mut free = 0usize;
        let mut count = 0usize;
        for (index, raw) in self.raw().enumerate() {
            count = index.checked_add(1).expect("entries in memory");
            free = match raw.first() {
                Some(0xe5) => free.checked_add(1).expect("entries in memory"),
                _ => 0,
            };
            if free == wanted {
                return count.checked_sub(free).expect("entries in memory");
            }
        }
        count.checked_sub(free).expect("entries in memory")
    }

    /// Returns the entries, without `.`, `..`, volume label and deleted ones.
    pub(super) fn entries(&self, volume: &Volume) -> Vec<Entry> {
        let mut found = Vec::new();
        let mut long = LongName::default();
        for raw in self.raw() {
            let attributes = byte(raw, 11);
            match byte(raw, 0) {
                0xe5 => long = LongName::default(),
                _ if attributes & 0x0f == 0x0f => long.add(raw),
                _ if attributes & 0x08 != 0 => long = LongName::default(),
                _ => {
                    let name = std::mem::take(&mut long).finish(raw);
                    let entry = entry(volume, raw, name);
                    if entry.short != "." && entry.short != ".." {
                        found.push(entry);
                    }
                }
            }
        }
        found
    }
}

fn byte(raw: &[u8], at: usize) -> u8 {
    raw.get(at).copied().unwrap_or(0)
}

fn word(raw: &[u8], at: usize) -> u16 {
    let next = at.checked_add(1).expect("places of the format");
    u16::from_le_bytes([byte(raw, at), byte(raw, next)])
}

fn entry(volume: &Volume, raw: &[u8], long: Option<String>) -> Entry {
    let high = if volume.bits == 32 { word(raw, 20) } else { 0 };
    let short = short_name(raw, 0);
    // Windows NT keeps the case of an 8.3 name in two bits.
    let name = long.unwrap_or_else(|| short_name(raw, byte(raw, 12)));
    Entry {
        name,
        short,
        is_dir: byte(raw, 11) & 0x10 != 0,
        cluster: (u32::from(high) << 16) | u32::from(word(raw, 26)),
        size: (u32::from(word(raw, 30)) << 16) | u32::from(word(raw, 28)),
        mtime: clock::seconds(word(raw, 24), word(raw, 22)),
    }
}

fn short_name(raw: &[u8], case: u8) -> String {
    let text = |range, lower: bool| {
        let bytes: &[u8] = raw.get(range).unwrap_or_default();
        let text: String = bytes
            .iter()
            .map(|b| if b.is_ascii() { char::from(*b) } else { '\u{fffd}' })
            .collect();
        let text = text.trim_end_matches(' ').to_owned();
        if lower { text.to_ascii_lowercase() } else { text }
    };
    let base = text(0..8, case & 0x08 != 0);
    let extension = text(8..11, case & 0x10 != 0);
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}

/// The parts of a long name, which stand before the entry, last part first.
#[derive(Default)]
struct LongName {
    parts: Vec<[u16; 13]>,
    next: u8,
    checksum: u8,
}

impl LongName {
    fn add(&mut self, raw: &[u8]) {
        let order = byte(raw, 0);
        let checksum = byte(raw, 13);
        if order & 0x40 != 0 {
            *self = Self { parts: Vec::new(), next: order & 0x3f, checksum };
        } else if order != self.next || checksum != self.checksum {
            *self = Self::default();
            return;
        }
        if self.next == 0 || self.next > 20 {
            *self = Self::default();
            return;
        }
        const AT: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
        self.parts.push(AT.map(|at| word(raw, at)));
        self.next = self.next.checked_sub(1).expect("checked just before");
    }

    /// Returns the name if it is whole and belongs to this entry.
    fn finish(self, raw: &[u8]) -> Option<String> {
        let sum = raw
            .iter()
            .take(11)
            .fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        if self.parts.is_empty() || self.next != 0 || sum != self.checksum {
            return None;
        }
        let units: Vec<u16> = self
            .parts
            .iter()
            .rev()
            .flatten()
            .copied()
            .take_while(|unit| *unit != 0)
            .collect();
        Some(String::from_utf16_lossy(&units))
    }
}
