use clap::Args;

use crate::{
    commands::{
        error::{CommandError, Kind, Result},
        shelf::CacheArgs,
    },
    ui::{Report, Ui},
};

/// Read every image in the cache and compare its digest
#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    cache: CacheArgs,
}

/// Reads the cache; what is damaged is named.
pub(super) fn verify(args: &VerifyArgs, ui: &Ui) -> Result<()> {
    let cache = args.cache.cache()?;
    let failed = |e| CommandError::failed("cannot verify the cache", &e);
    let count = cache.list().map_err(failed)?.len();
    let damaged = cache.verify(&*ui.bar("cache")).map_err(failed)?;
    if damaged.is_empty() {
        ui.say(&format!("{count} images in the cache, all as they were"));
        return Ok(());
    }
    let report = damaged
        .iter()
        .fold(Report::new("the cache is damaged"), |report, entry| {
            let path = cache.image_path(entry.image_sha256);
            report.cause(format!("{} of {}", path.display(), entry.url))
        })
        .hint("the next build that needs one of them downloads it again");
    Err(CommandError::new(Kind::Verification, report))
}
