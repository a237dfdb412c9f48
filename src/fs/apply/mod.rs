//! From a plan to bytes: the only place where the two meet.

mod content;
mod lines;
mod readback;

use std::{collections::BTreeMap, error::Error, fmt};

use super::{
    Editor, FileKind, FsError, FsErrorKind, Meta, cmdline, config_txt,
};
use crate::plan::{Access, Action, Content, Edit, Part};
pub use readback::{Mismatch, read_back};

/// What must be at a path once a plan is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A regular file; no mode and owner where only its text was changed.
    File {
        /// The whole content.
        content: Content,
        /// Mode and owner, where the plan names them.
        access: Option<Access>,
    },
    /// A directory.
    Directory {
        /// Mode and owner.
        access: Access,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads.
        target: String,
    },
    /// Anything of this mode and owner.
    Access {
        /// Mode and owner.
        access: Access,
    },
    /// Nothing.
    Absent,
}

/// All that a plan touched, by partition and path.
pub type Expectations = BTreeMap<(Part, String), Expected>;

/// An edit that could not be made.
#[derive(Debug)]
pub struct ApplyError {
    /// The edit's verb and path, as `write /etc/hostname`.
    pub edit: String,
    /// The partition.
    pub part: Part,
    /// Why.
    pub source: FsError,
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on the {} partition", self.edit, self.part)
    }
}

impl Error for ApplyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// The two file systems of a card.
pub struct Card<'e> {
    /// The FAT partition.
    pub boot: &'e mut dyn Editor,
    /// The ext4 partition.
    pub root: &'e mut dyn Editor,
}

impl Card<'_> {
    fn editor(&mut self, part: Part) -> &mut dyn Editor {
        match part {
            Part::Boot => self.boot,
            Part::Root => self.root,
        }
    }
}

/// Applies `edits` in their order and commits both file systems. New inodes
/// get `mtime`, in seconds since the epoch. Returns what must be there now.
///
/// After an error the images below are to be thrown away.
pub fn apply(
    edits: &[Edit],
    card: &mut Card<'_>,
    mtime: i64,
) -> Result<Expectations, ApplyError> {
    let mut expected = Expectations::new();
    for edit in edits {
        let error = |source| ApplyError {
            edit: format!("{} {}", edit.action.verb(), edit.path),
            part: edit.part,
            source,
        };
        let became =
            apply_one(edit, card.editor(edit.part), mtime).map_err(error)?;
        let key = (edit.part, edit.path.clone());
        match (became, expected.get_mut(&key)) {
            // A change of mode does not undo what is known of the content.
            (
                Expected::Access { access },
                Some(Expected::File { access: known, .. }),
            ) => *known = Some(access),
            (became, _) => {
                if became == Expected::Absent {
                    let below = format!("{}/", edit.path);
                    expected.retain(|(part, path), _| {
                        *part != edit.part || !path.starts_with(&below)
                    });
                }
                expected.insert(key, became);
            }
        }
    }
    for part in [Part::Boot, Part::Root] {
        card.editor(part).commit().map_err(|source| ApplyError {
            edit: "write back".to_owned(),
            part,
            source,
        })?;
    }
    Ok(expected)
}

fn apply_one(
    edit: &Edit,
    fs: &mut dyn Editor,
    mtime: i64,
) -> Result<Expected, FsError> {
    let path = edit.path.as_str();
    let meta = |access: Access| Meta {
        mode: access.mode,
        uid: access.uid,
        gid: access.gid,
        mtime,
    };
    match &edit.action {
        Action::Write { content, access } => {
            make_parents(fs, path, mtime)?;
            fs.write(path, content, meta(*access))?;
            let (content, access) = (content.clone(), Some(*access));
            Ok(Expected::File { content, access })
        }
        // Nothing there is nothing before it.
        Action::Append { text } if fs.stat(path)?.is_none() => {
            make_parents(fs, path, mtime)?;
            let content = Content::from(lines::append("", text));
            let access = Access { mode: 0o644, ..ROOT };
            fs.write(path, &content, meta(access))?;
            Ok(Expected::File { content, access: Some(access) })
        }
        Action::Append { text } => {
            rewrite(fs, path, mtime, |old| lines::append(old, text))
        }
        Action::Block { text } => {
            rewrite(fs, path, mtime, |old| lines::block(old, text))
        }
        Action::KernelWords { words } => rewrite(fs, path, mtime, |old| {
            words
                .iter()
                .fold(old.to_owned(), |line, word| cmdline::append(&line, word))
        }),
        Action::ConfigTxt { key, value } => rewrite(fs, path, mtime, |old| {
            config_txt::set(old, "all", key, value)
        }),
        Action::Mkdir { access } => {
            make_parents(fs, path, mtime)?;
            fs.mkdir(path, meta(*access))?;
            Ok(Expected::Directory { access: *access })
        }
        Action::Symlink { target } => {
            make_parents(fs, path, mtime)?;
            fs.symlink(path, target, meta(ROOT))?;
            Ok(Expected::Symlink { target: target.clone() })
        }
        Action::Access { access } => {
            fs.set_meta(path, meta(*access))?;
            Ok(Expected::Access { access: *access })
        }
        Action::Remove => {
            fs.remove(path)?;
            Ok(Expected::Absent)
        }
    }
}

const ROOT: Access = Access { mode: 0o755, uid: 0, gid: 0 };

/// Makes the missing directories above `path`, as `mkdir -p` run by root.
fn make_parents(
    fs: &mut dyn Editor,
    path: &str,
    mtime: i64,
) -> Result<(), FsError> {
    for (slash, _) in path.match_indices('/').skip(1) {
        let parent = path.get(..slash).unwrap_or_default();
        if fs.stat(parent)?.is_none() {
            let Access { mode, uid, gid } = ROOT;
            fs.mkdir(parent, Meta { mode, uid, gid, mtime })?;
        }
    }
    Ok(())
}

/// Replaces the text of an existing file, keeping its mode and owner; a
/// text that stays the same is not written.
fn rewrite(
    fs: &mut dyn Editor,
    path: &str,
    mtime: i64,
    change: impl FnOnce(&str) -> String,
) -> Result<Expected, FsError> {
    let stat = fs.stat(path)?.ok_or_else(|| FsErrorKind::NotFound.at(path))?;
    if stat.kind != FileKind::File {
        let kind = FsErrorKind::WrongKind("not a regular file");
        return Err(kind.at(path));
    }
    let old = String::from_utf8(fs.read(path)?)
        .map_err(|_| FsErrorKind::WrongKind("not a text file").at(path))?;
    let new = change(&old);
    if new != old {
        fs.write(path, &new.as_bytes(), Meta { mtime, ..stat.meta })?;
    }
    Ok(Expected::File { content: new.into(), access: None })
}
