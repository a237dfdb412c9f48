use std::{
    io::{self, Write},
    path::Path,
};

use clap::Args;
use tempfile::NamedTempFile;

use super::error::{CommandError, Result};
use crate::{inventory, ui::Ui};

/// Write a commented inventory to edit
#[derive(Args, Debug)]
pub(super) struct InitArgs {}

/// Writes the inventory; a file that is there stays as it is.
pub(super) fn init(path: &Path, _args: &InitArgs, ui: &Ui) -> Result<()> {
    write_new(path, inventory::template().as_bytes()).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            CommandError::usage(format!("{} is there already", path.display()))
                .hint("edit it, or give another name: piflash -i FILE init")
        } else {
            let what = format!("cannot write {}", path.display());
            CommandError::failed(what, &error)
        }
    })?;
    ui.say(&format!(
        "{}: edit the addresses and groups, then: piflash plan node1",
        path.display()
    ));
    Ok(())
}

/// Creates `path` with all of `content`, or not at all.
fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    Ok(())
}
