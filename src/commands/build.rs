use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use clap::Args;

use super::{
    access::Access,
    bases::{Base, Bases},
    card,
    error::Result,
    fleet::{Pace, Shard, conclude},
    formats::{self, Built, FormatArgs},
    outputs,
    record::Record,
    secrets::SecretsArgs,
    shelf::ImageArgs,
    summary::summary,
    workshop::{Job, Workshop},
};
use crate::{identity::HostKeys, inventory::Cluster, ui::Ui};

/// Build the images of nodes
#[derive(Args, Debug)]
pub(super) struct BuildArgs {
    /// The nodes, by their names in the inventory
    #[arg(value_name = "NODE", required_unless_present = "all")]
    nodes: Vec<String>,

    /// Every node of the inventory
    #[arg(long, conflicts_with = "nodes")]
    all: bool,

    /// Only a part of them, the I-th of N: for machines that share the work
    #[arg(
        long,
        value_name = "I/N",
        requires = "all",
        conflicts_with = "nodes"
    )]
    shard: Option<Shard>,

    /// How many nodes are built at the same time [default: one for each
    /// processor, four at most]
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    #[command(flatten)]
    format: FormatArgs,

    /// The cluster that these nodes are of is gone: the card of its first
    /// master begins a new one, with the same authorities and tokens
    #[arg(long)]
    new_cluster: bool,

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

    #[command(flatten)]
    secrets: SecretsArgs,
}

/// Builds the images, several at a time.
pub(super) fn build(inventory: &Path, args: &BuildArgs, ui: &Ui) -> Result<()> {
    let workshop = Workshop::open(inventory, &args.image, ui)?;
    let given = if args.all { &[] } else { args.nodes.as_slice() };
    let mut names = workshop.names(given);
    if let Some(shard) = args.shard {
        names = shard.of(names);
        if names.is_empty() {
            ui.say("no node is in this shard: there is nothing to build");
            return Ok(());
        }
    }
    // What is wrong with any of them is said before the first is written.
    let mut jobs = workshop.prepare(&names, ui)?;
    let record = Record::open(inventory, args.locked, args.image.cache().ok())?;
    for job in &jobs {
        record.check(job, ui)?;
    }
    let mut bases = Bases::default();
    let mut base_of = Vec::new();
    for job in &jobs {
        let formats = args.format.formats();
        let (image, locked) = (&args.image, args.locked);
        base_of.push(bases.get(&job.image, &formats, image, locked, ui)?);
    }
    let places = (args.build_dir.as_path(), &args.secrets);
    if args.new_cluster {
        forget_clusters(&jobs, places, workshop.time, ui)?;
    }
    let host_keys = identify(&workshop, &mut jobs, places)?;
    let pace = Pace::new(args.jobs, jobs.len());
    let site = Site {
        args,
        time: workshop.time,
        folder: args.build_dir.join("images"),
        threads: pace.threads,
        record: Mutex::new(record),
        ui,
    };
    let work: Vec<_> = jobs.iter().zip(&host_keys).zip(&base_of).collect();
    let results =
        pace.run(&work, |((job, keys), base)| site.build(job, keys, base));
    let names: Vec<&str> = jobs.iter().map(|j| j.plan.node.as_str()).collect();
    conclude(&names, results, ui)
}

/// What all nodes of a run share.
struct Site<'a> {
    args: &'a BuildArgs,
    time: i64,
    /// Where images are written.
    folder: PathBuf,
    /// Threads that each node may have.
    threads: usize,
    record: Mutex<Record>,
    ui: &'a Ui,
}

impl Site<'_> {
    /// base -> overlay -> edits -> read back -> files.
    fn build(
        &self,
        job: &Job,
        host_keys: &HostKeys,
        base: &Arc<Base>,
    ) -> Result<Built> {
        let made = card::make(job, self.time, self.ui)?;
        let (args, folder) = (&self.args.format, &self.folder);
        let (threads, ui) = (self.threads, self.ui);
        let written =
            formats::write(job, &made, base, args, folder, threads, ui)?;
        let built =
            outputs::publish(job, base, written, folder, self.time, ui)?;
        let mut record =
            self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.built(job, ui)?;
        drop(record);
        ui.say(&summary(job, host_keys, folder, &built));
        Ok(built)
    }
}

/// Forgets that the clusters of these nodes were ever seen at work.
pub(super) fn forget_clusters(
    jobs: &[Job],
    (build_dir, secrets): (&Path, &SecretsArgs),
    time: i64,
    ui: &Ui,
) -> Result<()> {
    let access = Access::new(build_dir, secrets, time)?;
    let clusters = jobs.iter().filter_map(|job| job.plan.cluster.as_ref());
    let ours = clusters.filter(|cluster| !cluster.foreign);
    for kind in ours.map(|it| it.kind).collect::<BTreeSet<_>>() {
        ui.say(&match access.forget_seen(kind)? {
            true => format!(
                "the {kind} cluster, which had been seen at work, counts as \
                 gone: its first master begins a new one"
            ),
            false => format!("the {kind} cluster was never seen at work"),
        });
    }
    Ok(())
}

/// Gives every job the secrets of its node, and writes down how ssh and
/// kubectl reach them: before the first card can boot.
pub(super) fn identify(
    workshop: &Workshop,
    jobs: &mut [Job],
    (build_dir, secrets): (&Path, &SecretsArgs),
) -> Result<Vec<HostKeys>> {
    let access = Access::new(build_dir, secrets, workshop.time)?;
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
