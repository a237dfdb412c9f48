//! What of the command line is about base images.

use std::{env, path::PathBuf};

use clap::Args;
use minijinja::Value;

use super::listed::catalog;
use crate::{
    base::{
        cache::Cache,
        digest::Sha256,
        fetch::{FetchOptions, Proxies},
        lock::Lock,
    },
    commands::{
        error::{CommandError, Result},
        keys::KeyArgs,
    },
    inventory::Node,
};

/// Which base image, and how it may be got.
#[derive(Args, Clone, Debug)]
pub(in crate::commands) struct ImageArgs {
    /// The base image: an id or alias of `piflash images`, `demo`, the path
    /// of an .img, raw or as .xz, .gz, .zst or .zip, or a URL [default: the node's `image` in the
    /// inventory, else the newest of its OS group]
    #[arg(long, value_name = "IMAGE")]
    pub(super) image: Option<String>,

    /// SHA-256 of the file that --image names; a URL needs it
    #[arg(long, value_name = "HEX", requires = "image")]
    pub(super) image_sha256: Option<Sha256>,

    /// Use no network: only images and artefacts that are in the cache
    #[arg(long)]
    offline: bool,

    /// Accept a URL without a SHA-256: nothing proves what it is
    #[arg(long)]
    insecure: bool,

    #[command(flatten)]
    pub(super) keys: KeyArgs,

    #[command(flatten)]
    cache: CacheArgs,
}

impl ImageArgs {
    /// Returns how to download for a node.
    pub(in crate::commands) fn options(&self, node: &Node) -> FetchOptions {
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
    pub(in crate::commands) fn cache(&self) -> Result<Cache> {
        self.cache.cache()
    }

    /// Returns where the cache is.
    pub(in crate::commands) fn cache_args(&self) -> &CacheArgs {
        &self.cache
    }

    /// Returns the same with the image of the catalogue that `node` was
    /// built from, unless another is asked for: the newest may be newer.
    pub(in crate::commands) fn recorded(
        &self,
        lock: &Lock,
        node: &str,
    ) -> Self {
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
pub(in crate::commands) struct CacheArgs {
    /// Where downloaded images are kept [default: piflash/ in
    /// $XDG_CACHE_HOME or ~/.cache]
    #[arg(long, value_name = "DIR", env = "PIFLASH_CACHE")]
    cache_dir: Option<PathBuf>,
}

impl CacheArgs {
    /// Returns the cache.
    pub(in crate::commands) fn cache(&self) -> Result<Cache> {
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
