//! Feature sets of the superblock: which are known, which can be edited.

use super::Result;
use crate::fs::FsErrorKind;

// s_feature_compat
pub(super) const HAS_JOURNAL: u32 = 0x4;
pub(super) const DIR_INDEX: u32 = 0x20;
pub(super) const SPARSE_SUPER2: u32 = 0x200;

// s_feature_incompat
pub(super) const FILETYPE: u32 = 0x2;
pub(super) const RECOVER: u32 = 0x4;
pub(super) const EXTENTS: u32 = 0x40;
pub(super) const BIT64: u32 = 0x80;
pub(super) const FLEX_BG: u32 = 0x200;
pub(super) const CSUM_SEED: u32 = 0x2000;

// s_feature_ro_compat
pub(super) const SPARSE_SUPER: u32 = 0x1;
pub(super) const LARGE_FILE: u32 = 0x2;
pub(super) const HUGE_FILE: u32 = 0x8;
pub(super) const GDT_CSUM: u32 = 0x10;
pub(super) const DIR_NLINK: u32 = 0x20;
pub(super) const EXTRA_ISIZE: u32 = 0x40;
pub(super) const METADATA_CSUM: u32 = 0x400;
pub(super) const ORPHAN_PRESENT: u32 = 0x1_0000;

const INCOMPAT_EDITABLE: u32 =
    FILETYPE | RECOVER | EXTENTS | BIT64 | FLEX_BG | CSUM_SEED;
const RO_COMPAT_EDITABLE: u32 = SPARSE_SUPER
    | LARGE_FILE
    | HUGE_FILE
    | GDT_CSUM
    | DIR_NLINK
    | EXTRA_ISIZE
    | METADATA_CSUM
    | ORPHAN_PRESENT;

/// Names as `tune2fs -O` and ext4(5) spell them.
const INCOMPAT_NAMES: [(u32, &str); 11] = [
    (0x1, "compression"),
    (0x8, "journal_dev"),
    (0x10, "meta_bg"),
    (0x100, "mmp"),
    (0x400, "ea_inode"),
    (0x1000, "dirdata"),
    (0x4000, "large_dir"),
    (0x8000, "inline_data"),
    (0x1_0000, "encrypt"),
    (0x2_0000, "casefold"),
    (EXTENTS, "extent"),
];
const RO_COMPAT_NAMES: [(u32, &str); 9] = [
    (0x4, "btree_dir"),
    (0x80, "snapshot"),
    (0x100, "quota"),
    (0x200, "bigalloc"),
    (0x800, "replica"),
    (0x1000, "read-only"),
    (0x2000, "project"),
    (0x4000, "shared_blocks"),
    (0x8000, "verity"),
];

/// The three feature words.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Features {
    pub(super) compat: u32,
    pub(super) incompat: u32,
    pub(super) ro_compat: u32,
}

impl Features {
    pub(super) fn has_compat(self, bit: u32) -> bool {
        self.compat & bit != 0
    }

    pub(super) fn has_incompat(self, bit: u32) -> bool {
        self.incompat & bit != 0
    }

    pub(super) fn has_ro_compat(self, bit: u32) -> bool {
        self.ro_compat & bit != 0
    }

    /// Refuses what this editor cannot keep intact. Unknown `compat` bits
    /// are no reason: that is what the class means.
    pub(super) fn check(self) -> Result<()> {
        let incompat = self.incompat & !INCOMPAT_EDITABLE;
        let ro_compat = self.ro_compat & !RO_COMPAT_EDITABLE;
        let unknown = names(incompat, "incompat", &INCOMPAT_NAMES)
            .into_iter()
            .chain(names(ro_compat, "ro_compat", &RO_COMPAT_NAMES))
            .collect::<Vec<_>>();
        if !unknown.is_empty() {
            let list = unknown.join(", ");
            return Err(FsErrorKind::Unsupported(format!(
                "ext4 feature {list}"
            )));
        }
        if !self.has_incompat(EXTENTS) {
            return Err(FsErrorKind::Unsupported(
                "a file system without the ext4 feature `extent`".to_owned(),
            ));
        }
        Ok(())
    }
}

fn names(bits: u32, class: &str, known: &[(u32, &str)]) -> Vec<String> {
    (0..32)
        .filter_map(|shift| 1u32.checked_shl(shift))
        .filter(|bit| bits & bit != 0)
        .map(|bit| {
            let name = known.iter().find(|(known, _)| *known == bit);
            match name {
                Some((_, name)) => format!("`{name}` ({class} {bit:#x})"),
                None => format!("unknown ({class} {bit:#x})"),
            }
        })
        .collect()
}
