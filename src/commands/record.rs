//! Keeps `piflash.lock`: what each node was built from.

use std::path::{Path, PathBuf};

use super::{
    error::{CommandError, Kind, Result},
    workshop::Job,
};
use crate::{
    base::{
        cache::Cache,
        image::Origin,
        lock::{Lock, LockError, LockedImage},
    },
    ui::{Report, Ui},
};

/// The lock of one run.
pub(super) struct Record {
    path: PathBuf,
    lock: Lock,
    locked: bool,
    /// Knows digests of images.
    cache: Option<Cache>,
}

impl Record {
    pub(super) fn open(
        inventory: &Path,
        locked: bool,
        cache: Option<Cache>,
    ) -> Result<Self> {
        let path = Lock::path_for(inventory);
        let lock = Lock::load(&path).map_err(|error| lock_error(&error))?;
        Ok(Self { path, lock, locked, cache })
    }

    /// With `--locked`, refuses a job on another image than is recorded.
    pub(super) fn check(&self, job: &Job, ui: &Ui) -> Result<()> {
        if !self.locked {
            return Ok(());
        }
        let node = &job.plan.node;
        let Some(image) = self.identify(job, ui)? else { return Ok(()) };
        self.lock.check(node, &image).map_err(|drift| {
            let what =
                format!("{node} would drift from {}", self.path.display());
            let report = Report::new(what).because(&drift).hint(
                "build without --locked to accept it, and commit the lock",
            );
            CommandError::new(Kind::Usage, report)
        })
    }

    /// Records what a job was built from.
    pub(super) fn built(&mut self, job: &Job, ui: &Ui) -> Result<()> {
        if let Some(image) = self.identify(job, ui)? {
            self.lock.record(&job.plan.node, image);
            self.lock.save(&self.path).map_err(|error| lock_error(&error))?;
        }
        Ok(())
    }

    /// The demo image is part of the program: nothing to be recorded.
    fn identify(&self, job: &Job, ui: &Ui) -> Result<Option<LockedImage>> {
        if job.image.origin == Origin::Demo {
            return Ok(None);
        }
        let bar = ui.bar(&job.plan.node);
        let image =
            job.image.locked(self.cache.as_ref(), &*bar).map_err(|error| {
                let what = format!("cannot read the base of {}", job.plan.node);
                CommandError::failed(what, &error)
            })?;
        Ok(Some(image))
    }
}

fn lock_error(error: &LockError) -> CommandError {
    let this = CommandError::failed("cannot keep the lock", error);
    match error {
        LockError::Parse { .. } => {
            this.hint("restore it from version control, or remove it")
        }
        _ => this,
    }
}
