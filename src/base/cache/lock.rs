use crate::{base::FileError, progress::Progress};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// One download's lock, free when dropped or when the process ends.
#[derive(Debug)]
pub(in crate::base) struct Lock {
    file: File,
}

impl Lock {
    /// Waits for the lock; makes the directories.
    pub(in crate::base) fn take(
        dir: &Path,
        key: &str,
        progress: &dyn Progress,
    ) -> Result<Self, FileError> {
        for name in
            ["images", "packed", "prepared", "artefacts", "partial", "locks"]
        {
            let dir = dir.join(name);
            fs::create_dir_all(&dir).map_err(FileError::at("create", &dir))?;
        }
        let path = path(dir, key);
        let fail = |op| FileError::at(op, &path);
        let file = open(&path).map_err(fail("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(fail("lock")(error)),
            Err(TryLockError::WouldBlock) => {
                progress.start("wait for another run", None);
                let locked = file.lock();
                progress.finish();
                locked.map_err(fail("lock"))?;
            }
        }
        Ok(Self { file })
    }

    /// Takes the lock if nobody has it.
    pub(super) fn try_take(dir: &Path, key: &str) -> io::Result<Option<Self>> {
        let file = open(&path(dir, key))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing it would do; the file stays, for another may wait for it.
        let _ = self.file.unlock();
    }
}

fn path(dir: &Path, key: &str) -> PathBuf {
    dir.join("locks").join(format!("{key}.lock"))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).open(path)
}
