//! Small files that are there whole, or as they were before.

use std::{
    io::{self, Write},
    path::Path,
};

use tempfile::NamedTempFile;

/// Puts `content` at `path`, in place of what was there.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
