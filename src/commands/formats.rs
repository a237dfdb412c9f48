//! What becomes of a card: files in the formats that were asked for.

use std::{
    io,
    path::{Path, PathBuf},
    thread,
};

use clap::{Args, ValueEnum};

use super::{
    bases::Base,
    card::MadeCard,
    error::{CommandError, Result},
    outputs::map_path,
    usage,
    workshop::Job,
};
use crate::{
    base::digest::{FromStart, Sha256},
    disk::Cursor,
    progress::Progress,
    sink::{
        SinkError, Staged, bmap,
        raw::{self, Method, RawOptions},
        xz::{self, XzOptions},
        zst::{self, ZstOptions},
    },
    ui::Ui,
};

/// In which files an image is written.
#[derive(Args, Clone, Debug)]
pub(super) struct FormatArgs {
    /// How images are written; several, with commas between them: `img` (as
    /// they are), `xz` (smallest), `zst` (unpacked fastest)
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        value_delimiter = ',',
        default_value = "img",
        hide_possible_values = true
    )]
    pub(super) format: Vec<Format>,

    /// Write a block map too, NODE.img.bmap, with which bmaptool leaves out
    /// free blocks and verifies the rest
    #[arg(long)]
    pub(super) bmap: bool,

    /// Leave out the SHA-256 digests of images, for speed
    #[arg(long)]
    pub(super) no_checksums: bool,
}

/// A format of images.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum,
)]
pub(super) enum Format {
    /// As it is.
    Img,
    /// Compressed, smallest.
    Xz,
    /// Compressed, unpacked fastest.
    Zst,
}

impl Format {
    /// Returns its name, as it is given.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Img => "img",
            Self::Xz => "xz",
            Self::Zst => "zst",
        }
    }

    /// Returns the name of a node's file.
    pub(super) fn file(self, node: &str) -> String {
        match self {
            Self::Img => format!("{node}.img"),
            Self::Xz => format!("{node}.img.xz"),
            Self::Zst => format!("{node}.img.zst"),
        }
    }
}

impl FormatArgs {
    /// Returns the formats, each once and in the same order always.
    pub(super) fn formats(&self) -> Vec<Format> {
        let mut formats = self.format.clone();
        formats.sort_unstable();
        formats.dedup();
        formats
    }
}

/// A file that was written.
#[derive(Clone, Debug)]
pub(super) struct Output {
    /// Its format, or `bmap`.
    pub(super) format: &'static str,
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) sha256: Option<Sha256>,
}

/// What a build made of one node.
#[derive(Clone, Debug)]
pub(super) struct Built {
    /// Size of the image in bytes.
    pub(super) size: u64,
    /// Bytes in which it differs from its base.
    pub(super) changed: u64,
    /// Digest of the raw image.
    pub(super) sha256: Option<Sha256>,
    /// How the raw image was written, if it was.
    pub(super) method: Option<Method>,
    /// Blocks of compressed images that were encoded again.
    pub(super) encoded: usize,
    pub(super) outputs: Vec<Output>,
    /// Paths that were read back.
    pub(super) checked: usize,
}

/// What was made of a node, and has no names yet.
pub(super) struct Made {
    /// The images are among its outputs.
    pub(super) built: Built,
    pub(super) images: Vec<Staged>,
    pub(super) map: Option<(Staged, Output)>,
}

/// Writes a card in every format; nothing of it has its name before all of it
/// is there.
pub(super) fn write(
    job: &Job,
    made: &MadeCard,
    base: &Base,
    args: &FormatArgs,
    folder: &Path,
    threads: usize,
    ui: &Ui,
) -> Result<Made> {
    let node = &job.plan.node;
    let failed = format!("cannot build {node}");
    let fail = |error: &(dyn std::error::Error + 'static)| {
        CommandError::failed(failed.clone(), error)
    };
    let bar = ui.bar(node);
    let (mut built, images) = thread::scope(|scope| {
        // Beside the rest: a digest takes one processor, and reads.
        let digest = (!args.no_checksums).then(|| {
            let overlay = &made.overlay;
            scope.spawn(move || Sha256::of_reader(Cursor::new(overlay), |_| ()))
        });
        let files = Files { job, made, base, folder, threads, bar: &*bar };
        let built = files.write_all(&args.formats());
        let digest = digest.map(|thread| match thread.join() {
            Ok(digest) => digest,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        let (mut built, images) = built.map_err(|e| fail(&e))?;
        built.sha256 = digest.transpose().map_err(|e| fail(&e))?;
        Ok((built, images))
    })?;
    // Else whoever made the digest read them.
    if args.no_checksums && built.method == Some(Method::Reflink) {
        job.image.check_shared(&*bar).map_err(|e| fail(&e))?;
    }
    let mut map = None;
    if args.bmap {
        let unused = usage::unused(&job.image, &made.overlay)
            .map_err(|error| fail(&error))?;
        let (overlay, known) = (&made.overlay, &base.checksums);
        let path = map_path(folder, node);
        let (staged, written) =
            bmap::stage_map(overlay, &unused, known, &path, &*bar)
                .map_err(|error| fail(&error))?;
        let (format, size) = ("bmap", written.file);
        map = Some((staged, Output { format, path, size, sha256: None }));
    }
    if !args.no_checksums {
        let images = built.outputs.iter_mut().zip(&images);
        let map = map.as_mut().map(|(staged, output)| (output, &*staged));
        for (output, staged) in images.chain(map) {
            output.sha256 = match (output.format, built.sha256) {
                ("img", Some(digest)) => Some(digest),
                _ => Some(digest(staged, output, &*bar).map_err(|e| fail(&e))?),
            };
        }
    }
    Ok(Made { built, images, map })
}

fn digest(
    staged: &Staged,
    output: &Output,
    bar: &dyn Progress,
) -> io::Result<Sha256> {
    bar.start("checksum", Some(output.size));
    let file = FromStart::of(staged.file());
    let digest = Sha256::of_reader(file, |read| {
        bar.advance(u64::try_from(read).unwrap_or(u64::MAX));
    })?;
    bar.finish();
    Ok(digest)
}

struct Files<'a> {
    job: &'a Job,
    made: &'a MadeCard,
    base: &'a Base,
    folder: &'a Path,
    threads: usize,
    bar: &'a dyn Progress,
}

impl Files<'_> {
    fn write_all(
        &self,
        formats: &[Format],
    ) -> std::result::Result<(Built, Vec<Staged>), SinkError> {
        let mut images = Vec::new();
        let mut built = Built {
            size: self.base.locked.size,
            changed: 0,
            sha256: None,
            method: None,
            encoded: 0,
            outputs: Vec::new(),
            checked: self.made.expected.len(),
        };
        for format in formats {
            let path = self.folder.join(format.file(&self.job.plan.node));
            let (staged, size) = self.write(*format, &path, &mut built)?;
            let format = format.name();
            built.outputs.push(Output { format, path, size, sha256: None });
            images.push(staged);
        }
        Ok((built, images))
    }

    /// Writes one file; returns its size.
    fn write(
        &self,
        format: Format,
        dest: &Path,
        built: &mut Built,
    ) -> std::result::Result<(Staged, u64), SinkError> {
        let (overlay, threads) = (&self.made.overlay, self.threads);
        let file = Some(self.job.image.file());
        let (staged, packed) = match format {
            Format::Img => {
                let checked = self.job.image.is_checked();
                let options = RawOptions { checked, ..RawOptions::default() };
                let (staged, written) =
                    raw::stage_image(overlay, file, dest, &options, self.bar)?;
                built.changed = written.changed;
                built.method = Some(written.method);
                return Ok((staged, written.size));
            }
            Format::Xz => {
                let options = XzOptions { threads, ..XzOptions::default() };
                let base = self.base.xz.as_ref();
                xz::stage_image(overlay, base, file, dest, &options, self.bar)?
            }
            Format::Zst => {
                let options = ZstOptions { threads, ..ZstOptions::default() };
                let base = self.base.zst.as_ref();
                zst::stage_image(overlay, base, file, dest, &options, self.bar)?
            }
        };
        built.changed = packed.changed;
        built.encoded = built.encoded.saturating_add(packed.encoded);
        Ok((staged, packed.packed))
    }
}
