use clap::Args;

use crate::{
    base::artefact::Store,
    commands::{
        error::{CommandError, Kind, Result},
        shelf::CacheArgs,
    },
    ui::{Report, Ui},
};

/// Read every image and artefact in the cache and compare its digest
#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    cache: CacheArgs,
}

/// Reads the cache; what is damaged is named.
pub(super) fn verify(args: &VerifyArgs, ui: &Ui) -> Result<()> {
    let cache = args.cache.cache()?;
    let failed = |e| CommandError::failed("cannot verify the cache", &e);
    let store = Store::of(&cache);
    let images = cache.list().map_err(failed)?.len();
    let artefacts = store.list().map_err(failed)?.len();
    let bar = ui.bar("cache");
    let damaged_images = cache.verify(&*bar).map_err(failed)?;
    let damaged_artefacts = store.verify(&*bar).map_err(failed)?;
    let damaged_packed = cache.verify_packed(&*bar).map_err(failed)?;
    let damaged_prepared = cache.verify_prepared(&*bar).map_err(failed)?;
    let mut damaged: Vec<String> = Vec::new();
    for entry in &damaged_images {
        let path = cache.image_path(entry.image_sha256);
        damaged.push(format!("{} of {}", path.display(), entry.url));
    }
    for file in &damaged_artefacts {
        let path = store.path(file.sha256);
        damaged.push(format!("{} of {file}", path.display()));
    }
    for path in &damaged_packed {
        damaged.push(format!("{}, a download (removed)", path.display()));
    }
    for entry in &damaged_prepared {
        let path = cache.prepared_path(entry);
        damaged.push(format!("{}, a prepared base", path.display()));
    }
    if damaged.is_empty() {
        ui.say(&format!(
            "{images} images and {artefacts} artefacts in the cache, all as \
             they were"
        ));
        return Ok(());
    }
    let report = damaged
        .into_iter()
        .fold(Report::new("the cache is damaged"), Report::cause)
        .hint("the next build that needs one of them downloads it again");
    Err(CommandError::new(Kind::Verification, report))
}
