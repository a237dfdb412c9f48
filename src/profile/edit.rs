use std::fmt;

use serde::{Deserialize, Serialize};

use super::Content;

/// Which of the two partitions of a card.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The FAT partition that the firmware reads.
    Boot,
    /// The ext4 root partition.
    #[default]
    Root,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boot => "boot",
            Self::Root => "root",
        })
    }
}

/// Permission bits and owner; FAT knows neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Permission bits, at most `0o7777`.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// One change to one path of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The partition.
    pub part: Part,
    /// The path from the partition's root, as `/etc/hostname`.
    pub path: String,
    /// What happens there.
    pub action: Action,
    /// What it is for, in a few words.
    pub why: String,
    /// Holds a secret: never shown.
    pub secret: bool,
}

/// What an [`Edit`] does. Each can be applied twice with the same result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Creates the file, or replaces all of it. Missing parents are made.
    Write {
        /// The whole content.
        content: Content,
        /// Mode and owner.
        access: Access,
    },
    /// Adds the text at the end of a file that does not hold it; creates the
    /// file, root's and readable, where there is none.
    Append {
        /// Whole lines, with the last newline.
        text: String,
    },
    /// Puts whole lines between two marks at the end of an existing file, in
    /// place of what an earlier build put between such marks.
    Block {
        /// Whole lines, with the last newline.
        text: String,
    },
    /// Adds words to the one line of the kernel's command line.
    KernelWords {
        /// Words as `cgroup_enable=memory`.
        words: Vec<String>,
    },
    /// Sets a key of the firmware's `config.txt` for all boards.
    ConfigTxt {
        /// As `arm_64bit`.
        key: String,
        /// As `1`.
        value: String,
    },
    /// Creates the directory, or gives the existing one this mode and owner.
    Mkdir {
        /// Mode and owner.
        access: Access,
    },
    /// Creates the symbolic link, in place of a file or link.
    Symlink {
        /// Where it leads.
        target: String,
    },
    /// Changes mode and owner of what is there.
    Access {
        /// Mode and owner.
        access: Access,
    },
    /// Removes what is there, if anything is.
    Remove,
}

impl Action {
    /// Returns the action's name as the plan prints it.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Write { .. } => "write",
            Self::Append { .. } => "append",
            Self::Block { .. } => "block",
            Self::KernelWords { .. } => "kernel-words",
            Self::ConfigTxt { .. } => "config-txt",
            Self::Mkdir { .. } => "mkdir",
            Self::Symlink { .. } => "symlink",
            Self::Access { .. } => "access",
            Self::Remove => "remove",
        }
    }
}
