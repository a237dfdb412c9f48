//! What `/proc` tells of mounts and swap.

use super::DiskError;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A mount of this process's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Of the file system; invented for some, as of btrfs.
    pub(super) number: (u32, u32),
    /// What was mounted: mostly the path of a device.
    pub(super) source: PathBuf,
    pub(super) at: PathBuf,
}

/// Reads mountinfo, see proc_pid_mountinfo(5).
pub(super) fn mounts(root: &Path) -> Result<Vec<Mount>, DiskError> {
    let text = read(&root.join("proc/self/mountinfo"))?;
    Ok(text.lines().filter_map(mount).collect())
}

fn mount(line: &str) -> Option<Mount> {
    // Any number of optional fields stands before the dash.
    let (head, tail) = line.split_once(" - ")?;
    let mut head = head.split(' ').skip(2);
    let number = super::number(head.next()?)?;
    let at = unescaped(head.nth(1)?);
    let source = unescaped(tail.split(' ').nth(1)?);
    Some(Mount { number, source, at })
}

/// Reads the paths of swap devices and files.
pub(super) fn swaps(root: &Path) -> Result<Vec<PathBuf>, DiskError> {
    let path = root.join("proc/swaps");
    // A kernel without swap has none.
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = read(&path)?;
    let rows = text.lines().skip(1);
    Ok(rows.filter_map(|row| row.split(' ').next()).map(unescaped).collect())
}

fn read(path: &Path) -> Result<String, DiskError> {
    let error = |source: io::Error| {
        let path = path.to_owned();
        DiskError::Io { path, source }
    };
    let bytes = fs::read(path).map_err(error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Resolves the octal numbers that stand for blanks and backslashes.
fn unescaped(text: &str) -> PathBuf {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let code = after.get(..3).and_then(|c| u8::from_str_radix(c, 8).ok());
        match code {
            Some(code) => {
                out.push(char::from(code));
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    PathBuf::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_mountinfo() {
        let line = "36 35 98:0 /mnt1 /a\\040b rw,noatime master:1 shared:2 - \
                    ext3 /dev/root\\134x rw,errors=continue";
        let found = mount(line).unwrap();
        assert_eq!(found.number, (98, 0));
        assert_eq!(found.at, Path::new("/a b"));
        assert_eq!(found.source, Path::new("/dev/root\\x"));
        assert_eq!(mount("36 35 98:0 /"), None);
        assert_eq!(unescaped("\\9"), Path::new("\\9"));
    }
}
