use std::{collections::BTreeMap, io};

use serde_json::{Value, json};

use super::ImagesArgs;
use crate::{
    base::{
        cache::Cache,
        catalog::{Cached, Catalog, Entry},
        signature::Verification,
    },
    commands::{
        error::{CommandError, Result},
        shelf::{catalog, wanted},
        workshop::build_time,
    },
    ui::{Column, Ui, table},
};

/// The format of `--json`.
const VERSION: u32 = 1;

/// Returns what the cache has of each image of the catalogue, by id.
fn in_cache(
    catalog: &Catalog,
    cache: &Cache,
) -> io::Result<BTreeMap<String, Cached>> {
    let have = cache.list()?;
    let mut found = BTreeMap::new();
    for entry in catalog.entries() {
        let wanted = wanted(entry);
        let Some(cached) = have.iter().find(|c| wanted.matches(c)) else {
            continue;
        };
        let state = Cached {
            bytes: cache.size_on_disk(cached),
            fetched: i64::try_from(cached.fetched).unwrap_or(i64::MAX),
            verification: wanted.proven(cached),
        };
        found.insert(entry.id.clone(), state);
    }
    Ok(found)
}

/// Prints the catalogue.
pub(super) fn list(args: &ImagesArgs, ui: &Ui) -> Result<()> {
    let failed = "cannot list images";
    let cache = args.cache.cache()?;
    let catalog = catalog(Some(&cache))?;
    let cached = in_cache(&catalog, &cache)
        .map_err(|e| CommandError::failed(failed, &e))?;
    let listing = Listing {
        entries: matching(&catalog, args.filter.as_deref())?,
        catalog: &catalog,
        cache: Some(&cached),
        now: build_time()?,
    };
    let text = if args.json {
        format!("{:#}\n", listing.json())
    } else {
        listing.text()
    };
    ui.print(&text).map_err(|error| CommandError::output(&error))
}

fn matching<'a>(
    catalog: &'a Catalog,
    filter: Option<&str>,
) -> Result<Vec<&'a Entry>> {
    let part = filter.unwrap_or_default().to_lowercase();
    let matches = |entry: &&Entry| {
        let aliases = catalog.aliases_of(&entry.id);
        entry.id.contains(&part)
            || aliases.iter().any(|alias| alias.contains(&part))
    };
    let found: Vec<_> = catalog.entries().iter().filter(matches).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let error = catalog.find(&part).err();
    let what = error.map(|error| error.to_string()).unwrap_or_default();
    Err(CommandError::usage(what).hint("piflash images lists all"))
}

/// What is shown of the catalogue, and of the cache where that is known.
struct Listing<'a> {
    entries: Vec<&'a Entry>,
    catalog: &'a Catalog,
    /// By id.
    cache: Option<&'a BTreeMap<String, Cached>>,
    /// Seconds since the epoch.
    now: i64,
}

impl Listing<'_> {
    /// A table of the images, and one of what the aliases now mean.
    fn text(&self) -> String {
        let mut columns = vec![
            Column::left("ID"),
            Column::left("DATE"),
            Column::right("AGE"),
            Column::left("ARCH"),
            Column::right("DOWNLOAD"),
            Column::right("IMAGE"),
        ];
        if self.cache.is_some() {
            columns.extend([Column::right("CACHED"), Column::left("VERIFIED")]);
        }
        let rows: Vec<_> = self.entries.iter().map(|e| self.row(e)).collect();
        let mut aliases = Vec::new();
        for entry in &self.entries {
            for alias in self.catalog.aliases_of(&entry.id) {
                aliases.push(vec![alias.to_owned(), entry.id.clone()]);
            }
        }
        let mut text = table(&columns, &rows);
        if !aliases.is_empty() {
            let columns = [Column::left("ALIAS"), Column::left("NOW MEANS")];
            text.push('\n');
            text.push_str(&table(&columns, &aliases));
        }
        text
    }

    fn row(&self, entry: &Entry) -> Vec<String> {
        let unknown = || "?".to_owned();
        let mut row = vec![
            entry.id.clone(),
            entry.date.map_or_else(unknown, |date| date.to_string()),
            self.age(entry).map_or_else(unknown, age),
            entry.arch.to_string(),
            entry.download.size.map_or_else(unknown, mebibytes),
            entry.image.size.map_or_else(unknown, mebibytes),
        ];
        if let Some(cache) = self.cache {
            row.extend(match cache.get(&entry.id) {
                Some(cached) => [
                    mebibytes(cached.bytes),
                    word(&cached.verification).to_owned(),
                ],
                None => ["-".to_owned(), "-".to_owned()],
            });
        }
        row
    }

    fn json(&self) -> Value {
        let images: Vec<Value> =
            self.entries.iter().map(|e| self.image(e)).collect();
        json!({"version": VERSION, "images": images})
    }

    fn image(&self, entry: &Entry) -> Value {
        let mut image = json!({
            "id": entry.id,
            "aliases": self.catalog.aliases_of(&entry.id),
            "os": entry.os,
            "release": entry.release,
            "architecture": entry.arch,
            "date": entry.date,
            "age_days": self.age(entry),
            "url": entry.url,
            "download": {
                "size": entry.download.size,
                "sha256": entry.download.sha256,
            },
            "image": {
                "size": entry.image.size,
                "sha256": entry.image.sha256,
            },
            "init_format": entry.init_format,
        });
        if let Some(cache) = self.cache {
            image["cached"] = match cache.get(&entry.id) {
                Some(cached) => json!({
                    "bytes": cached.bytes,
                    "fetched": cached.fetched,
                    "verification": cached.verification,
                }),
                None => Value::Null,
            };
        }
        image
    }

    /// Days since the image was made; none for one of tomorrow.
    fn age(&self, entry: &Entry) -> Option<u64> {
        let today = self.now.div_euclid(86_400);
        u64::try_from(today.checked_sub(entry.date?.days())?).ok()
    }
}

/// `48d`, `11mo`, `3y`
fn age(days: u64) -> String {
    match days {
        0..100 => format!("{days}d"),
        100..730 => format!("{}mo", days / 30),
        _ => format!("{}y", days / 365),
    }
}

/// Whole ones, rounded up: narrower than what [`crate::ui::bytes`] gives.
fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// A word for a column; `--json` has all of it.
fn word(verification: &Verification) -> &'static str {
    match verification {
        Verification::Signature { .. } => "signature",
        Verification::PinnedHash => "pinned",
        Verification::HashOnly => "hash",
        Verification::None => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_792_000_000;

    /// What there is of buster, which gets no more images, with one of them
    /// in the cache.
    fn with_cache(verification: Verification) -> (String, Value) {
        let catalog = Catalog::embedded().unwrap();
        let cached =
            Cached { bytes: 1_500_000_000, fetched: NOW - 5, verification };
        let id = "raspios-buster-armhf-2021-05-07".to_owned();
        let cache = BTreeMap::from([(id, cached)]);
        let listing = Listing {
            entries: matching(&catalog, Some("buster-armhf-2021")).unwrap(),
            catalog: &catalog,
            cache: Some(&cache),
            now: NOW,
        };
        (listing.text(), listing.json())
    }

    #[test]
    fn the_cache_has_columns_of_its_own() {
        let fingerprint = "F4AADD86".to_owned();
        let (text, json) = with_cache(Verification::Signature { fingerprint });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "ID                               DATE        AGE  ARCH   \
                 DOWNLOAD     IMAGE    CACHED  VERIFIED",
                "raspios-buster-armhf-2021-12-02  2021-12-02   4y  armhf   \
                 450 MiB  1800 MiB         -  -",
                "raspios-buster-armhf-2021-05-07  2021-05-07   5y  armhf   \
                 445 MiB  1788 MiB  1431 MiB  signature",
            ]
        );
        let images = json["images"].as_array().unwrap();
        assert_eq!(images[0]["cached"], Value::Null);
        assert_eq!(
            images[1]["cached"],
            json!({
                "bytes": 1_500_000_000,
                "fetched": NOW - 5,
                "verification": {"by": "signature", "fingerprint": "F4AADD86"},
            })
        );
    }

    #[test]
    fn every_state_has_a_word_that_fits() {
        for (state, word) in [
            (Verification::PinnedHash, "pinned"),
            (Verification::HashOnly, "hash"),
            (Verification::None, "none"),
        ] {
            let (text, _) = with_cache(state);
            assert!(text.trim_end().ends_with(word), "{text}");
        }
    }

    #[test]
    fn the_whole_table_fits_100_columns() {
        let catalog = Catalog::embedded().unwrap();
        let cached = |entry: &Entry| {
            let fingerprint = "F4AADD86".to_owned();
            let verification = Verification::Signature { fingerprint };
            let cached =
                Cached { bytes: 9_000_000_000, fetched: 0, verification };
            (entry.id.clone(), cached)
        };
        let cache = catalog.entries().iter().map(cached).collect();
        let listing = Listing {
            entries: catalog.entries().iter().collect(),
            catalog: &catalog,
            cache: Some(&cache),
            now: NOW,
        };
        let text = listing.text();
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }

    #[test]
    fn ages_are_short() {
        for (days, expected) in [
            (0, "0d"),
            (99, "99d"),
            (100, "3mo"),
            (729, "24mo"),
            (730, "2y"),
            (4000, "10y"),
        ] {
            assert_eq!(age(days), expected);
        }
        assert_eq!(mebibytes(0), "0 MiB");
        assert_eq!(mebibytes(1), "1 MiB");
    }
}
