//! Base images for nodes: chosen by what the user named, fetched, opened
//! once for all nodes that want the same.

mod args;
mod choice;
mod listed;

pub(super) use args::{CacheArgs, ImageArgs};
pub(super) use listed::{catalog, updates_path, wanted};

use std::{
    cell::OnceCell,
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    downloads::{Order, fetch_all},
    error::{CommandError, Kind, Result},
};
use crate::{
    base::{
        cache::{Cache, Cached, Wanted},
        catalog::{Catalog, Entry},
        digest::Sha256,
        image::{Image, ImageError},
        signature::{Keyring, Verification},
    },
    inventory::Node,
    ui::{Report, Ui},
};
use choice::Choice;

/// The base images of one run.
pub(super) struct Shelf {
    args: ImageArgs,
    /// Where the inventory is: its relative paths begin there.
    folder: PathBuf,
    /// Read when something in it is named: `demo` and files need none.
    catalog: OnceCell<Catalog>,
    /// Read when an image may be signed.
    keyring: OnceCell<Keyring>,
}

impl Shelf {
    pub(super) fn new(args: &ImageArgs, folder: &Path) -> Self {
        Self {
            args: args.clone(),
            folder: folder.to_owned(),
            catalog: OnceCell::new(),
            keyring: OnceCell::new(),
        }
    }

    /// Returns the cache, where there is a place for one.
    pub(super) fn cache(&self) -> Option<Cache> {
        self.args.cache().ok()
    }

    /// Returns the image of each node. What is missing is downloaded, several
    /// at a time; nodes that want the same share one.
    pub(super) fn get(
        &self,
        nodes: &[&Node],
        ui: &Ui,
    ) -> Result<Vec<Arc<Image>>> {
        let mut choices = Vec::new();
        // With the first node that wants it, and the names of all.
        let mut wanting = BTreeMap::<Choice, (&Node, String)>::new();
        for node in nodes {
            let choice = self.choose(node)?;
            wanting
                .entry(choice.clone())
                .and_modify(|(_, names)| {
                    names.push_str(", ");
                    names.push_str(&node.name);
                })
                .or_insert_with(|| (node, node.name.clone()));
            choices.push(choice);
        }
        let mut images = BTreeMap::new();
        let (mut ordered, mut orders) = (Vec::new(), Vec::new());
        for (choice, (node, names)) in &wanting {
            let error = |error| image_error(names, &error);
            let (mut elsewhere, mut if_gone) = (None, None);
            let (name, wanted) = match choice {
                Choice::Demo => {
                    let image = Image::demo().map_err(error)?;
                    images.insert(choice, Arc::new(image));
                    continue;
                }
                Choice::File(path, sha256) => {
                    let image = self.local(names, path, *sha256, ui)?;
                    images.insert(choice, Arc::new(image));
                    continue;
                }
                Choice::Catalog(id) => {
                    let entry = self.entry(names, id)?;
                    elsewhere = entry.superseded().map(|it| wanted(&it));
                    if_gone = Some(self.if_gone(names, entry));
                    (id.as_str(), wanted(entry))
                }
                Choice::Url(url, sha256) => {
                    (file_name(url), wanted_url(url, *sha256))
                }
            };
            ordered.push(choice);
            orders.push(Order {
                name: name.to_owned(),
                wanted,
                elsewhere,
                if_gone,
                options: self.args.options(node),
                nodes: names.clone(),
            });
        }
        if !orders.is_empty() {
            let cache = self.args.cache()?;
            let keyring = self.keyring(&orders, ui)?;
            let fetched = fetch_all(&cache, keyring, &orders, ui)?;
            let fetched = orders.iter().zip(fetched);
            for (choice, (order, cached)) in ordered.into_iter().zip(fetched) {
                warn_unsigned(order, &cached, ui);
                if cached.summed {
                    ui.say(&format!(
                        "{} had no checksums in the cache: it was read whole, \
                         and has them now",
                        order.name
                    ));
                }
                let image = self.open(choice, order, cached)?;
                images.insert(choice, Arc::new(image));
            }
        }
        // Each was put there just now.
        Ok(choices.iter().map(|choice| Arc::clone(&images[choice])).collect())
    }

    fn keyring(&self, orders: &[Order], ui: &Ui) -> Result<&Keyring> {
        if let Some(keyring) = self.keyring.get() {
            return Ok(keyring);
        }
        let keyring = match orders.iter().any(|o| o.wanted.signed.is_some()) {
            true => self.args.keys.load(ui)?,
            false => Keyring::default(),
        };
        Ok(self.keyring.get_or_init(|| keyring))
    }

    /// Opens a file, and compares it with the digest that is known of it.
    fn local(
        &self,
        nodes: &str,
        path: &Path,
        expected: Option<Sha256>,
        ui: &Ui,
    ) -> Result<Image> {
        // A raw image needs none.
        let cache = self.args.cache().ok();
        let bar = ui.bar(&path.display().to_string());
        let image = Image::local(path, cache.as_ref(), &*bar)
            .map_err(|error| image_error(nodes, &error))?;
        let Some(expected) = expected else { return Ok(image) };
        let failed = |error| image_error(nodes, &error);
        let locked = image.locked(cache.as_ref(), &*bar).map_err(|source| {
            failed(ImageError::Io { path: path.to_owned(), source })
        })?;
        let found = locked.download_sha256.unwrap_or(locked.sha256);
        if found == expected {
            return Ok(image);
        }
        let report = Report::new(format!("no usable image for {nodes}"))
            .cause(format!(
                "the SHA-256 of {} is {found} instead of {expected}",
                path.display()
            ))
            .hint(
                "the file is not the one that was expected: do not use it, \
                 or correct the SHA-256",
            );
        Err(CommandError::new(Kind::Verification, report))
    }

    fn open(
        &self,
        choice: &Choice,
        order: &Order,
        cached: Cached,
    ) -> Result<Image> {
        let image = Image::cached(&order.name, cached)
            .map_err(|error| image_error(&order.nodes, &error))?;
        if let Choice::Catalog(id) = choice {
            let entry = self.entry(&order.nodes, id)?;
            check_expected(&order.nodes, entry, &image)?;
        }
        Ok(image)
    }

    /// Says what to do where the vendor no longer has an image.
    fn if_gone(&self, nodes: &str, entry: &Entry) -> String {
        let newer = self.catalog.get().and_then(|it| it.newer(entry));
        let take = match newer {
            Some(newer) => format!(
                "take a newer one; newer: {} (`image` of {nodes}, or --image)",
                newer.id
            ),
            None => "nothing newer is known here".to_owned(),
        };
        format!(
            "the vendor no longer has it; {take}; `piflash images update` \
             asks the vendors which images there are"
        )
    }

    /// Finds an image of the catalogue for nodes of these names.
    fn entry(&self, nodes: &str, name: &str) -> Result<&Entry> {
        let catalog = match self.catalog.get() {
            Some(catalog) => catalog,
            None => {
                let read = catalog(self.args.cache().ok().as_ref())?;
                self.catalog.get_or_init(|| read)
            }
        };
        catalog.find(name).map_err(|unknown| {
            let what = format!("no base image for {nodes}");
            let report = Report::new(what).because(&unknown).hint(
                "piflash images lists what there is; a path has a `/` in it \
                 or ends with .img, .xz, .gz, .zst or .zip",
            );
            CommandError::new(Kind::Usage, report)
        })
    }
}

/// Says why a vendor's signature did not prove an image.
fn warn_unsigned(order: &Order, cached: &Cached, ui: &Ui) {
    if let Some(why) = &cached.unsigned {
        ui.warn(&format!(
            "{} is verified by {}, not by its vendor's signature: {why}",
            order.name, cached.verified
        ));
    }
}

/// Returns what the cache needs to know of an image behind a URL.
fn wanted_url(url: &str, sha256: Option<Sha256>) -> Wanted {
    Wanted {
        url: url.to_owned(),
        download_sha256: sha256,
        download_size: None,
        image_sha256: None,
        image_size: None,
        trust: Verification::PinnedHash,
        signed: None,
    }
}

fn file_name(url: &str) -> &str {
    let name = url.rsplit('/').next().unwrap_or(url);
    name.split(['?', '#']).next().unwrap_or(name)
}

/// A catalogue's row and the image behind it must agree on what it is.
fn check_expected(nodes: &str, entry: &Entry, image: &Image) -> Result<()> {
    let expected = entry.expected();
    let (os, architecture) = (image.facts.os.flavour, image.facts.architecture);
    if (os, architecture) == (expected.flavour, expected.architecture) {
        return Ok(());
    }
    let report =
        Report::new(format!("no usable image for {nodes}")).cause(format!(
            "{} should be {:?} for {}, but is {os:?} for {architecture}",
            entry.id, expected.flavour, expected.architecture
        ));
    Err(CommandError::new(Kind::Verification, report))
}

fn image_error(nodes: &str, error: &ImageError) -> CommandError {
    let what = format!("no usable image for {nodes}");
    let report = Report::new(what.as_str()).because(error);
    match error {
        ImageError::NoCache { .. } => CommandError::new(
            Kind::Failed,
            report.hint("give a directory: --cache-dir, or PIFLASH_CACHE"),
        ),
        ImageError::Local(error) => {
            let kind = match error.is_mismatch() {
                true => Kind::Verification,
                false => Kind::Failed,
            };
            CommandError::new(kind, report.hint(error.hint()))
        }
        _ => CommandError::failed(what, error),
    }
}
