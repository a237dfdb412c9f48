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
        lock::{Lock, LockError, LockedArtefact, LockedArtefacts, LockedNode},
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
        let lock = load(&path)?;
        Ok(Self { path, lock, locked, cache })
    }

    /// With `--locked`, refuses a job on another image, or with other
    /// artefacts, than is recorded. Without it, warns of releases that were
    /// replaced.
    pub(super) fn check(&self, job: &Job, ui: &Ui) -> Result<()> {
        let node = &job.plan.node;
        if !self.locked {
            for drift in self.lock.replaced(node, &artefacts(job)) {
                ui.warn(&format!(
                    "{drift}. Releases do not change: find out which of the \
                     two is right before the card is used"
                ));
            }
            return Ok(());
        }
        let Some(now) = self.identify(job, ui)? else { return Ok(()) };
        // Not by what is remembered of it, but by what it is.
        let bar = ui.bar(&job.image.name);
        job.image.read_whole(&*bar).map_err(|error| {
            let what = format!("cannot use the base of {node}");
            CommandError::failed(what, &error)
        })?;
        self.lock.check(node, &now).map_err(|drift| {
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
        if let Some(now) = self.identify(job, ui)? {
            self.lock = Lock::update(&self.path, &job.plan.node, now)
                .map_err(|error| lock_error(&error))?;
        }
        Ok(())
    }

    /// The demo image is part of the program: nothing to be recorded.
    fn identify(&self, job: &Job, ui: &Ui) -> Result<Option<LockedNode>> {
        if job.image.origin == Origin::Demo {
            return Ok(None);
        }
        let bar = ui.bar(&job.plan.node);
        let image =
            job.image.locked(self.cache.as_ref(), &*bar).map_err(|error| {
                let what = format!("cannot read the base of {}", job.plan.node);
                CommandError::failed(what, &error)
            })?;
        Ok(Some(LockedNode { image, artefacts: artefacts(job) }))
    }
}

fn artefacts(job: &Job) -> LockedArtefacts {
    let files = job.artefacts.files.iter();
    files.map(|file| (file.name.clone(), LockedArtefact::from(file))).collect()
}

/// Reads a lock.
pub(super) fn load(path: &Path) -> Result<Lock> {
    Lock::load(path).map_err(|error| lock_error(&error))
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
