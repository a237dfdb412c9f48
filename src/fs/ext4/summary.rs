//! The superblock as it stands, for people: features that cannot be edited
//! and traces of use included.
//!
//! Fields are named as in the kernel's `ext4/super.rst` documentation.

use super::checksum::crc32c;
use super::features::{BIT64, EXTENTS, HAS_JOURNAL, METADATA_CSUM, RECOVER};
use super::le::{join32, u16_at, u32_at};
use super::superblock::{OFFSET, SIZE};
use crate::disk::ReadAt;
use crate::fs::summary::{History, Summary};
use crate::fs::{FsError, Structure};

/// Names as ext4(5) and `tune2fs -l` spell them.
const COMPAT: [(u32, &str); 11] = [
    (0x1, "dir_prealloc"),
    (0x2, "imagic_inodes"),
    (HAS_JOURNAL, "has_journal"),
    (0x8, "ext_attr"),
    (0x10, "resize_inode"),
    (0x20, "dir_index"),
    (0x40, "lazy_bg"),
    (0x200, "sparse_super2"),
    (0x400, "fast_commit"),
    (0x800, "stable_inodes"),
    (0x1000, "orphan_file"),
];
const INCOMPAT: [(u32, &str); 16] = [
    (0x1, "compression"),
    (0x2, "filetype"),
    (RECOVER, "needs_recovery"),
    (0x8, "journal_dev"),
    (0x10, "meta_bg"),
    (EXTENTS, "extent"),
    (BIT64, "64bit"),
    (0x100, "mmp"),
    (0x200, "flex_bg"),
    (0x400, "ea_inode"),
    (0x1000, "dirdata"),
    (0x2000, "metadata_csum_seed"),
    (0x4000, "large_dir"),
    (0x8000, "inline_data"),
    (0x1_0000, "encrypt"),
    (0x2_0000, "casefold"),
];
const RO_COMPAT: [(u32, &str); 16] = [
    (0x1, "sparse_super"),
    (0x2, "large_file"),
    (0x4, "btree_dir"),
    (0x8, "huge_file"),
    (0x10, "uninit_bg"),
    (0x20, "dir_nlink"),
    (0x40, "extra_isize"),
    (0x80, "snapshot"),
    (0x100, "quota"),
    (0x200, "bigalloc"),
    (METADATA_CSUM, "metadata_csum"),
    (0x1000, "read-only"),
    (0x2000, "project"),
    (0x4000, "shared_blocks"),
    (0x8000, "verity"),
    (0x1_0000, "orphan_present"),
];

/// Reads what the file system on `device` says of itself.
pub(in crate::fs) fn summary(device: &dyn ReadAt) -> Result<Summary, FsError> {
    let mut raw = vec![0; SIZE];
    device.read_at(OFFSET, &mut raw)?;
    let corrupt = |what: &str| Structure::Superblock.rule(what);
    if u16_at(&raw, 0x38) != 0xEF53 {
        return Err(corrupt(super::superblock::NO_MAGIC).into());
    }
    let s_log_block_size = u32_at(&raw, 0x18);
    let block_size = 1024u64
        .checked_shl(s_log_block_size)
        .filter(|_| s_log_block_size <= 6)
        .ok_or_else(|| corrupt("s_log_block_size"))?;
    let words = [0x5C, 0x60, 0x64].map(|at| u32_at(&raw, at));
    let [compat, incompat, ro_compat] = words;
    let mut features = names(compat, "compat", &COMPAT);
    features.extend(names(incompat, "incompat", &INCOMPAT));
    features.extend(names(ro_compat, "ro_compat", &RO_COMPAT));
    let wide = |low: usize, high: usize| {
        let high = if incompat & BIT64 != 0 { u32_at(&raw, high) } else { 0 };
        join32(high, u32_at(&raw, low))
    };
    // Not checked yet: too large is as good as larger than any device.
    let bytes = |blocks: u64| blocks.saturating_mul(block_size);
    let size = bytes(wide(0x04, 0x150));
    let mut problems = problems(&raw, incompat, ro_compat);
    if size > device.size() {
        problems.push(format!(
            "its {size} bytes do not fit into the partition ({} bytes)",
            device.size()
        ));
    }
    Ok(Summary {
        kind: match (incompat & EXTENTS, compat & HAS_JOURNAL) {
            (0, 0) => "ext2",
            (0, _) => "ext3",
            _ => "ext4",
        },
        features,
        block_size,
        size,
        free: bytes(wide(0x0C, 0x158)),
        inodes: Some((u32_at(&raw, 0x00).into(), u32_at(&raw, 0x10).into())),
        problems,
        history: Some(History {
            mounts: u16_at(&raw, 0x34),
            mounted: u32_at(&raw, 0x2C),
            written: u32_at(&raw, 0x30),
        }),
    })
}

fn problems(raw: &[u8], incompat: u32, ro_compat: u32) -> Vec<String> {
    let s_state = u16_at(raw, 0x3A);
    let sum =
        crc32c(!0, raw.get(..0x3FC).expect("a superblock has 1024 bytes"));
    let found = [
        (incompat & RECOVER != 0, "its journal needs recovery"),
        (s_state & 1 == 0, "not unmounted"),
        (s_state & 2 != 0, "marked as having errors"),
        (u32_at(raw, 0xE8) != 0, "files on its orphan list"),
        (ro_compat & 0x1_0000 != 0, "files in its orphan file"),
        (u32_at(raw, 0x194) != 0, "errors on record"),
        (
            ro_compat & METADATA_CSUM != 0 && sum != u32_at(raw, 0x3FC),
            "checksum of the superblock",
        ),
    ];
    let found = found.into_iter().filter(|(is, _)| *is);
    found.map(|(_, what)| what.to_owned()).collect()
}

fn names(bits: u32, class: &str, known: &[(u32, &str)]) -> Vec<String> {
    (0..32)
        .filter_map(|shift| 1u32.checked_shl(shift))
        .filter(|bit| bits & bit != 0)
        .map(|bit| match known.iter().find(|(known, _)| *known == bit) {
            Some((_, name)) => (*name).to_owned(),
            None => format!("{class}_{bit:#x}"),
        })
        .collect()
}
