//! Small files that are there whole, or as they were before; and files that
//! are gone.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use tempfile::NamedTempFile;

/// Puts `content` at `path`, in place of what was there.
///
/// # Errors
///
/// Those of the file system; then what was there stays.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    put(path, content, |file| Ok(file.persist(path)?))
}

/// Puts `content` at `path`, where there is nothing yet.
///
/// # Errors
///
/// Those of the file system; `AlreadyExists` where there is something.
pub fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    put(path, content, |file| Ok(file.persist_noclobber(path)?))
}

/// Removes a file that may be gone already.
///
/// # Errors
///
/// Those of the file system.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn put(
    path: &Path,
    content: &[u8],
    persist: impl FnOnce(NamedTempFile) -> io::Result<File>,
) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    persist(file)?;
    // Without this the name may be lost in a power cut.
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_replaces_and_the_other_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let read = || std::fs::read_to_string(&path).unwrap();
        create(&path, b"one").unwrap();
        let error = create(&path, b"two").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(), "one");
        write(&path, b"three").unwrap();
        assert_eq!(read(), "three");
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(names.len(), 1);
    }
}
