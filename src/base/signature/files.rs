//! Where keyrings lie.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Keyrings that distributions install and that have a vendor's key. Debian's
/// and Ubuntu's package ubuntu-keyring has that of Ubuntu's images in the
/// first; Ubuntu's has it by itself in the second as well. The package
/// raspberrypi-archive-keyring has apt's key, not that of the downloads.
pub const SYSTEM_KEYRINGS: &[&str] = &[
    "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
    "/etc/apt/trusted.gpg.d/ubuntu-keyring-2012-cdimage.gpg",
];

/// Returns the user's directory of keyrings: `piflash/keyrings` below
/// `XDG_CONFIG_HOME` or below `.config` in the home directory.
#[must_use]
pub fn user_keyrings(get: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    // A relative one is to be ignored: XDG Base Directory Specification.
    let base = get("XDG_CONFIG_HOME").filter(|dir| dir.is_absolute());
    let home = || get("HOME").filter(|dir| !dir.as_os_str().is_empty());
    let base = base.or_else(|| Some(home()?.join(".config")));
    Some(base?.join("piflash").join("keyrings"))
}

/// Returns the files `*.gpg` and `*.asc` of a directory, sorted; one that is
/// missing has none.
///
/// # Errors
///
/// The directory cannot be read.
pub fn keyring_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "gpg" || end == "asc") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_keyrings() {
        let usual = |list: &[(&str, &str)]| {
            user_keyrings(|name| {
                let found = list.iter().find(|(n, _)| *n == name);
                found.map(|(_, value)| PathBuf::from(value))
            })
        };
        let dir = |text: &str| Some(PathBuf::from(text));
        let (home, xdg) = (("HOME", "/home/me"), ("XDG_CONFIG_HOME", "/x"));
        let in_home = dir("/home/me/.config/piflash/keyrings");
        assert_eq!(usual(&[home]), in_home);
        assert_eq!(usual(&[home, xdg]), dir("/x/piflash/keyrings"));
        assert_eq!(usual(&[home, ("XDG_CONFIG_HOME", "x")]), in_home);
        assert_eq!(usual(&[]), None);

        let dir = tempfile::tempdir().unwrap();
        for name in ["b.asc", "a.gpg", "a.gpg~", "README"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let found = keyring_files(dir.path()).unwrap();
        assert_eq!(found, ["a.gpg", "b.asc"].map(|n| dir.path().join(n)));
        assert!(keyring_files(&dir.path().join("none")).unwrap().is_empty());
    }
}
