//! Which disks may be written to.

use std::path::PathBuf;

use crate::{
    commands::error::{CommandError, Kind, Result},
    sink::device::disks::{Disk, DiskError, Machine},
    ui::{Column, Report, Ui, bytes, table},
};

/// Takes the disks that were named; refuses those that must not be written.
pub(super) fn choose(
    paths: &[&PathBuf],
    allow_fixed: bool,
) -> Result<Vec<Disk>> {
    let machine = Machine::default();
    let mut disks: Vec<Disk> = Vec::new();
    for path in paths {
        let disk = machine.find(path).map_err(|error| {
            let what = format!("{} cannot be written to", path.display());
            let report = Report::new(what).because(&error);
            let report = match &error {
                DiskError::Partition { disk, .. } => report.hint(format!(
                    "a card is written as a whole: name {}",
                    disk.display()
                )),
                _ => report.hint("piflash write NODE lists the disks"),
            };
            CommandError::new(Kind::Usage, report)
        })?;
        if let Some(refusal) = refusal(&disk, allow_fixed) {
            let what =
                format!("{} must not be written to", disk.path().display());
            let report = Report::new(what).cause(refusal.why);
            let report = report.hint(refusal.hint);
            return Err(CommandError::new(Kind::Usage, report));
        }
        if disks.iter().any(|other| other.number == disk.number) {
            let what = format!("{} is named twice", disk.path().display());
            return Err(CommandError::usage(what));
        }
        disks.push(disk);
    }
    Ok(disks)
}

struct Refusal {
    /// In a few words, for a table.
    short: String,
    why: String,
    hint: &'static str,
}

/// Says why a disk must not be written to, if so.
fn refusal(disk: &Disk, allow_fixed: bool) -> Option<Refusal> {
    let uses = || {
        let uses: Vec<_> = disk.uses.iter().map(ToString::to_string).collect();
        uses.join(", ")
    };
    let (short, why, hint) = if disk.size == 0 {
        (
            "no card in it".to_owned(),
            "no card is in it".to_owned(),
            "insert one",
        )
    } else if disk.is_system() {
        (
            "this system's disk".to_owned(),
            format!("this machine runs from it: {}", uses()),
            "name the disk that the card is",
        )
    } else if !disk.uses.is_empty() {
        (
            uses(),
            format!("it is in use: {}", uses()),
            "unmount it (udisksctl unmount, umount), and release what holds it",
        )
    } else if disk.read_only {
        (
            "read-only".to_owned(),
            "it is read-only".to_owned(),
            "look for the lock of the card or of its adapter",
        )
    } else if !disk.removable && !allow_fixed {
        (
            "not removable".to_owned(),
            format!(
                "it is not removable ({}, {}): it could be any disk",
                disk.bus.name(),
                bytes(disk.size)
            ),
            "if you are sure, add --allow-fixed",
        )
    } else {
        return None;
    };
    Some(Refusal { short, why, hint })
}

/// Lists the disks; that nothing was written is an error.
pub(super) fn list(allow_fixed: bool, source: &str, ui: &Ui) -> Result<()> {
    let disks = Machine::default().disks().map_err(|error| {
        CommandError::failed("cannot look for disks", &error)
    })?;
    let columns = [
        Column::left("DEVICE"),
        Column::right("SIZE"),
        Column::left("BUS"),
        Column::left("MODEL"),
        Column::left("STATE"),
    ];
    let mut ready = None;
    let mut rows = Vec::new();
    for disk in &disks {
        let path = disk.path().display().to_string();
        let state = match refusal(disk, allow_fixed) {
            Some(refusal) => refusal.short,
            None => {
                ready.get_or_insert_with(|| path.clone());
                "ready".to_owned()
            }
        };
        let (bus, size) = (disk.bus.name().to_owned(), bytes(disk.size));
        rows.push(vec![path, size, bus, disk.model.clone(), state]);
    }
    ui.print(&table(&columns, &rows)).map_err(|e| CommandError::output(&e))?;
    let error = CommandError::usage("no device is named: nothing was written");
    Err(match ready {
        Some(path) => error.hint(format!("piflash write {source} {path}")),
        None => error.hint("insert a card, and look again"),
    })
}
