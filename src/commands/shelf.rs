//! Base images for nodes: chosen by what the user named, fetched, opened
//! once for all nodes that want the same.

use std::{
    cell::OnceCell,
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use minijinja::Value;

use super::{
    downloads::{Order, fetch_all},
    error::{CommandError, Kind, Result},
    keys::KeyArgs,
};
use crate::{
    base::{
        cache::{Cache, Cached, Wanted},
        catalog::{Catalog, Entry},
        digest::Sha256,
        fetch::{FetchOptions, Proxies},
        image::{Image, ImageError},
        lock::Lock,
        signature::{Keyring, Verification},
    },
    inventory::{Node, OsGroup},
    ui::{Report, Ui},
};

/// Which base image, and how it may be got.
#[derive(Args, Clone, Debug)]
pub(super) struct ImageArgs {
    /// The base image: an id or alias of `piflash images`, `demo`, the path
    /// of an .img, raw or as .xz, .gz, .zst or .zip, or a URL [default: the node's `image` in the
    /// inventory, else the newest of its OS group]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,

    /// SHA-256 of the file that --image names; a URL needs it
    #[arg(long, value_name = "HEX", requires = "image")]
    image_sha256: Option<Sha256>,

    /// Use no network: only images and artefacts that are in the cache
    #[arg(long)]
    offline: bool,

    /// Accept a URL without a SHA-256: nothing proves what it is
    #[arg(long)]
    insecure: bool,

    #[command(flatten)]
    keys: KeyArgs,

    #[command(flatten)]
    cache: CacheArgs,
}

impl ImageArgs {
    /// Returns how to download for a node.
    pub(super) fn options(&self, node: &Node) -> FetchOptions {
        let text = |variable: &str| {
            let value = node.rendered(variable, &Value::UNDEFINED).ok()??;
            value.as_str().map(str::to_owned)
        };
        FetchOptions {
            offline: self.offline,
            insecure: self.insecure,
            proxies: Proxies::from_environment().overridden(
                text("proxy_url").as_deref(),
                text("no_proxy").as_deref(),
            ),
            ..FetchOptions::default()
        }
    }

    /// Returns the cache.
    pub(super) fn cache(&self) -> Result<Cache> {
        self.cache.cache()
    }

    /// Returns where the cache is.
    pub(super) fn cache_args(&self) -> &CacheArgs {
        &self.cache
    }

    /// Returns the same with the image of the catalogue that `node` was
    /// built from, unless another is asked for: the newest may be newer.
    pub(super) fn recorded(&self, lock: &Lock, node: &str) -> Self {
        let mut this = self.clone();
        if let Some(image) = lock.image(node)
            && this.image.is_none()
            && image.download_sha256.is_some()
            && let Ok(catalog) = catalog(self.cache().ok().as_ref())
            && catalog.find(&image.name).is_ok_and(|e| e.id == image.name)
        {
            this.image = Some(image.name.clone());
        }
        this
    }
}

/// Where downloaded images are kept.
#[derive(Args, Clone, Debug)]
pub(super) struct CacheArgs {
    /// Where downloaded images are kept [default: piflash/ in
    /// $XDG_CACHE_HOME or ~/.cache]
    #[arg(long, value_name = "DIR", env = "PIFLASH_CACHE")]
    cache_dir: Option<PathBuf>,
}

impl CacheArgs {
    /// Returns the cache.
    pub(super) fn cache(&self) -> Result<Cache> {
        let get = |name: &str| env::var_os(name).map(PathBuf::from);
        self.cache_dir
            .clone()
            .or_else(|| Cache::usual_dir(get))
            .map(Cache::open)
            .ok_or_else(|| {
                CommandError::usage("there is no home directory for a cache")
                    .hint("give a directory: --cache-dir, or PIFLASH_CACHE")
            })
    }
}

/// What the user named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Choice {
    Demo,
    /// With the digest that the file has to have, where one is given.
    File(PathBuf, Option<Sha256>),
    /// An id of the catalogue.
    Catalog(String),
    Url(String, Option<Sha256>),
}

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
                    (id.as_str(), wanted(self.entry(names, id)?))
                }
                Choice::Url(url, sha256) => {
                    (file_name(url), wanted_url(url, *sha256))
                }
            };
            ordered.push(choice);
            orders.push(Order {
                name: name.to_owned(),
                wanted,
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

    /// `--image` counts from where the command runs, `image` of the
    /// inventory from where the inventory is.
    fn choose(&self, node: &Node) -> Result<Choice> {
        let stock = node.os.map(|os| match os {
            OsGroup::RaspberryPiOs => "raspios",
            OsGroup::Ubuntu => "ubuntu",
        });
        let of_node = node.image_sha256.as_deref();
        let of_node = of_node.and_then(|text| text.parse().ok());
        let (text, sha256, folder) = match (&self.args.image, &node.image) {
            (Some(text), _) => {
                (text.as_str(), self.args.image_sha256, Path::new(""))
            }
            (None, Some(text)) => {
                (text.as_str(), of_node, self.folder.as_path())
            }
            (None, None) => {
                let stock = stock.ok_or_else(|| {
                    CommandError::usage(format!(
                        "no base image for {}",
                        node.name
                    ))
                    .hint(
                        "put it into the group raspbian or ubuntu, set \
                         `image` in the inventory, or give --image",
                    )
                })?;
                (stock, of_node, Path::new(""))
            }
        };
        if text == "demo" {
            if sha256.is_some() {
                let what = format!("no base image for {}", node.name);
                let report = Report::new(what)
                    .cause("a SHA-256 was given for the demo image")
                    .hint(
                        "the demo image is made by piflash itself: leave \
                         image_sha256 out",
                    );
                return Err(CommandError::new(Kind::Usage, report));
            }
            return Ok(Choice::Demo);
        }
        if text.starts_with("https://") || text.starts_with("http://") {
            return Ok(Choice::Url(text.to_owned(), sha256));
        }
        if let Some((scheme, _)) = text.split_once("://") {
            let what = format!("no base image for {}", node.name);
            let report = Report::new(what)
                .cause(format!("piflash downloads nothing by {scheme}"))
                .hint("give an http or https URL, or download it yourself");
            return Err(CommandError::new(Kind::Usage, report));
        }
        let path = folder.join(text);
        if is_path(text) || path.exists() {
            return Ok(Choice::File(path, sha256));
        }
        let entry = self.entry(&node.name, text)?;
        if let Some(sha256) = sha256 {
            check_given(&node.name, entry, sha256)?;
        }
        Ok(Choice::Catalog(entry.id.clone()))
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

/// Returns the catalogue, with what lists have added since.
pub(super) fn catalog(cache: Option<&Cache>) -> Result<Catalog> {
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
pub(super) fn updates_path(cache: &Cache) -> PathBuf {
    cache.dir().join("catalog.json")
}

/// Returns what the cache needs to know of an image of the catalogue.
pub(super) fn wanted(entry: &Entry) -> Wanted {
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

/// Nothing in the catalogue has such a name.
fn is_path(text: &str) -> bool {
    let ends = [".img", ".xz", ".gz", ".zst", ".zip"];
    text.contains('/') || ends.iter().any(|end| text.ends_with(end))
}

fn file_name(url: &str) -> &str {
    let name = url.rsplit('/').next().unwrap_or(url);
    name.split(['?', '#']).next().unwrap_or(name)
}

/// A digest that is given beside a name of the catalogue must be one of what
/// the name means now.
fn check_given(node: &str, entry: &Entry, given: Sha256) -> Result<()> {
    let known = [entry.download.sha256, entry.image.sha256];
    if known.contains(&Some(given)) {
        return Ok(());
    }
    let known: Vec<String> =
        known.iter().flatten().map(Sha256::to_string).collect();
    let report = Report::new(format!("no usable image for {node}"))
        .cause(format!(
            "{} has the SHA-256 {}, not {given}",
            entry.id,
            known.join(" and, unpacked, ")
        ))
        .hint(
            "an alias means a newer image after a while: name the image by \
             its id, or leave the SHA-256 out, which the catalogue knows",
        );
    Err(CommandError::new(Kind::Usage, report))
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
    let report = Report::new(what).because(error);
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
        _ => CommandError::new(Kind::Failed, report),
    }
}
