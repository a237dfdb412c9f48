//! The catalogue of stock images, as this machine knows it.

use std::path::PathBuf;

use crate::{
    base::{
        cache::{Cache, Wanted},
        catalog::{Catalog, Entry},
    },
    commands::error::{CommandError, Result},
};

/// Returns the catalogue, with what lists have added since.
pub(in crate::commands) fn catalog(cache: Option<&Cache>) -> Result<Catalog> {
    let mut catalog = Catalog::embedded()
        .map_err(|e| CommandError::failed("cannot read the catalogue", &e))?;
    if let Some(cache) = cache {
        let path = updates_path(cache);
        catalog.load(&path).map_err(|e| {
            CommandError::failed("cannot read the updates of the catalogue", &e)
                .hint(format!(
                    "remove {}; piflash images update makes it anew",
                    path.display()
                ))
        })?;
    }
    Ok(catalog)
}

/// Where the cache has what lists have added to the catalogue.
pub(in crate::commands) fn updates_path(cache: &Cache) -> PathBuf {
    cache.dir().join("catalog.json")
}

/// Returns what the cache needs to know of an image of the catalogue.
pub(in crate::commands) fn wanted(entry: &Entry) -> Wanted {
    Wanted {
        url: entry.url.clone(),
        download_sha256: entry.download.sha256,
        download_size: entry.download.size,
        image_sha256: entry.image.sha256,
        image_size: entry.image.size,
        trust: entry.verification(),
        signed: Some(entry.signature()),
    }
}
