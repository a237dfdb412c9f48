use std::path::{Path, PathBuf};

use clap::Args;

use super::{
    access::Access,
    card,
    error::{CommandError, Result},
    record::Record,
    shelf::ImageArgs,
    summary::summary,
    workshop::{Job, Workshop},
};
use crate::{
    identity::HostKeys,
    inventory::Cluster,
    sink::raw::{self, RawOptions, Written},
    ui::Ui,
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

/// Gives every job the secrets of its node, and writes down how ssh and
/// kubectl reach them: before the first card can boot.
fn identify(
    workshop: &Workshop,
    jobs: &mut [Job],
    build_dir: &Path,
) -> Result<Vec<HostKeys>> {
    let access = Access::new(build_dir, workshop.time);
    let mut found = Vec::new();
    for job in jobs.iter_mut() {
        let cluster = job.plan.cluster.as_ref();
        let identity = access.identity(&job.node, cluster)?;
        workshop.identify(job, &identity)?;
        found.push(identity.host_keys);
    }
    let nodes: Vec<_> = found
        .iter()
        .zip(&*jobs)
        .map(|(keys, job)| (&job.node, keys, &*job.plan.account))
        .collect();
    access.write(&nodes)?;
    for kind in [Cluster::K3s, Cluster::K8s] {
        let clusters = jobs.iter().filter_map(|job| job.plan.cluster.as_ref());
        let cluster = clusters.into_iter().find(|it| it.kind == kind);
        cluster.map_or(Ok(()), |cluster| access.write_kubeconfig(cluster))?;
    }
    Ok(found)
}

/// What a build made.
pub(super) struct Built {
    pub(super) written: Written,
    /// Paths that were read back.
    pub(super) checked: usize,
}

/// base -> overlay -> edits -> read back -> file.
fn build_one(job: &Job, dest: &Path, time: i64, ui: &Ui) -> Result<Built> {
    let made = card::make(job, time, ui)?;
    let written = raw::write_image(
        &made.overlay,
        Some(job.image.file()),
        dest,
        &RawOptions::default(),
        &*ui.bar(&job.plan.node),
    )
    .map_err(|error| {
        let failed = format!("cannot build {}", job.plan.node);
        CommandError::failed(failed, &error)
    })?;
    Ok(Built { written, checked: made.expected.len() })
}
