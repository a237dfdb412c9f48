//! Images that are looked at: opened by what the user named, with what they
//! say of themselves.

use std::{
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use clap::Args;

use super::{
    error::{CommandError, Kind, Result},
    shelf::{CacheArgs, ImageArgs, catalog, wanted},
};
use crate::{
    base::{
        demo,
        disk_image::{DiskImage, Form, OpenError},
    },
    disk::ImageFile,
    fs::{
        FileKind, FsError, FsErrorKind,
        tree::{Node, Tree, resolve},
    },
    plan::{Manifest, ManifestError, Part},
    ui::{self, Report, Ui},
};

/// No manifest is larger, in bytes.
const MANIFEST_LIMIT: u64 = 16 << 20;

/// Where images may be that are not named by a path.
#[derive(Args, Clone, Debug)]
pub(super) struct LookArgs {
    #[command(flatten)]
    cache: CacheArgs,
}

impl LookArgs {
    /// Takes what another command was given.
    pub(super) fn of(args: &ImageArgs) -> Self {
        Self { cache: args.cache_args().clone() }
    }
}

/// An image, and what it says of itself.
pub(super) struct Looked {
    pub(super) image: DiskImage,
    /// Numbers of the boot and the root partition.
    pub(super) boot: Option<u32>,
    pub(super) root: Option<u32>,
    /// None where there is no such file.
    pub(super) manifest: Option<std::result::Result<Manifest, NoManifest>>,
}

/// Why the manifest that is there says nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoManifest {
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error("{}: {}", Manifest::PATH, .0)]
    Content(#[from] ManifestError),
}

impl Looked {
    /// Opens a file, a device, `demo`, or an image of the catalogue that is
    /// in the cache.
    pub(super) fn open(name: &Path, args: &LookArgs, ui: &Ui) -> Result<Self> {
        let bar = ui.bar(&ui::escape(name.as_os_str().as_encoded_bytes()));
        let image = match name.to_str() {
            Some("demo") if !name.exists() => open_demo(),
            Some(id) if !name.exists() && !id.contains('/') => {
                let cached = open_cached(id, args, ui)?;
                DiskImage::open(cached.as_deref().unwrap_or(name), &*bar)
            }
            _ => DiskImage::open(name, &*bar),
        };
        let this =
            image.map(Self::new).map_err(|error| open_error(name, &error))?;
        for partition in &this.image.table.partitions {
            if let Some(Ok(tree)) = this.image.tree(partition.number)
                && tree.is_stale()
            {
                ui.warn(&format!(
                    "partition {} was not unmounted: what is still in its \
                     journal is not seen",
                    partition.number
                ));
            }
        }
        Ok(this)
    }

    /// Reads what is on an opened image.
    pub(super) fn new(image: DiskImage) -> Self {
        let (boot, root) = image.boot_and_root();
        let manifest = match root.and_then(|number| image.tree(number)) {
            Some(Ok(tree)) => read_manifest(&*tree).transpose(),
            Some(Err(error)) => Some(Err(error.into())),
            None => None,
        };
        Self { image, boot, root, manifest }
    }

    /// Returns the manifest, where there is a good one.
    pub(super) fn good_manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref().and_then(|read| read.as_ref().ok())
    }

    /// Returns which of a card's partitions one is.
    pub(super) fn part(&self, number: u32) -> Option<Part> {
        match Some(number) {
            boot if boot == self.boot => Some(Part::Boot),
            root if root == self.root => Some(Part::Root),
            _ => None,
        }
    }

    /// Returns what people call a partition: `boot`, `root` or its number.
    pub(super) fn name(&self, number: u32) -> String {
        self.part(number).map_or(number.to_string(), |p| p.to_string())
    }
}

fn read_manifest(
    tree: &dyn Tree,
) -> std::result::Result<Option<Manifest>, NoManifest> {
    let Some(node) = resolve(tree, Manifest::PATH.as_bytes())? else {
        return Ok(None);
    };
    let bytes = read_small(tree, &node, MANIFEST_LIMIT)?;
    Ok(Some(Manifest::parse(&bytes)?))
}

/// Reads a file of at most `limit` bytes.
pub(super) fn read_small(
    tree: &dyn Tree,
    node: &Node,
    limit: u64,
) -> std::result::Result<Vec<u8>, FsError> {
    let path = ui::escape(&node.path);
    if node.kind != FileKind::File || node.size > limit {
        let what = "not a regular file, or too large";
        return Err(FsErrorKind::WrongKind(what).at(&path));
    }
    let mut bytes = Vec::new();
    tree.open(node)?
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| fs_error(error, &path))?;
    Ok(bytes)
}

/// Returns what an error of reading a file was at first.
pub(super) fn fs_error(error: io::Error, path: &str) -> FsError {
    match error.downcast::<FsError>() {
        Ok(error) => error,
        Err(error) => FsErrorKind::Io(error).at(path),
    }
}

fn open_demo() -> std::result::Result<DiskImage, OpenError> {
    let path = Path::new("demo");
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    let file = demo::unpack(&std::env::temp_dir())
        .map_err(|error| io(io::Error::other(error)))?;
    let device = ImageFile::new(file).map_err(io)?;
    DiskImage::new(path, Form::Raw, Arc::new(device))
}

/// Finds an image of the catalogue in the cache; none where the catalogue
/// knows no such name.
fn open_cached(
    id: &str,
    args: &LookArgs,
    ui: &Ui,
) -> Result<Option<std::path::PathBuf>> {
    let Ok(cache) = args.cache.cache() else { return Ok(None) };
    let catalog = catalog(Some(&cache))?;
    let Ok(entry) = catalog.find(id) else { return Ok(None) };
    let wanted = wanted(entry);
    let entries = cache.list().map_err(|error| {
        CommandError::failed("cannot read the cache", &error)
    })?;
    match entries.iter().find(|entry| wanted.matches(entry)) {
        Some(found) => {
            if entry.id != id {
                ui.say(&format!("{id} is {}", entry.id));
            }
            Ok(Some(cache.image_path(found.image_sha256)))
        }
        None => Err(CommandError::usage(format!(
            "{} is not in the cache",
            entry.id
        ))
        .hint("piflash images fetch downloads what the nodes want")),
    }
}

fn open_error(name: &Path, error: &OpenError) -> CommandError {
    let shown = ui::escape(name.as_os_str().as_encoded_bytes());
    let kind = match error {
        OpenError::Io { source, .. }
            if source.kind() == io::ErrorKind::NotFound =>
        {
            Kind::Usage
        }
        OpenError::Kind(_) => Kind::Usage,
        _ => Kind::Failed,
    };
    let report = Report::new(format!("cannot look at {shown}")).because(error);
    let this = CommandError::new(kind, report);
    match error {
        OpenError::Io { source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            this.hint(
                "a card's device is for root, or for the group `disk`: sudo",
            )
        }
        OpenError::Table { .. } => this.hint(
            "a whole disk is wanted, as /dev/sdX or an .img, not one \
             partition of it",
        ),
        _ => this,
    }
}
