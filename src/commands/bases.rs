//! Base images in compressed form, made once for each image and kept in the
//! cache.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    error::{CommandError, Result},
    formats::Format,
    shelf::ImageArgs,
    usage,
};
use crate::{
    base::{
        cache::{Cache, Prepared, Recipe, Slot},
        digest::Sha256,
        image::{Image, Origin},
        lock::LockedImage,
    },
    disk::CheckedFile,
    progress::Progress,
    sink::{
        bmap::BaseChecksums,
        xz::{self, XzBase, XzOptions},
        zst::{self, ZstBase, ZstOptions},
    },
    ui::Ui,
};

/// Raised when blocks are cut or encoded in another way.
const METHOD: u32 = 1;

/// What is known of one base image beside its content.
#[derive(Debug)]
pub(super) struct Base {
    /// What identifies it.
    pub(super) locked: LockedImage,
    pub(super) xz: Option<XzBase>,
    pub(super) zst: Option<ZstBase>,
    pub(super) checksums: BaseChecksums,
}

/// The bases of one run, by the digest of the raw image.
#[derive(Debug, Default)]
pub(super) struct Bases {
    all: BTreeMap<Sha256, Arc<Base>>,
}

impl Bases {
    /// Returns an image's base for outputs of these formats; what is not in
    /// the cache is made, with all processors. With `whole`, what is there is
    /// read whole first.
    pub(super) fn get(
        &mut self,
        image: &Image,
        formats: &[Format],
        args: &ImageArgs,
        whole: bool,
        ui: &Ui,
    ) -> Result<Arc<Base>> {
        let bar = ui.bar(&image.name);
        let cache = args.cache().ok();
        let locked = image.locked(cache.as_ref(), &*bar).map_err(|error| {
            let what = format!("cannot read the base image {}", image.name);
            CommandError::failed(what, &error)
        })?;
        if let Some(base) = self.all.get(&locked.sha256) {
            return Ok(Arc::clone(base));
        }
        let (mut xz, mut zst) = (None, None);
        for format in formats {
            match format {
                Format::Img => {}
                Format::Xz => {
                    let cache = args.cache()?;
                    xz = Some(xz_base(
                        &cache, image, &locked, whole, ui, &*bar,
                    )?);
                }
                Format::Zst => {
                    let cache = args.cache()?;
                    zst = Some(zst_base(
                        &cache, image, &locked, whole, ui, &*bar,
                    )?);
                }
            }
        }
        let checksums = BaseChecksums::default();
        let base = Arc::new(Base { locked, xz, zst, checksums });
        self.all.insert(base.locked.sha256, Arc::clone(&base));
        Ok(base)
    }
}

fn xz_base(
    cache: &Cache,
    image: &Image,
    locked: &LockedImage,
    whole: bool,
    ui: &Ui,
    bar: &dyn Progress,
) -> Result<XzBase> {
    let options = XzOptions::default();
    let method = format!("{METHOD}, preset {}", options.preset);
    let download = match image.origin {
        Origin::Download { sha256, .. } if cache.has_packed(sha256) => {
            Some(sha256)
        }
        _ => None,
    };
    let failed = failure(image);
    let mut slot =
        match prepared(cache, locked, download, ("xz", &method), whole, bar) {
            Ok(Prepared::Ready(file)) => {
                return open(XzBase::checked(file), image);
            }
            Ok(Prepared::Missing(slot)) => slot,
            Err(error) => return Err(failed(&error).hint(error.hint())),
        };
    let mut source = None;
    if let Some(download) = download {
        let packed = cache.packed(download, bar).map_err(|e| failed(&e))?;
        // Read whole just now, so an error of its index is none of its data.
        source = packed.and_then(|file| XzBase::checked(file).ok());
        if source.is_none() {
            ui.warn(&format!(
                "the download of {} in the cache was damaged, and is gone: \
                 all of it has to be compressed again",
                image.name
            ));
            // The lock of the other recipe is not needed any more.
            drop(slot);
            let again =
                prepared(cache, locked, None, ("xz", &method), whole, bar);
            slot = match again {
                Ok(Prepared::Ready(file)) => {
                    return open(XzBase::checked(file), image);
                }
                Ok(Prepared::Missing(slot)) => slot,
                Err(error) => return Err(failed(&error).hint(error.hint())),
            };
        }
    }
    announce(image, "xz", source.is_some(), ui);
    let hot = usage::hot(image).map_err(|e| failed(&e))?;
    let device = image.device();
    let made = xz::prepare(
        &device,
        source.as_ref(),
        &hot,
        slot.path(),
        &options,
        &Stage { bar, name: "prepare" },
    );
    made.map_err(|e| failed(&e))?;
    open(XzBase::checked(take(slot, image, bar)?), image)
}

fn zst_base(
    cache: &Cache,
    image: &Image,
    locked: &LockedImage,
    whole: bool,
    ui: &Ui,
    bar: &dyn Progress,
) -> Result<ZstBase> {
    let options = ZstOptions::default();
    let method = format!("{METHOD}, level {}", options.level);
    let failed = failure(image);
    let slot = match prepared(cache, locked, None, ("zst", &method), whole, bar)
    {
        Ok(Prepared::Ready(file)) => {
            return open(ZstBase::checked(file), image);
        }
        Ok(Prepared::Missing(slot)) => slot,
        Err(error) => return Err(failed(&error).hint(error.hint())),
    };
    announce(image, "zst", false, ui);
    let hot = usage::hot(image).map_err(|e| failed(&e))?;
    let device = image.device();
    let stage = Stage { bar, name: "prepare" };
    zst::prepare(&device, &hot, slot.path(), &options, &stage)
        .map_err(|e| failed(&e))?;
    open(ZstBase::checked(take(slot, image, bar)?), image)
}

fn prepared(
    cache: &Cache,
    locked: &LockedImage,
    taken_from: Option<Sha256>,
    (suffix, method): (&str, &str),
    whole: bool,
    bar: &dyn Progress,
) -> std::result::Result<Prepared, crate::base::FileError> {
    let recipe = Recipe {
        image_sha256: locked.sha256,
        taken_from,
        suffix: suffix.to_owned(),
        method: method.to_owned(),
    };
    cache.prepared(&recipe, whole, bar)
}

fn announce(image: &Image, format: &str, quick: bool, ui: &Ui) {
    if image.origin == Origin::Demo {
        return;
    }
    let time = if quick { "some seconds" } else { "some minutes" };
    ui.say(&format!(
        "preparing {} for .{format}: {time}, once for all nodes and builds",
        image.name
    ));
}

fn take(slot: Slot, image: &Image, bar: &dyn Progress) -> Result<CheckedFile> {
    slot.fill(bar).map_err(|error| failure(image)(&error).hint(error.hint()))
}

fn open<B, E: std::error::Error + 'static>(
    base: std::result::Result<B, E>,
    image: &Image,
) -> Result<B> {
    base.map_err(|error| {
        failure(image)(&error)
            .hint("piflash images verify finds what is damaged in the cache")
    })
}

fn failure(
    image: &Image,
) -> impl Fn(&(dyn std::error::Error + 'static)) -> CommandError + '_ {
    move |error| {
        let what = format!("cannot prepare {} for compression", image.name);
        CommandError::failed(what, error)
    }
}

/// A stage under another name.
struct Stage<'p> {
    bar: &'p dyn Progress,
    name: &'static str,
}

impl Progress for Stage<'_> {
    fn start(&self, _stage: &'static str, total: Option<u64>) {
        self.bar.start(self.name, total);
    }
    fn expect(&self, total: u64) {
        self.bar.expect(total);
    }
    fn advance(&self, bytes: u64) {
        self.bar.advance(bytes);
    }
    fn finish(&self) {
        self.bar.finish();
    }
    fn fail(&self) {
        self.bar.fail();
    }
}
