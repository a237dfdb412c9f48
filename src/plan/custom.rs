//! What the inventory asks for beyond the profile: `config_txt` and `files`.
//! It comes last, so that its owner has the last word.

use super::account::Account;
use crate::{
    base::facts::Facts,
    inventory::{FileCopy, Node},
    profile::{Access, Action, Edit, Part},
};

/// A file of the builder's for a node, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomFile {
    /// Where it goes, with which mode and owner.
    pub copy: FileCopy,
    /// The whole content.
    pub content: Vec<u8>,
}

/// Why a file cannot go where it is wanted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CustomError {
    /// The owner has no number in this image.
    #[error("`files`: {dest}: the image has no {what} `{name}`")]
    Owner {
        /// The path on the node.
        dest: String,
        /// `user` or `group`.
        what: &'static str,
        /// The name.
        name: String,
    },
}

pub(super) fn edits(
    node: &Node,
    facts: &Facts,
    account: &Account,
    files: &[CustomFile],
) -> Result<Vec<Edit>, CustomError> {
    let settings = node.config_txt.iter().map(|setting| Edit {
        part: Part::Boot,
        path: format!("/{}", facts.boot.config_path),
        action: Action::ConfigTxt {
            key: setting.key.clone(),
            value: setting.value.clone(),
        },
        why: "config_txt of the inventory".to_owned(),
        secret: false,
    });
    let mut edits: Vec<Edit> = settings.collect();
    for CustomFile { copy, content } in files {
        let (part, path) = place(&copy.dest, &facts.boot.mount);
        let (uid, gid) = owner(copy, account)?;
        edits.push(Edit {
            part,
            path,
            action: Action::Write {
                content: content.clone().into(),
                access: Access { mode: copy.mode, uid, gid },
            },
            why: format!("files: {}", copy.src.display()),
            // Nobody knows what it holds; what only its owner may read on
            // the node is not for a terminal either.
            secret: copy.mode & 0o077 == 0,
        });
    }
    Ok(edits)
}

/// What the node sees below the boot mount lies on the boot partition.
fn place(dest: &str, boot_mount: &str) -> (Part, String) {
    match dest.strip_prefix(boot_mount) {
        Some(below) if below.starts_with('/') => (Part::Boot, below.to_owned()),
        _ => (Part::Root, dest.to_owned()),
    }
}

fn owner(
    copy: &FileCopy,
    account: &Account,
) -> Result<(u32, u32), CustomError> {
    let (user, group) = match copy.owner.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (copy.owner.as_str(), None),
    };
    let unknown = |what, name: &str| CustomError::Owner {
        dest: copy.dest.clone(),
        what,
        name: name.to_owned(),
    };
    let (uid, primary) =
        account.user(user).ok_or_else(|| unknown("user", user))?;
    let gid = match group {
        Some(group) => {
            account.group(group).ok_or_else(|| unknown("group", group))?
        }
        None => primary,
    };
    Ok((uid, gid))
}

#[cfg(test)]
mod tests {
    use super::place;
    use crate::profile::Part;

    #[test]
    fn paths_below_the_boot_mount_lie_on_the_boot_partition() {
        let at = |dest| place(dest, "/boot/firmware");
        assert_eq!(at("/boot/firmware/x"), (Part::Boot, "/x".to_owned()));
        let elsewhere = "/boot/firmware2/x";
        assert_eq!(at(elsewhere), (Part::Root, elsewhere.to_owned()));
        assert_eq!(at("/etc/x"), (Part::Root, "/etc/x".to_owned()));
    }
}
