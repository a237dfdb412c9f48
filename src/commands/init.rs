use std::{io, path::Path};

use clap::Args;

use super::error::{CommandError, Result};
use crate::{base::whole, inventory, ui::Ui};

/// Write a commented inventory to edit
#[derive(Args, Debug)]
pub(super) struct InitArgs {}

/// Writes the inventory; a file that is there stays as it is.
pub(super) fn init(path: &Path, _args: &InitArgs, ui: &Ui) -> Result<()> {
    let template = inventory::template();
    whole::create(path, template.as_bytes()).map_err(|error| {
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
