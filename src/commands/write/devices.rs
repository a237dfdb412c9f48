//! Open devices: what is on them, and whether they shall be erased.

use std::{sync::Arc, time::Duration};

use super::opening;
use crate::{
    base::probe::identify,
    commands::error::{CommandError, Kind, Result},
    disk::{PartitionTable, ReadAt, TableError, TableKind},
    sink::device::{
        Target, TargetView,
        disks::{Disk, Machine},
    },
    ui::{Report, Ui, bytes},
};

/// A disk that nobody else can use now.
pub(super) struct OpenDevice {
    pub(super) disk: Disk,
    pub(super) target: Arc<dyn Target>,
}

/// Opens the disks, and makes sure that they still are what was looked at.
pub(super) fn open(
    disks: Vec<Disk>,
    source: &str,
    ui: &Ui,
) -> Result<Vec<OpenDevice>> {
    let machine = Machine::default();
    let mut devices = Vec::new();
    for disk in disks {
        let device = opening::open(&disk, source, ui)?;
        let number = device.number().ok();
        let now = number.and_then(|number| machine.numbered(number).ok());
        let same = now.is_some_and(|now| {
            (now.number, now.sequence, now.size)
                == (disk.number, disk.sequence, disk.size)
        });
        if !same {
            let what = format!("{} was changed", disk.path().display());
            return Err(CommandError::usage(what)
                .hint("nothing was written; look which disk it is now"));
        }
        devices.push(OpenDevice { disk, target: Arc::new(device) });
    }
    Ok(devices)
}

/// Refuses an image that does not fit, before anybody is asked.
pub(super) fn check_size(
    devices: &[OpenDevice],
    size: Option<u64>,
) -> Result<()> {
    let Some(size) = size else { return Ok(()) };
    for OpenDevice { disk, target } in devices {
        if target.size() < size {
            let what = format!("{} is too small", disk.path().display());
            let report = Report::new(what)
                .cause(format!(
                    "the image has {} ({size} bytes), the device {} ({} bytes)",
                    bytes(size),
                    bytes(target.size()),
                    target.size()
                ))
                .hint("nothing was written");
            return Err(CommandError::new(Kind::Usage, report));
        }
    }
    Ok(())
}

/// Shows what will be lost, and wants the names of the devices typed.
pub(super) fn confirm(
    devices: &[OpenDevice],
    source: &str,
    yes: bool,
    ui: &Ui,
) -> Result<()> {
    for device in devices {
        ui.say(&describe(device));
        if device.target.sector() != 512 {
            ui.warn(&format!(
                "{} has sectors of {} bytes, and the partition table of an \
                 image for cards counts sectors of 512: boards will not find \
                 their partitions",
                device.disk.path().display(),
                device.target.sector()
            ));
        }
    }
    if yes {
        return Ok(());
    }
    let names: Vec<_> =
        devices.iter().map(|device| device.disk.name.as_str()).collect();
    let names = names.join(" ");
    let question = format!(
        "All of it will be lost, to write {source}. Type `{names}` to go on: "
    );
    let answer = ui.ask(&question).map_err(|error| {
        CommandError::failed("cannot read the answer", &error)
    })?;
    let typed = answer.as_deref().map(|answer| {
        let names = answer.split_whitespace();
        let bare = names.map(|n| n.strip_prefix("/dev/").unwrap_or(n));
        bare.collect::<Vec<_>>().join(" ")
    });
    match typed {
        Some(typed) if typed == names => Ok(()),
        Some(_) => Err(CommandError::usage(format!(
            "`{names}` was not typed: nothing was written"
        ))),
        None => Err(CommandError::usage(
            "nobody could be asked: nothing was written",
        )
        .hint("--yes says that the right device is named")),
    }
}

/// Tells of a device and what is on it.
fn describe(device: &OpenDevice) -> String {
    let OpenDevice { disk, target } = device;
    let mut text = format!(
        "{}: {}, {}{}{}\n",
        disk.path().display(),
        bytes(target.size()),
        disk.bus.name(),
        if disk.model.is_empty() { "" } else { ", " },
        disk.model
    );
    for line in contents(target) {
        text.push_str("  ");
        text.push_str(&line);
        text.push('\n');
    }
    text.trim_end().to_owned()
}

/// What is on a device now, as far as we know such things.
fn contents(target: &Arc<dyn Target>) -> Vec<String> {
    let size = target.size();
    let view = TargetView::new(Arc::clone(target), size, Vec::new());
    let volume = |disk: &dyn ReadAt| -> Option<String> {
        let volume = identify(disk).ok()?;
        let label = volume.label.unwrap_or_default();
        Some(format!("{} {label}", volume.fs?).trim_end().to_owned())
    };
    let table = match PartitionTable::read(&view) {
        Ok(table) => table,
        Err(error) => {
            return vec![match (volume(&view), error) {
                (Some(volume), _) => format!("holds {volume}"),
                (None, TableError::Missing(_)) => {
                    "holds no partitions".to_owned()
                }
                (None, error) => format!("holds something damaged: {error}"),
            }];
        }
    };
    let kind = match table.kind {
        TableKind::Mbr => "MBR",
        TableKind::Gpt => "GPT",
    };
    let mut lines = vec![format!("holds {kind} {}", table.disk_id)];
    for partition in &table.partitions {
        let window = partition.window(&view);
        let volume = window.ok().and_then(|window| volume(&window));
        lines.push(format!(
            "partition {}: {} {}",
            partition.number,
            bytes(partition.len),
            volume.unwrap_or_else(|| format!("type {}", partition.kind))
        ));
    }
    lines
}

/// `12.3 s`
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Bytes in a second.
pub(super) fn rate(count: u64, time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = count.saturating_mul(1000).checked_div(millis);
    format!("{}/s", bytes(rate.unwrap_or(0)))
}
