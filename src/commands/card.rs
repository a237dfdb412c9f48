//! From a planned node to its card in memory: edited, and read back.

use std::sync::Arc;

use super::{
    error::{CommandError, Kind, Result},
    workshop::Job,
};
use crate::{
    base::image::Image,
    disk::{Overlay, ReadAt},
    fs::{
        Ext4Reader, Fat, FsError, FsErrorKind,
        apply::{ApplyError, Card, Expectations, Mismatch, apply, read_back},
        ext4::{EditOptions, Ext4},
    },
    plan::Part,
    ui::{Report, Ui},
};

/// A node's card over its base, and what is known to be on it.
pub(super) struct MadeCard {
    pub(super) overlay: Arc<Overlay>,
    pub(super) expected: Expectations,
}

/// base -> overlay -> edits -> read back.
pub(super) fn make(job: &Job, time: i64, ui: &Ui) -> Result<MadeCard> {
    let failed = format!("cannot build {}", job.plan.node);
    let bar = ui.bar(&job.plan.node);

    bar.start("edit", None);
    let overlay = Arc::new(Overlay::new(job.image.device()));
    let expected = edit(&overlay, job, time).map_err(|error| {
        let mut report = CommandError::failed(&failed, &error);
        // Nothing is wrong with piflash or the machine: the base is refused.
        if matches!(
            error.source.kind,
            FsErrorKind::DirtyJournal | FsErrorKind::Unsupported(_)
        ) {
            report.kind = Kind::Usage;
        }
        report.hint("the base image is as it was, and nothing was written")
    })?;
    bar.finish();

    bar.start("read back", None);
    check(&overlay, job, &expected)?;
    bar.finish();
    Ok(MadeCard { overlay, expected })
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
    let disk: Arc<dyn ReadAt> = Arc::<Overlay>::clone(overlay);
    let mismatches = compare(disk, &job.image, expected).map_err(|e| {
        CommandError::new(Kind::Verification, Report::new(failed()).because(&e))
    })?;
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

/// Compares what is on `disk`, a card over `image`, with what is expected.
pub(super) fn compare(
    disk: Arc<dyn ReadAt>,
    image: &Image,
    expected: &Expectations,
) -> Result<Vec<Mismatch>, FsError> {
    let boot = Fat::open(image.boot(Arc::clone(&disk))?, 0)?;
    let root = image.root(Arc::new(Overlay::new(disk)))?;
    let root = Ext4Reader::open(root)?;
    Ok(read_back(expected, &boot, &root))
}
