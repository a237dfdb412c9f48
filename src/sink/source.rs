//! Files of the base that a sink copies from.

use super::{SinkError, SinkErrorKind, Staged};
use rustix::fs::copy_file_range;
use std::{fs::File, io, os::unix::fs::MetadataExt};

/// How much the kernel is asked to copy at once.
const COPY: usize = 16 << 20;

/// What changes with a file's content: a copy of parts of two images would
/// look whole.
#[derive(PartialEq, Eq)]
struct Stamp {
    len: u64,
    /// Seconds and nanoseconds. Not the ctime: a new link or mode is no new
    /// content.
    mtime: (i64, i64),
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            len: metadata.len(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

/// Looks at files before they are read, and again behind that.
pub(super) struct Watch<'f> {
    files: Vec<(&'f File, Stamp)>,
}

impl<'f> Watch<'f> {
    /// Takes the files; none of them may be the one to be replaced.
    pub(super) fn new(
        staged: &Staged,
        files: impl IntoIterator<Item = &'f File>,
    ) -> Result<Self, SinkError> {
        let mut watched = Vec::new();
        for file in files {
            let same = staged.would_replace(file).map_err(|e| {
                staged.error("compare with the base image", None, e)
            })?;
            if same {
                return Err(SinkError {
                    path: staged.path().to_owned(),
                    offset: None,
                    op: "replace",
                    kind: SinkErrorKind::BadDestination(
                        "it is the base image, which is never changed",
                    ),
                });
            }
            watched.push((file, stamp(staged, file)?));
        }
        Ok(Self { files: watched })
    }

    /// Returns an error where one of the files changed meanwhile.
    pub(super) fn check(&self, staged: &Staged) -> Result<(), SinkError> {
        for (file, before) in &self.files {
            if stamp(staged, file)? != *before {
                let what = "the base image was changed while it was read";
                let error = io::Error::other(what);
                return Err(staged.read_error(None, error));
            }
        }
        Ok(())
    }
}

fn stamp(staged: &Staged, file: &File) -> Result<Stamp, SinkError> {
    let failed = |e| staged.error("look at the base of", None, e);
    Stamp::of(file).map_err(failed)
}

/// Lets the kernel copy some of the `len` bytes at `from` to `to`; returns
/// how many. `None`: other file systems, old kernels, errors. Then it is to
/// be done by hand, and that reports what is really wrong.
pub(super) fn kernel_copy(
    source: &File,
    mut from: u64,
    target: &File,
    mut to: u64,
    len: u64,
) -> Option<u64> {
    let wanted = usize::try_from(len).map_or(COPY, |len| len.min(COPY));
    let copied =
        copy_file_range(source, Some(&mut from), target, Some(&mut to), wanted);
    u64::try_from(copied.ok()?).ok().filter(|copied| *copied > 0)
}
