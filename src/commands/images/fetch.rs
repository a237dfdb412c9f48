use std::{collections::BTreeSet, path::Path};

use clap::Args;

use crate::{
    base::image::{Image, Origin},
    commands::{error::Result, shelf::ImageArgs, workshop::Workshop},
    ui::Ui,
};

/// Download what the nodes want, so that builds need no network
#[derive(Args, Debug)]
pub(super) struct FetchArgs {
    /// The nodes, by their names in the inventory [default: all]
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,

    #[command(flatten)]
    image: ImageArgs,
}

/// Fills the cache, and says with what.
pub(super) fn fetch(inventory: &Path, args: &FetchArgs, ui: &Ui) -> Result<()> {
    let workshop = Workshop::open(inventory, &args.image, ui)?;
    let images = workshop.images(&workshop.names(&args.nodes), ui)?;
    let said: BTreeSet<_> = images.iter().map(|image| line(image)).collect();
    for line in said {
        ui.say(&line);
    }
    Ok(())
}

fn line(image: &Image) -> String {
    let proof = match &image.origin {
        Origin::Demo => "part of the program".to_owned(),
        Origin::File(path) => format!("{}, not copied", path.display()),
        Origin::Packed { path, .. } => {
            format!("{}, unpacked in the cache", path.display())
        }
        Origin::Download { verified, .. } => verified.to_string(),
    };
    let facts = &image.facts;
    let (os, architecture) = (&facts.os.pretty_name, facts.architecture);
    format!("{}: {os}, {architecture} ({proof})", image.name)
}
