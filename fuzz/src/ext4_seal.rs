//! Checksums of ext4, set right after a change: what is wrong otherwise is
//! not found by them. Linux, fs/ext4: `ext4_chksum` and who calls it.

use crate::sparse::Sparse;

const GDT_CSUM: u32 = 0x10;
const METADATA_CSUM: u32 = 0x400;
const SEED: u32 = 0x2000;
const IS_64BIT: u32 = 0x80;
const INDEX: u32 = 0x1000;
const EXTENTS: u32 = 0x8_0000;
/// Groups, and inodes of each, that are looked at.
const MOST_GROUPS: u32 = 32;
const MOST_INODES: u32 = 256;
/// Blocks of a directory.
const MOST_BLOCKS: u64 = 24;

fn u16_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two")))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four"))
}

/// As `ext4_chksum`: without the last inversion.
fn crc(sum: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!sum, bytes)
}

fn crc16(sum: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(sum, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| {
            sum >> 1 ^ if sum & 1 == 1 { 0xA001 } else { 0 }
        })
    })
}

struct Seal<'d> {
    disk: &'d Sparse,
    block: u64,
    seed: u32,
}

/// Sets all checksums right that can be found.
pub(crate) fn seal(disk: &Sparse) {
    let Some(mut sb) = disk.get(1024, 1024) else { return };
    let features = u32_at(&sb, 0x64);
    let (log, first) = (u32_at(&sb, 0x18), u32_at(&sb, 0x14));
    if features & (METADATA_CSUM | GDT_CSUM) == 0 || log > 6 || first > 1 {
        return;
    }
    if features & METADATA_CSUM != 0 {
        let sum = crc(!0, &sb[..0x3FC]);
        sb[0x3FC..].copy_from_slice(&sum.to_le_bytes());
        disk.put(1024, &sb);
    }
    let block = 1024u64 << log;
    let seed = match u32_at(&sb, 0x60) & SEED {
        0 => crc(!0, &sb[0x68..0x78]),
        _ => u32_at(&sb, 0x270),
    };
    let this = Seal { disk, block, seed };
    let wide = u32_at(&sb, 0x60) & IS_64BIT != 0;
    let size = if wide { u16_at(&sb, 0xFE) as usize } else { 32 };
    if !(32..=1024).contains(&size) {
        return;
    }
    for group in 0..MOST_GROUPS {
        let table = (u64::from(first) + 1) * block;
        let at = table + u64::from(group) * size as u64;
        let Some(mut desc) = disk.get(at, size) else { return };
        if desc[..0x1E].iter().all(|byte| *byte == 0) {
            return;
        }
        if features & METADATA_CSUM != 0 {
            this.bitmap(&mut desc, 0, 0x18, u32_at(&sb, 0x20));
            this.bitmap(&mut desc, 4, 0x1A, u32_at(&sb, 0x28));
            this.inodes(&desc, group, &sb);
        }
        let number = group.to_le_bytes();
        let rest = desc.get(0x20..).unwrap_or_default();
        let sum = if features & METADATA_CSUM != 0 {
            let sum = crc(crc(seed, &number), &desc[..0x1E]);
            crc(crc(sum, &[0; 2]), rest) as u16
        } else {
            let sum = crc16(crc16(!0, &sb[0x68..0x78]), &number);
            crc16(crc16(sum, &desc[..0x1E]), rest)
        };
        desc[0x1E..0x20].copy_from_slice(&sum.to_le_bytes());
        disk.put(at, &desc);
    }
}

impl Seal<'_> {
    fn get(&self, block: u64) -> Option<Vec<u8>> {
        self.disk.get(block.checked_mul(self.block)?, self.block as usize)
    }

    fn put(&self, block: u64, bytes: &[u8]) {
        self.disk.put(block * self.block, bytes);
    }

    /// The bitmap whose block is at `block` of a descriptor, and its checksum
    /// at `sum`; the upper halves are 0x20 bytes behind.
    fn bitmap(&self, desc: &mut [u8], block: usize, sum: usize, bits: u32) {
        let Some(bytes) = self.get(u32_at(desc, block).into()) else { return };
        let Some(bytes) = bytes.get(..bits as usize / 8) else { return };
        let crc = crc(self.seed, bytes).to_le_bytes();
        desc[sum..sum + 2].copy_from_slice(&crc[..2]);
        if desc.len() >= 0x40 {
            desc[sum + 0x20..sum + 0x22].copy_from_slice(&crc[2..]);
        }
    }

    fn inodes(&self, desc: &[u8], group: u32, sb: &[u8]) {
        let size = u16_at(sb, 0x58) as usize;
        if !(128..=1024).contains(&size) {
            return;
        }
        let per_group = u32_at(sb, 0x28);
        let table = u64::from(u32_at(desc, 8)) * self.block;
        for number in 0..per_group.min(MOST_INODES) {
            let at = table + u64::from(number) * size as u64;
            let Some(mut inode) = self.disk.get(at, size) else { return };
            if inode.iter().all(|byte| *byte == 0) {
                continue;
            }
            let ino = group.wrapping_mul(per_group).wrapping_add(number + 1);
            let own = crc(self.seed, &ino.to_le_bytes());
            let own = crc(own, &inode[0x64..0x68]);
            let extra = size > 128 && u16_at(&inode, 0x80) >= 4;
            inode[0x7C..0x7E].fill(0);
            if extra {
                inode[0x82..0x84].fill(0);
            }
            let sum = crc(own, &inode).to_le_bytes();
            inode[0x7C..0x7E].copy_from_slice(&sum[..2]);
            if extra {
                inode[0x82..0x84].copy_from_slice(&sum[2..]);
            }
            self.disk.put(at, &inode);
            if u32_at(&inode, 0x20) & EXTENTS != 0 {
                self.node(&inode, own, &inode[0x28..0x64], 2);
            }
        }
    }

    /// What the extents of a node lead to.
    fn node(&self, inode: &[u8], own: u32, node: &[u8], depth: u32) {
        if u16_at(node, 0) != 0xF30A {
            return;
        }
        let is_directory = u16_at(inode, 0) & 0xF000 == 0x4000;
        let entries = node[12..].chunks_exact(12);
        for entry in entries.take(u16_at(node, 2) as usize) {
            if u16_at(node, 6) > 0 {
                let block = u64::from(u32_at(entry, 4));
                let Some(mut below) = self.get(block) else { continue };
                let end = 12 + 12 * u16_at(&below, 4) as usize;
                if end + 4 <= below.len() {
                    let sum = crc(own, &below[..end]);
                    below[end..end + 4].copy_from_slice(&sum.to_le_bytes());
                    self.put(block, &below);
                }
                if depth > 0 {
                    self.node(inode, own, &below, depth - 1);
                }
            } else if is_directory {
                let first = u64::from(u32_at(entry, 8));
                let logical = u32_at(entry, 0);
                let len = u64::from(u16_at(entry, 4)).min(MOST_BLOCKS);
                for more in 0..len {
                    let is_root = logical == 0
                        && more == 0
                        && u32_at(inode, 0x20) & INDEX != 0;
                    self.directory(first + more, own, is_root);
                }
            }
        }
    }

    fn directory(&self, number: u64, own: u32, is_root: bool) {
        let Some(mut block) = self.get(number) else { return };
        let len = block.len();
        // A node of an index begins with an entry that takes all of it.
        let is_node = u32_at(&block, 0) == 0
            && u16_at(&block, 4) as usize == len
            && u16_at(&block, 6) == 0;
        if is_root || is_node {
            let head = if is_root { 0x20 } else { 8 };
            let tail = head + 8 * u16_at(&block, head) as usize;
            let end = head + 8 * u16_at(&block, head + 2) as usize;
            if tail + 8 <= len && end <= tail {
                let sum = crc(own, &block[..end]);
                let sum = crc(crc(sum, &block[tail..tail + 4]), &[0; 4]);
                block[tail + 4..tail + 8].copy_from_slice(&sum.to_le_bytes());
            }
        } else if block[len - 12..len - 4] == [0, 0, 0, 0, 12, 0, 0, 0xDE] {
            let sum = crc(own, &block[..len - 12]);
            block[len - 4..].copy_from_slice(&sum.to_le_bytes());
        }
        self.put(number, &block);
    }
}
