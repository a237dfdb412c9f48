use std::collections::BTreeSet;

use clap::Args;

use crate::{
    base::{
        cache::Cache,
        catalog::{
            Catalog, Entry, IMAGER_LIST, ImagerList, Os, parse_sha256sums,
        },
        fetch::{Client, FetchError, FetchOptions},
    },
    commands::{
        error::{CommandError, Kind, Result},
        shelf::{CacheArgs, catalog, updates_path},
    },
    ui::{Report, Ui},
};

/// The largest list that is read, in bytes; real ones have 200 KiB.
const LIMIT: u64 = 8 << 20;

/// Fetch the vendors' own lists: newer images, and digests not known yet
#[derive(Args, Debug)]
pub(super) struct UpdateArgs {
    /// Read only this list, in rpi-imager's format [default: Raspberry
    /// Pi's, and SHA256SUMS of every Ubuntu release that is known]
    #[arg(long, value_name = "URL")]
    list: Option<String>,

    #[command(flatten)]
    cache: CacheArgs,
}

/// Keeps beside the cache what the lists add to the catalogue. A list that
/// contradicts what is known adds nothing.
pub(super) fn update(args: &UpdateArgs, ui: &Ui) -> Result<()> {
    let cache = args.cache.cache()?;
    let mut catalog = catalog(Some(&cache))?;
    let list = args.list.as_deref().unwrap_or(IMAGER_LIST);
    let found = imager_list(list, ui)?;
    merge(&mut catalog, list, found, ui)?;
    if args.list.is_none() {
        for folder in ubuntu_folders(&catalog) {
            // Point releases move away when they are superseded.
            match ubuntu_sums(&folder) {
                Ok(found) => merge(&mut catalog, &folder, found, ui)?,
                Err(why) => ui.warn(&format!("{folder}SHA256SUMS: {why}")),
            }
        }
    }
    save(&catalog, &cache)
}

fn imager_list(url: &str, ui: &Ui) -> Result<Vec<Entry>> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        CommandError::failed(format!("cannot read the list {url}"), error)
    };
    let mut list = ImagerList::new(url);
    while let Some(next) = list.next_url().map(str::to_owned) {
        let bytes = fetch(&next).map_err(|e| failed(&e).hint(e.hint()))?;
        list.read(&bytes).map_err(|e| failed(&e))?;
    }
    ui.say(&format!(
        "{url}: {} images of other kinds, {} without a usable digest",
        list.foreign(),
        list.unusable()
    ));
    Ok(list.into_entries())
}

fn fetch(url: &str) -> std::result::Result<Vec<u8>, FetchError> {
    Client::new(url, &FetchOptions::default())?.text(url, LIMIT)
}

/// The folders of the Ubuntu images that are known, each with a SHA256SUMS.
fn ubuntu_folders(catalog: &Catalog) -> BTreeSet<String> {
    let ubuntu = |entry: &&Entry| entry.os == Os::Ubuntu;
    let folder = |entry: &Entry| {
        let (folder, _) = entry.url.rsplit_once('/')?;
        Some(format!("{folder}/"))
    };
    catalog.entries().iter().filter(ubuntu).filter_map(folder).collect()
}

fn ubuntu_sums(folder: &str) -> std::result::Result<Vec<Entry>, String> {
    let bytes = fetch(&format!("{folder}SHA256SUMS"))
        .map_err(|error| error.to_string())?;
    parse_sha256sums(folder, &bytes).map_err(|error| error.to_string())
}

fn merge(
    catalog: &mut Catalog,
    url: &str,
    found: Vec<Entry>,
    ui: &Ui,
) -> Result<()> {
    let added = catalog.merge(found).map_err(|error| {
        let what = format!("the list {url} contradicts the catalogue");
        let report = Report::new(what).because(&error).hint(
            "nothing was added; find out which of the two is right before \
             using either image",
        );
        CommandError::new(Kind::Verification, report)
    })?;
    ui.say(&format!(
        "{url}: {} new images, {} completed",
        added.images, added.completed
    ));
    Ok(())
}

fn save(catalog: &Catalog, cache: &Cache) -> Result<()> {
    let path = updates_path(cache);
    std::fs::create_dir_all(cache.dir())
        .map_err(|e| CommandError::failed("cannot make the cache", &e))?;
    catalog
        .save(&path)
        .map_err(|e| CommandError::failed("cannot keep the lists", &e))
}
