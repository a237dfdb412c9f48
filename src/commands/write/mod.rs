//! Writes a card: asks before, and proves it behind.

mod devices;
mod image;
mod opening;
mod outcome;
mod selection;

use std::{
    path::{Path, PathBuf},
    slice,
    sync::{Arc, atomic::AtomicBool},
};

use clap::Args;

use super::{
    build, card,
    error::{CommandError, Result},
    record::Record,
    secrets::SecretsArgs,
    shelf::ImageArgs,
    workshop::Workshop,
};
use crate::{
    disk::ReadAt,
    sink::device::{Check, Destination, Source, WriteOptions, write_devices},
    ui::Ui,
};
use devices::OpenDevice;
use image::ImageFileSource;
pub(super) use opening::{OpenDeviceArgs, open_device};

/// Write a node's card, or an image, straight to a device
///
/// The card is read back and compared before it can boot. Without DEVICE,
/// the disks that there are are listed.
#[derive(Args, Debug)]
pub(super) struct WriteArgs {
    /// The node, by its name in the inventory; or a file: .img, .img.xz,
    /// .img.zst, .img.gz, .zip
    #[arg(value_name = "NODE|IMAGE")]
    source: String,

    /// The disk, as /dev/sdX; all that is on it will be lost
    #[arg(value_name = "DEVICE")]
    device: Option<PathBuf>,

    /// Another disk, written at the same time (may be repeated)
    #[arg(long, value_name = "DEVICE", requires = "device")]
    also: Vec<PathBuf>,

    /// Do not ask for the name of the device
    #[arg(short, long)]
    yes: bool,

    /// Also write to disks that are not removable
    #[arg(long)]
    allow_fixed: bool,

    /// Do not read back what was written
    #[arg(long)]
    no_verify: bool,

    /// The cluster that the node is of is gone: the card of its first master
    /// begins a new one, with the same authorities and tokens
    #[arg(long)]
    new_cluster: bool,

    #[command(flatten)]
    image: ImageArgs,

    /// Refuse base images and artefacts other than those that piflash.lock
    /// records
    #[arg(long)]
    locked: bool,

    /// Where secrets are kept, in its `secrets/`
    #[arg(long, value_name = "DIR", default_value = "build")]
    build_dir: PathBuf,

    #[command(flatten)]
    secrets: SecretsArgs,
}

/// Writes a node's card or an image.
pub(super) fn write(inventory: &Path, args: &WriteArgs, ui: &Ui) -> Result<()> {
    let Some(first) = &args.device else {
        return selection::list(args.allow_fixed, &args.source, ui);
    };
    let paths: Vec<_> = [first].into_iter().chain(&args.also).collect();
    let disks = selection::choose(&paths, args.allow_fixed)?;
    if is_image(&args.source) {
        let source = ImageFileSource::open(Path::new(&args.source))?;
        let devices = devices::open(disks, &args.source, ui)?;
        devices::check_size(&devices, source.size())?;
        devices::confirm(&devices, &args.source, args.yes, ui)?;
        let needed = source.needed();
        let job = Job { name: &args.source, needed, check: None, paths: 0 };
        return job.write(source.source(), &devices, args, ui);
    }
    write_node(inventory, args, disks, ui)
}

/// Returns whether this names a file and not a node: `./node3` is a file,
/// `node3` never.
fn is_image(source: &str) -> bool {
    let path = Path::new(source);
    let packed = ["img", "xz", "gz", "zst", "zip"];
    let extension = path.extension().and_then(|e| e.to_str());
    source.contains('/') || extension.is_some_and(|e| packed.contains(&e))
}

fn write_node(
    inventory: &Path,
    args: &WriteArgs,
    disks: Vec<crate::sink::device::disks::Disk>,
    ui: &Ui,
) -> Result<()> {
    let name = &args.source;
    let workshop = Workshop::open(inventory, &args.image, ui)?;
    let mut jobs = workshop.prepare(slice::from_ref(name), ui)?;
    let mut record =
        Record::open(inventory, args.locked, args.image.cache().ok())?;
    for job in &jobs {
        record.check(job, ui)?;
    }
    let devices = devices::open(disks, name, ui)?;
    for job in &jobs {
        devices::check_size(&devices, Some(job.image.device().size()))?;
    }
    devices::confirm(&devices, name, args.yes, ui)?;
    let places = (args.build_dir.as_path(), &args.secrets);
    if args.new_cluster {
        build::forget_clusters(&jobs, places, workshop.time, ui)?;
    }
    build::identify(&workshop, &mut jobs, places)?;
    for job in &jobs {
        for note in &job.plan.notes {
            ui.say(&format!("note: {note}"));
        }
        let made = card::make(job, workshop.time, ui)?;
        let unchanged = || {
            job.image.check_unchanged().map_err(|error| {
                CommandError::failed(format!("cannot write {name}"), &error)
            })
        };
        unchanged()?;
        let overlay: Arc<dyn ReadAt> = made.overlay.clone();
        let needed = image::needed(&overlay);
        let check = |disk: Arc<dyn ReadAt>| {
            let found = card::compare(disk, &job.image, &made.expected)?;
            outcome::no_mismatch(found)
        };
        let written = Job {
            name,
            needed,
            check: Some(&check),
            paths: made.expected.len(),
        };
        written.write(Source::Disk(&*overlay), &devices, args, ui)?;
        unchanged()?;
        record.built(job, ui)?;
    }
    Ok(())
}

/// What is written, as far as writing depends on it.
struct Job<'j> {
    /// The node, or the file.
    name: &'j str,
    needed: Option<crate::sink::device::Runs>,
    check: Option<&'j Check<'j>>,
    /// How many paths the check looks at.
    paths: usize,
}

impl Job<'_> {
    fn write(
        self,
        source: Source<'_>,
        devices: &[OpenDevice],
        args: &WriteArgs,
        ui: &Ui,
    ) -> Result<()> {
        let stop = stop_on_signals().map_err(|error| {
            CommandError::failed("cannot watch for signals", &error)
        })?;
        let bars: Vec<_> =
            devices.iter().map(|d| ui.bar(&d.disk.name)).collect();
        let destinations: Vec<_> = devices
            .iter()
            .zip(&bars)
            .map(|(device, bar)| Destination {
                target: Arc::clone(&device.target),
                progress: &**bar,
            })
            .collect();
        let options = WriteOptions {
            verify: !args.no_verify,
            needed: self.needed,
            check: self.check,
            stop: &stop,
        };
        let results = write_devices(source, &destinations, &options);
        drop(bars);
        outcome::tell(self.name, devices, results, self.paths, ui)
    }
}

/// Returns what is set by the first Ctrl-C, or another signal that wants an
/// end. A second one ends the program at once: a card that is not complete
/// does not boot in any case.
fn stop_on_signals() -> std::io::Result<Arc<AtomicBool>> {
    use signal_hook::{consts::TERM_SIGNALS, flag};
    let stop = Arc::new(AtomicBool::new(false));
    for signal in TERM_SIGNALS.iter().copied().chain([1]) {
        let code = 128_i32.saturating_add(signal);
        flag::register_conditional_shutdown(signal, code, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use super::is_image;

    #[test]
    fn files_and_nodes() {
        for node in ["node3", "node.example", "xz"] {
            assert!(!is_image(node), "{node}");
        }
        for image in ["./node3", "node3.img", "a.img.xz", "b.zip", "/x"] {
            assert!(is_image(image), "{image}");
        }
    }
}
