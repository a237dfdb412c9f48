use std::time::Duration;

use clap::Args;

use crate::{
    base::{artefact::Store, cache::Prune},
    commands::{
        error::{CommandError, Result},
        shelf::CacheArgs,
    },
    ui::{Ui, bytes},
};

/// Remove downloaded images and artefacts, and what broken runs left
#[derive(Args, Debug)]
pub(super) struct PruneArgs {
    /// Only what was downloaded more than so many days ago
    #[arg(long, value_name = "DAYS")]
    older_than: Option<u32>,

    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    cache: CacheArgs,
}

/// Removes from the cache, and says what.
pub(super) fn prune(args: &PruneArgs, ui: &Ui) -> Result<()> {
    let days = args.older_than.map(u64::from);
    let what = Prune {
        older_than: days
            .map(|days| Duration::from_secs(days.saturating_mul(86_400))),
        dry_run: args.dry_run,
    };
    let cache = args.cache.cache()?;
    let failed = |e| CommandError::failed("cannot prune the cache", &e);
    let pruned = cache.prune(&what).map_err(failed)?;
    let (artefacts, freed) = Store::of(&cache).prune(&what).map_err(failed)?;
    let verb = if args.dry_run { "would remove" } else { "removed" };
    for entry in &pruned.entries {
        ui.say(&format!("{verb} {}", entry.url));
    }
    for artefact in &artefacts {
        ui.say(&format!("{verb} {artefact}"));
    }
    ui.say(&format!(
        "{verb} {} images, {} artefacts, {} prepared bases and {} other \
         files: {}",
        pruned.entries.len(),
        artefacts.len(),
        pruned.prepared.len(),
        pruned.leftovers,
        bytes(pruned.freed.saturating_add(freed))
    ));
    Ok(())
}
