use std::{
    fmt::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;

use super::{
    access::Access,
    error::{CommandError, Kind, Result},
    record::Record,
    shelf::ImageArgs,
    workshop::{Job, Workshop},
};
use crate::{
    base::{facts::FirstBoot, image::Origin},
    disk::Overlay,
    fs::{
        Fat, FsError,
        apply::{ApplyError, Card, Expectations, apply, read_back},
        ext4::{EditOptions, Ext4},
        ext4_view::Ext4View,
    },
    identity::HostKeys,
    plan::Part,
    sink::raw::{self, Method, RawOptions, Written},
    ui::{self, Report, Ui},
};

/// Build the images of nodes
#[derive(Args, Debug)]
pub(super) struct BuildArgs {
    /// The nodes, by their names in the inventory
    #[arg(value_name = "NODE", required_unless_present = "all")]
    nodes: Vec<String>,

    /// Every node of the inventory
    #[arg(long, conflicts_with = "nodes")]
    all: bool,

    #[command(flatten)]
    image: ImageArgs,

    /// Refuse base images and artefacts other than those that piflash.lock
    /// records
    #[arg(long)]
    locked: bool,

    /// Where images are written, in its `images/`, and secrets are kept, in
    /// its `secrets/`
    #[arg(long, value_name = "DIR", default_value = "build")]
    build_dir: PathBuf,
}

/// Builds the images, one after another.
pub(super) fn build(inventory: &Path, args: &BuildArgs, ui: &Ui) -> Result<()> {
    let workshop = Workshop::open(inventory, &args.image, ui)?;
    let given = if args.all { &[] } else { args.nodes.as_slice() };
    let names = workshop.names(given);
    // What is wrong with any of them is said before the first is written.
    let mut jobs = workshop.prepare(&names, ui)?;
    let mut record =
        Record::open(inventory, args.locked, args.image.cache().ok())?;
    for job in &jobs {
        record.check(job, ui)?;
    }
    let host_keys = identify(&workshop, &mut jobs, &args.build_dir)?;
    for (job, host_keys) in jobs.iter().zip(&host_keys) {
        let dest = args
            .build_dir
            .join("images")
            .join(format!("{}.img", job.plan.node));
        let built = build_one(job, &dest, workshop.time, ui)?;
        record.built(job, ui)?;
        ui.say(&summary(job, host_keys, &dest, &built));
    }
    Ok(())
}

/// Gives every job the secrets of its node, and writes down how ssh reaches
/// them: before the first card can boot.
fn identify(
    workshop: &Workshop,
    jobs: &mut [Job],
    build_dir: &Path,
) -> Result<Vec<HostKeys>> {
    let access = Access::new(build_dir);
    let mut found = Vec::new();
    for job in jobs.iter_mut() {
        let identity = access.identity(&job.node)?;
        workshop.identify(job, &identity)?;
        found.push(identity.host_keys);
    }
    let nodes: Vec<_> = found
        .iter()
        .zip(&*jobs)
        .map(|(keys, job)| (&job.node, keys, &*job.plan.account))
        .collect();
    access.write(&nodes)?;
    Ok(found)
}

struct Built {
    written: Written,
    checked: usize,
}

/// base -> overlay -> edits -> read back -> file.
fn build_one(job: &Job, dest: &Path, time: i64, ui: &Ui) -> Result<Built> {
    let node = &job.plan.node;
    let failed = format!("cannot build {node}");
    let bar = ui.bar(node);

    bar.start("edit", None);
    let overlay = Arc::new(Overlay::new(job.image.device()));
    let expected = edit(&overlay, job, time).map_err(|error| {
        CommandError::failed(&failed, &error)
            .hint("the base image is as it was, and nothing was written")
    })?;
    bar.finish();

    bar.start("read back", None);
    check(&overlay, job, &expected)?;
    bar.finish();

    let written = raw::write_image(
        &overlay,
        Some(job.image.file()),
        dest,
        &RawOptions::default(),
        &*bar,
    )
    .map_err(|error| CommandError::failed(&failed, &error))?;
    Ok(Built { written, checked: expected.len() })
}

fn edit(
    overlay: &Arc<Overlay>,
    job: &Job,
    time: i64,
) -> Result<Expectations, ApplyError> {
    let opening = |part| {
        move |source: FsError| ApplyError {
            edit: "open the file system".to_owned(),
            part,
            source,
        }
    };
    let (boot, root) = (opening(Part::Boot), opening(Part::Root));
    let window = job.image.boot(Arc::clone(overlay));
    let mut fat = window
        .map_err(FsError::from)
        .and_then(|w| Fat::open(w, time))
        .map_err(boot)?;
    let window = job.image.root(overlay).map_err(|e| root(e.into()))?;
    let options = EditOptions { now: time, seed: 0 };
    let mut ext4 = Ext4::open(&window, options).map_err(root)?;
    let mut card = Card { boot: &mut fat, root: &mut ext4 };
    apply(&job.plan.edits, &mut card, time)
}

/// Reads everything back, through fresh readers.
fn check(
    overlay: &Arc<Overlay>,
    job: &Job,
    expected: &Expectations,
) -> Result<()> {
    let failed = || format!("{} does not read back", job.plan.node);
    let open = || -> std::result::Result<_, FsError> {
        let boot = Fat::open(job.image.boot(Arc::clone(overlay))?, 0)?;
        let root = job.image.root(Arc::clone(overlay))?;
        Ok((boot, Ext4View::open(Arc::new(root))?))
    };
    let (boot, root) = open().map_err(|e| {
        CommandError::new(Kind::Verification, Report::new(failed()).because(&e))
    })?;
    let mismatches = read_back(expected, &boot, &root);
    if mismatches.is_empty() {
        return Ok(());
    }
    let report = mismatches
        .iter()
        .fold(Report::new(failed()), |report, mismatch| {
            report.cause(mismatch.to_string())
        })
        .hint("nothing was written; this is a fault of piflash or of memory");
    Err(CommandError::new(Kind::Verification, report))
}

fn summary(
    job: &Job,
    host_keys: &HostKeys,
    dest: &Path,
    built: &Built,
) -> String {
    let Job { plan, image, keys, artefacts, .. } = job;
    let mut text = format!("{}\n", dest.display());
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<11} {value}");
    };
    line(
        "size",
        format!(
            "{} ({} changed; the rest {})",
            ui::bytes(built.written.size),
            ui::bytes(built.written.changed),
            match built.written.method {
                Method::Reflink => "shared with the base",
                Method::Copied => "copied, sparse",
            }
        ),
    );
    line(
        "base",
        format!(
            "{}: {}, {}",
            image.name, image.facts.os.pretty_name, image.facts.architecture
        ),
    );
    if let Origin::Download { verified, .. } = &image.origin {
        line("verified", verified.to_string());
    }
    for partition in &image.facts.table.partitions {
        let volume = &partition.volume;
        line(
            "partition",
            format!(
                "{}: {} at {}, {} {}",
                partition.number,
                ui::bytes(partition.len),
                ui::bytes(partition.start),
                volume.fs.map_or_else(String::new, |fs| fs.to_string()),
                volume.label.as_deref().unwrap_or_default()
            ),
        );
    }
    line(
        "injected",
        format!(
            "{} paths, all read back: {}",
            built.checked,
            plan.parts.join(", ")
        ),
    );
    for file in &artefacts.files {
        let name = release(&file.name, file.version.as_deref());
        line("artefact", format!("{name}, {}", ui::bytes(file.size)));
    }
    for missing in &artefacts.left_out {
        let name = release(&missing.name, missing.version.as_deref());
        line("left out", format!("{name}: not in the cache (--offline)"));
    }
    for key in keys {
        line("SSH key", key.clone());
    }
    if image.facts.ssh.installed {
        for key in host_keys.iter() {
            let kind = key.public().split(' ').next().unwrap_or_default();
            line("host key", format!("{kind} {}", key.fingerprint()));
        }
    }
    for note in &plan.notes {
        line("note", note.clone());
    }
    if image.origin == Origin::Demo {
        line(
            "note",
            "made from the demo image: it has no kernel and does not boot"
                .to_owned(),
        );
    }
    line(
        "write it",
        format!(
            "sudo dd if={} of=/dev/sdX bs=4M conv=fsync status=progress",
            dest.display()
        ),
    );
    line(
        "",
        "or with Etcher, or with rpi-imager (\"Use custom\", its own \
         customisation off)"
            .to_owned(),
    );
    for (number, what) in power_up(job).into_iter().enumerate() {
        line(if number == 0 { "power-up" } else { "" }, what.to_owned());
    }
    if image.facts.ssh.installed && !keys.is_empty() {
        // .../images/node3.img
        let dir = dest.ancestors().nth(2).unwrap_or(Path::new(""));
        let config = dir.join("ssh_config");
        line("log in", format!("ssh -F {} {}", config.display(), plan.node));
    }
    text
}

/// `k3s-arm64 v1.36.4+k3s1`
fn release(name: &str, version: Option<&str>) -> String {
    match version {
        Some(version) => format!("{name} {version}"),
        None => name.to_owned(),
    }
}

/// What the node does when it is powered up: only what this image does.
fn power_up(job: &Job) -> Vec<&'static str> {
    let Job { plan, image, keys, .. } = job;
    let has = |name: &str| plan.parts.iter().any(|part| part == name);
    let facts = &image.facts;
    let grows = facts.root_is_last && facts.first_boot != FirstBoot::None;
    let mut does = Vec::new();
    if grows {
        does.push("the root file system grows to the size of the card");
    }
    does.push("the node takes its name and address");
    if has("ssh") && facts.ssh.installed && !keys.is_empty() {
        does.push("it lets you in by key");
    }
    if has("firstboot") {
        does.push("it runs its first-boot steps: sudo piflash-node status");
    }
    does
}
