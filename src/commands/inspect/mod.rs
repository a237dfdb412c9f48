//! `piflash inspect`: what is on an image or a card.

mod content;
mod json;
mod layout;
mod listing;
mod place;
mod state;
mod summary;

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
};

use clap::Args;

use super::{
    error::{CommandError, Kind, Result},
    look::{LookArgs, Looked},
    mask::Mask,
    view::View,
};
use crate::{
    fs::{
        FileKind, FsError,
        tree::{follow, resolve},
    },
    ui::{Report, Ui},
};
pub(super) use listing::time;
use place::Place;

/// Show what is on an image or a card: partitions, file systems, the system,
/// what piflash put there, files
#[derive(Args, Debug)]
pub(super) struct InspectArgs {
    /// A disk image (.img, .img.xz, .img.zst, .img.gz, .zip), a card's
    /// device, `demo`, or an image of `piflash images` that is in the cache
    #[arg(value_name = "IMAGE")]
    image: PathBuf,

    /// A file or directory: `boot:/config.txt`, `root:/etc`, `2:/etc` on
    /// partition 2, or a path as the node sees it. Links are followed inside
    /// the partition
    #[arg(value_name = "PATH")]
    path: Option<OsString>,

    /// For programs
    #[arg(long)]
    json: bool,

    /// How deep directories are listed [default: all of it]
    #[arg(long, value_name = "LEVELS", requires = "path")]
    depth: Option<usize>,

    /// Show keys, password hashes and tokens as well
    #[arg(long)]
    show_secrets: bool,

    #[command(flatten)]
    look: LookArgs,
}

/// Prints what is on an image.
pub(super) fn inspect(args: &InspectArgs, ui: &Ui) -> Result<()> {
    let looked = Looked::open(&args.image, &args.look, ui)?;
    let Some(path) = &args.path else {
        let text = if args.json {
            format!("{:#}\n", json::summary(&looked))
        } else {
            summary::summary(&looked, ui.width())
        };
        return ui.print(&text).map_err(|e| CommandError::output(&e));
    };
    let place = Place::parse(path.as_encoded_bytes(), &looked)?;
    let mut out = ui.output();
    at(args, &looked, &place, &mut out, ui)?;
    out.flush().map_err(|error| CommandError::output(&error))
}

fn at(
    args: &InspectArgs,
    looked: &Looked,
    place: &Place,
    out: &mut dyn Write,
    ui: &Ui,
) -> Result<()> {
    let shown = place.shown(looked);
    let unreadable = |error: &FsError| {
        CommandError::failed(format!("cannot read {shown}"), error)
    };
    let Some(tree) = looked.image.tree(place.number) else {
        return Err(CommandError::usage(format!(
            "partition {} has no file system that piflash knows",
            place.number
        )));
    };
    let tree = tree.map_err(|error| unreadable(&error))?;
    let found =
        resolve(&*tree, &place.path).map_err(|error| unreadable(&error))?;
    let Some(node) = found else {
        return Err(CommandError::usage(format!("there is no {shown}"))
            .hint("without a path after the colon, all is listed: root:/"));
    };
    let node = match args.json {
        true => node,
        false => follow(&*tree, node).map_err(|error| unreadable(&error))?,
    };
    let mask = Mask::new(looked.good_manifest(), args.show_secrets);
    let part = looked.part(place.number);
    let view = View { tree: &*tree, mask: &mask, part };
    if args.json {
        return json::listing(&view, looked, place, node, args.depth, out);
    }
    match node.kind {
        FileKind::File => content::show(&view, &node, out, ui),
        _ => listing::list(&view, node, args.depth, out, ui),
    }
}

fn output(error: io::Error) -> CommandError {
    CommandError::output(&error)
}

/// Something could not be read, and everything else was shown.
fn incomplete(count: usize) -> CommandError {
    let what = format!("{count} of the entries cannot be read");
    let report = Report::new(what).hint(
        "the file system is damaged: e2fsck or fsck.vfat may repair a copy",
    );
    CommandError::new(Kind::Failed, report)
}
