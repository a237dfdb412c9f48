//! Base images for nodes: chosen by what the user named, fetched, opened
//! once for all nodes that want the same.

use std::{
    cell::OnceCell,
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    rc::Rc,
};

use clap::Args;
use minijinja::Value;

use super::error::{CommandError, Kind, Result};
use crate::{
    base::{
        cache::{Cache, CacheError, Verified, Wanted},
        catalog::{Catalog, Entry},
        digest::Sha256,
        fetch::{FetchOptions, Proxies},
        image::{Image, ImageError},
        signature::Verification,
    },
    inventory::{Node, OsGroup},
    ui::{Report, Ui},
};

/// Which base image, and how it may be got.
#[derive(Args, Clone, Debug)]
pub(super) struct ImageArgs {
    /// The base image: an id or alias of `piflash images`, `demo`, the path
    /// of a raw .img, or a URL [default: the node's `image` in the
    /// inventory, else the newest of its OS group]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,

    /// SHA-256 of the file behind the URL of --image
    #[arg(long, value_name = "HEX", requires = "image")]
    image_sha256: Option<Sha256>,

    /// Use no network: only images and artefacts that are in the cache
    #[arg(long)]
    offline: bool,

    /// Accept a URL without a SHA-256: nothing proves what it is
    #[arg(long)]
    insecure: bool,

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
    File(PathBuf),
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
    images: BTreeMap<Choice, Rc<Image>>,
}

impl Shelf {
    pub(super) fn new(args: &ImageArgs, folder: &Path) -> Self {
        Self {
            args: args.clone(),
            folder: folder.to_owned(),
            catalog: OnceCell::new(),
            images: BTreeMap::new(),
        }
    }

    /// Returns the image for a node, downloaded if need be.
    pub(super) fn get(&mut self, node: &Node, ui: &Ui) -> Result<Rc<Image>> {
        let choice = self.choose(node)?;
        if let Some(image) = self.images.get(&choice) {
            return Ok(Rc::clone(image));
        }
        let error = |error| image_error(&node.name, &error);
        let image = match &choice {
            Choice::Demo => Image::demo().map_err(error)?,
            Choice::File(path) => Image::local(path).map_err(error)?,
            Choice::Catalog(id) => {
                let entry = self.entry(node, id)?;
                let image = self.fetch(node, id, &wanted(entry), ui)?;
                check_expected(node, entry, &image)?;
                image
            }
            Choice::Url(url, sha256) => {
                let wanted = Wanted {
                    url: url.clone(),
                    download_sha256: *sha256,
                    download_size: None,
                    image_sha256: None,
                    image_size: None,
                    trust: Verified::PinnedHash,
                };
                let name = url.rsplit('/').next().unwrap_or(url);
                let name = name.split(['?', '#']).next().unwrap_or(name);
                self.fetch(node, name, &wanted, ui)?
            }
        };
        let image = Rc::new(image);
        self.images.insert(choice, Rc::clone(&image));
        Ok(image)
    }

    /// `--image` counts from where the command runs, `image` of the
    /// inventory from where the inventory is.
    fn choose(&self, node: &Node) -> Result<Choice> {
        let stock = node.os.map(|os| match os {
            OsGroup::RaspberryPiOs => "raspios",
            OsGroup::Ubuntu => "ubuntu",
        });
        let (text, sha256, folder) = match (&self.args.image, &node.image) {
            (Some(text), _) => {
                (text.as_str(), self.args.image_sha256, Path::new(""))
            }
            (None, Some(text)) => {
                let sha256 = node.image_sha256.as_deref();
                let sha256 = sha256.and_then(|text| text.parse().ok());
                (text.as_str(), sha256, self.folder.as_path())
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
                (stock, None, Path::new(""))
            }
        };
        if text == "demo" {
            return Ok(Choice::Demo);
        }
        if text.starts_with("https://") || text.starts_with("http://") {
            return Ok(Choice::Url(text.to_owned(), sha256));
        }
        let path = folder.join(text);
        if text.contains('/') || text.ends_with(".img") || path.exists() {
            return Ok(Choice::File(path));
        }
        Ok(Choice::Catalog(self.entry(node, text)?.id.clone()))
    }

    fn entry(&self, node: &Node, name: &str) -> Result<&Entry> {
        let catalog = match self.catalog.get() {
            Some(catalog) => catalog,
            None => {
                let read = catalog(self.args.cache.cache().ok().as_ref())?;
                self.catalog.get_or_init(|| read)
            }
        };
        catalog.find(name).map_err(|unknown| {
            let what = format!("no base image for {}", node.name);
            let report = Report::new(what).because(&unknown).hint(
                "piflash images lists what there is; a path has a `/` in it \
                 or ends with .img",
            );
            CommandError::new(Kind::Usage, report)
        })
    }

    fn fetch(
        &self,
        node: &Node,
        name: &str,
        wanted: &Wanted,
        ui: &Ui,
    ) -> Result<Image> {
        let options = self.args.options(node);
        let cache = self.args.cache()?;
        let bar = ui.bar(name);
        let cached = cache
            .get(wanted, &options, &bar)
            .map_err(|error| cache_error(&node.name, &error))?;
        Image::cached(name, cached).map_err(|e| image_error(&node.name, &e))
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
        trust: match entry.verification() {
            Verification::Signature { .. } => Verified::Signature,
            Verification::PinnedHash => Verified::PinnedHash,
            Verification::HashOnly => Verified::HashOnly,
            Verification::None => Verified::Nothing,
        },
    }
}

/// A catalogue's row and the image behind it must agree on what it is.
fn check_expected(node: &Node, entry: &Entry, image: &Image) -> Result<()> {
    let expected = entry.expected();
    let (os, architecture) = (image.facts.os.flavour, image.facts.architecture);
    if (os, architecture) == (expected.flavour, expected.architecture) {
        return Ok(());
    }
    let report = Report::new(format!("no usable image for {}", node.name))
        .cause(format!(
            "{} should be {:?} for {}, but is {os:?} for {architecture}",
            entry.id, expected.flavour, expected.architecture
        ));
    Err(CommandError::new(Kind::Verification, report))
}

fn cache_error(node: &str, error: &CacheError) -> CommandError {
    let report = Report::new(format!("no usable image for {node}"))
        .because(error)
        .hint(error.hint());
    let kind = match error.is_mismatch() {
        true => Kind::Verification,
        false => Kind::Failed,
    };
    CommandError::new(kind, report)
}

fn image_error(node: &str, error: &ImageError) -> CommandError {
    let this =
        CommandError::failed(format!("no usable image for {node}"), error);
    match error {
        ImageError::Compressed { path, command, .. } => {
            this.hint(format!("unpack it: {command} {}", path.display()))
        }
        _ => this,
    }
}
