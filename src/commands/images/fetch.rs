use std::{collections::BTreeSet, path::Path};

use clap::Args;

use crate::{
    base::{
        artefact::ArtefactFile,
        image::{Image, Origin},
    },
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
    let fetched = workshop.fetch(&workshop.names(&args.nodes), ui)?;
    let images: BTreeSet<_> =
        fetched.iter().map(|(image, _)| line(image)).collect();
    let artefacts = fetched.iter().flat_map(|(_, gathered)| &gathered.files);
    let artefacts: BTreeSet<_> = artefacts.map(artefact).collect();
    for line in images.iter().chain(&artefacts) {
        ui.say(line);
    }
    Ok(())
}

fn artefact(file: &ArtefactFile) -> String {
    let ArtefactFile { name, version, url, .. } = file;
    match version {
        Some(version) => format!("{name} {version}: {url}"),
        None => format!("{name}: {url}"),
    }
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
