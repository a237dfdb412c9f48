//! What became of the devices, in words.

use std::{error::Error, fmt::Write};

use super::devices::{OpenDevice, rate, seconds};
use crate::{
    commands::error::{CommandError, Kind, Result},
    fs::apply::Mismatch,
    sink::device::{Bottleneck, DeviceError, DeviceErrorKind, Left, Written},
    ui::{Report, Ui, bytes},
};

/// How many paths an error lists.
const LISTED: usize = 8;

/// Paths that do not read back, as an error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Mismatches(String);

/// Makes an error of mismatches, if there are any.
pub(super) fn no_mismatch(
    found: Vec<Mismatch>,
) -> std::result::Result<(), Box<dyn Error + Send + Sync>> {
    if found.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<_> =
        found.iter().take(LISTED).map(ToString::to_string).collect();
    if let Some(more) = found.len().checked_sub(LISTED).filter(|n| *n > 0) {
        lines.push(format!("and {more} more"));
    }
    Err(Mismatches(lines.join("\n")).into())
}

/// Tells how it went, of every device; fails where one has failed.
pub(super) fn tell(
    name: &str,
    devices: &[OpenDevice],
    results: Vec<Result<Written, DeviceError>>,
    paths: usize,
    ui: &Ui,
) -> Result<()> {
    let all = devices.len();
    let mut failures = Vec::new();
    for (device, result) in devices.iter().zip(results) {
        match result {
            Ok(written) => ui.say(&success(name, device, &written, paths)),
            Err(error) => failures.push(failure(name, device, &error)),
        }
    }
    let mismatch = failures.iter().any(|e| e.kind == Kind::Verification);
    let kind = if mismatch { Kind::Verification } else { Kind::Failed };
    if all == 1 {
        return failures.into_iter().next().map_or(Ok(()), Err);
    }
    if failures.is_empty() {
        return Ok(());
    }
    let what = format!("{} of {all} devices failed", failures.len());
    let mut report = Report::new(what);
    for failure in &failures {
        report = report.including(&failure.report);
    }
    Err(CommandError::new(kind, report))
}

fn success(
    name: &str,
    device: &OpenDevice,
    written: &Written,
    paths: usize,
) -> String {
    let path = device.disk.path();
    let mut text = format!("{} is {name} now\n", path.display());
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<11} {value}");
    };
    let waited = match written.bottleneck {
        Some(Bottleneck::Device) => "; the device was what took the time",
        Some(Bottleneck::Image) => "; reading the image took the time",
        None => "",
    };
    line(
        "written",
        format!(
            "{} of {} in {} ({}{waited})",
            bytes(written.written),
            bytes(written.size),
            seconds(written.writing),
            rate(written.written, written.writing),
        ),
    );
    match written.reading_back {
        Some(time) => {
            let paths = match paths {
                0 => String::new(),
                paths => format!(", and {paths} paths through FAT and ext4"),
            };
            line(
                "read back",
                format!("all of it in {}{paths}: the same", seconds(time)),
            );
        }
        None => line("read back", "no (--no-verify)".to_owned()),
    }
    line("", "flushed: safe to remove".to_owned());
    text.trim_end().to_owned()
}

fn failure(
    name: &str,
    device: &OpenDevice,
    error: &DeviceError,
) -> CommandError {
    let path = device.disk.path();
    let path = path.display();
    let kind = match error.kind {
        DeviceErrorKind::Mismatch(_) | DeviceErrorKind::Check(_) => {
            Kind::Verification
        }
        _ => Kind::Failed,
    };
    let what = format!("{name} is not on {path}");
    let mut report = Report::new(what).because(error);
    if kind == Kind::Verification {
        report = report.hint(
            "a card that does not hold what it is given is worn out, or \
             smaller than it says: use another",
        );
    }
    report = report.hint(match error.left {
        Left::Untouched => format!("nothing was written to {path}"),
        Left::Erased => format!(
            "{path} has no partition table now, so nothing on it boots; it \
             can be written again"
        ),
        Left::Unknown => format!(
            "nobody knows what is on {path} now: write it again before it is \
             used"
        ),
    });
    CommandError::new(kind, report)
}
