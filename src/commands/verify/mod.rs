//! `piflash verify`: proves that an image or a card is what the inventory
//! says.
//!
//! ```text
//! manifest ──> node, base, time ──> the same build again, in memory
//! image ───────────────────────────────────> compared, every byte
//! bytes that differ ──> which file, or table, or gap it is
//! ```

mod booted;
mod bytes;
mod finding;

use std::path::{Path, PathBuf};

use clap::Args;

use super::{
    access::Access,
    card::{self, MadeCard},
    changes::{Pair, Tally},
    error::{CommandError, Kind, Result},
    look::{LookArgs, Looked},
    mask::Mask,
    record,
    secrets::SecretsArgs,
    shelf::ImageArgs,
    view::{View, broken},
    workshop::{Job, Workshop},
};
use crate::{
    base::{
        disk_image::{DiskImage, Form},
        lock::Lock,
    },
    fs::tree::{Change, compare},
    plan::{JOIN_ONLY, Manifest, ManifestEdit},
    ui::{self, Report, Ui},
};
use finding::Findings;

/// Prove that an image or a card is what the inventory says. The exit code
/// is 3 if it is not
#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    /// A disk image, compressed or not, or a card's device
    #[arg(value_name = "CARD")]
    card: PathBuf,

    /// The node that it should be [default: the one that it says it is]
    #[arg(long, value_name = "NODE")]
    node: Option<String>,

    /// For programs
    #[arg(long)]
    json: bool,

    /// Only which files differ, not how their texts do
    #[arg(long)]
    brief: bool,

    /// Show keys, password hashes and tokens as well
    #[arg(long)]
    show_secrets: bool,

    /// Where the build has its secrets, in its `secrets/`
    #[arg(long, value_name = "DIR", default_value = "build")]
    build_dir: PathBuf,

    #[command(flatten)]
    secrets: SecretsArgs,

    #[command(flatten)]
    image: ImageArgs,
}

/// Builds the node again in memory, and compares.
pub(super) fn verify(
    inventory: &Path,
    args: &VerifyArgs,
    ui: &Ui,
) -> Result<()> {
    let look = LookArgs::of(&args.image);
    let looked = Looked::open(&args.card, &look, ui)?;
    let manifest = match &looked.manifest {
        Some(Ok(manifest)) => manifest,
        Some(Err(error)) => {
            return Err(mismatch(args, Report::default().because(error)));
        }
        None => {
            let why = format!("it has no {}", Manifest::PATH);
            return Err(mismatch(args, Report::default().cause(why)).hint(
                "piflash did not make it, or made it before it wrote \
                 manifests: build it again",
            ));
        }
    };
    let node = args.node.as_ref().unwrap_or(&manifest.node);
    if *node != manifest.node {
        let why = format!(
            "it is the card of {}",
            ui::escape(manifest.node.as_bytes())
        );
        return Err(mismatch(args, Report::default().cause(why)));
    }
    let job = job(inventory, args, manifest, ui)?;
    let made = card::make(&job.0, manifest.built, ui)?;
    let findings = findings(args, &looked, &job.0, &made, ui)?;
    finish(args, &looked, manifest, &findings, made.expected.len(), ui)
}

fn named(args: &VerifyArgs) -> String {
    ui::escape(args.card.as_os_str().as_encoded_bytes())
}

/// It is not what it should be, because of `report`.
fn mismatch(args: &VerifyArgs, report: Report) -> CommandError {
    let what = format!("{} is not what the inventory says", named(args));
    CommandError::new(Kind::Verification, report.about(what))
}

/// Plans the node of the manifest as it was planned: at the same time, on
/// the same base, with the same secrets.
fn job(
    inventory: &Path,
    args: &VerifyArgs,
    manifest: &Manifest,
    ui: &Ui,
) -> Result<(Job, Workshop)> {
    let lock = record::load(&Lock::path_for(inventory))?;
    let image = args.image.recorded(&lock, &manifest.node);
    let mut workshop = Workshop::open(inventory, &image, ui)?;
    workshop.time = manifest.built;
    let names = [manifest.node.clone()];
    let mut jobs = workshop.prepare(&names, ui)?;
    let Some(mut job) = jobs.pop() else {
        return Err(CommandError::usage("no node to be compared with"));
    };
    let (wanted, found) = (job.base(), &manifest.base);
    if wanted.sha256 != found.sha256 {
        let report = Report::default()
            .cause(format!(
                "it was made from {} (SHA-256 {})",
                ui::escape(found.name.as_bytes()),
                found.sha256
            ))
            .cause(format!(
                "the inventory means {} (SHA-256 {})",
                wanted.name, wanted.sha256
            ))
            .hint(
                "--image names the base that it was made from, if that is \
                 the right one",
            );
        return Err(mismatch(args, report));
    }
    let access =
        Access::existing(&args.build_dir, &args.secrets, workshop.time)?;
    let mut identity = access.identity(&job.node, job.plan.cluster.as_ref())?;
    // Whether the cluster had been seen when the card was made: it may have
    // been since.
    let joins_only = |edit: &ManifestEdit| edit.path == JOIN_ONLY;
    identity.cluster_seen = manifest
        .edits
        .iter()
        .any(joins_only)
        .then(|| identity.cluster_seen.unwrap_or_default());
    workshop.identify(&mut job, &identity)?;
    Ok((job, workshop))
}

/// Returns everything that is not as it should be.
fn findings(
    args: &VerifyArgs,
    looked: &Looked,
    job: &Job,
    made: &MadeCard,
    ui: &Ui,
) -> Result<Findings> {
    let mut findings = Findings::default();
    let should = Looked::new(
        DiskImage::of_overlay(
            Path::new(&job.plan.node),
            Form::Raw,
            made.overlay.clone(),
        )
        .map_err(|error| {
            CommandError::failed("cannot read the card in memory", &error)
        })?,
    );
    if let Some(since) = booted::since(looked, &should) {
        booted::compare(&mut findings, looked, &made.expected, since);
        return Ok(findings);
    }
    for partition in &looked.image.table.partitions {
        match looked.image.summary(partition.number) {
            Some(Ok(summary)) => {
                let name = looked.name(partition.number);
                for problem in summary.problems {
                    findings.other(format!("{name}: {problem}"));
                }
            }
            Some(Err(error)) => {
                let name = looked.name(partition.number);
                findings.other(format!("{name}: {}", broken(&error)));
            }
            None => {}
        }
    }
    sizes(args, looked, &should, &mut findings);
    let bar = ui.bar(&named(args));
    let differing = bytes::differing(&should, looked, &*bar).map_err(|e| {
        CommandError::failed(format!("cannot read {}", named(args)), &e)
    })?;
    if !differing.is_empty() {
        files(args, &should, looked, &mut findings)?;
        bytes::explain(&differing, &should, looked, &mut findings);
    }
    Ok(findings)
}

/// A card may be larger than its image; a file may not.
fn sizes(
    args: &VerifyArgs,
    is: &Looked,
    should: &Looked,
    findings: &mut Findings,
) {
    let (is_size, should_size) =
        (is.image.device().size(), should.image.device().size());
    if is_size < should_size {
        let missing = should_size.saturating_sub(is_size);
        findings.other(format!("the last {missing} bytes are missing"));
    } else if is_size > should_size && is.image.form != Form::Device {
        let more = is_size.saturating_sub(should_size);
        findings.other(format!("{more} bytes too many, at the end"));
    } else if is_size > should_size {
        findings.notes.push(format!(
            "{} is larger than its image: the rest was not looked at",
            named(args)
        ));
    }
}

/// Compares the file systems, file by file.
fn files(
    args: &VerifyArgs,
    should: &Looked,
    is: &Looked,
    findings: &mut Findings,
) -> Result<()> {
    let pairs = [should.boot.zip(is.boot), should.root.zip(is.root)];
    for (old, new) in pairs.into_iter().flatten() {
        let name = should.name(old);
        let trees = (should.image.tree(old), is.image.tree(new));
        let (Some(Ok(a)), Some(b)) = trees else { continue };
        let b = match b {
            Ok(b) => b,
            Err(error) => {
                findings.other(format!("{name}: {}", broken(&error)));
                continue;
            }
        };
        let masks = [should, is]
            .map(|it| Mask::new(it.good_manifest(), args.show_secrets));
        let [should_mask, is_mask] = &masks;
        let part = should.part(old);
        let pair = Pair {
            old: View { tree: &*a, mask: should_mask, part },
            new: View { tree: &*b, mask: is_mask, part },
            name,
        };
        compare(&*a, &*b, &mut |change: Change| {
            findings.file(&pair, &change, args.brief);
            Ok::<_, CommandError>(())
        })?;
    }
    Ok(())
}

fn finish(
    args: &VerifyArgs,
    looked: &Looked,
    manifest: &Manifest,
    findings: &Findings,
    edits: usize,
    ui: &Ui,
) -> Result<()> {
    let print = |text: &str| {
        ui.print(text).map_err(|error| CommandError::output(&error))
    };
    if args.json {
        print(&format!("{:#}\n", findings.json(manifest)))?;
    } else if ui.is_read_by_people() {
        print(&ui::escape_text(findings.text().as_bytes()))?;
    } else {
        print(&findings.text())?;
    }
    if !findings.is_empty() {
        let mut report = Report::default().cause(findings.tally.said());
        if manifest.piflash != env!("CARGO_PKG_VERSION") {
            report = report.hint(format!(
                "it was made by piflash {}, this is {}: another version may \
                 make another card of the same inventory",
                ui::escape(manifest.piflash.as_bytes()),
                env!("CARGO_PKG_VERSION")
            ));
        }
        return Err(mismatch(args, report));
    }
    ui.say(&format!(
        "{} is what the inventory says of {}: {} bytes of {} and {edits} \
         paths by piflash, nothing else",
        named(args),
        manifest.node,
        looked.image.device().size().min(manifest.base.size),
        ui::escape(manifest.base.name.as_bytes()),
    ));
    for note in &findings.notes {
        ui.say(&format!("note: {note}"));
    }
    Ok(())
}

impl Tally {
    fn said(self) -> String {
        let Self { added, removed, changed, unreadable, other } = self;
        let all = [
            (added, "should not be there"),
            (removed, "missing"),
            (changed, "changed"),
            (unreadable, "cannot be read"),
            (other, "outside of files"),
        ];
        let all = all.into_iter().filter(|(count, _)| *count > 0);
        let all: Vec<_> =
            all.map(|(count, what)| format!("{count} {what}")).collect();
        all.join(", ")
    }
}
