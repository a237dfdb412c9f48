//! Errors at the edge: what failed, the exit code, and what to do next.

use std::{error::Error, io, process::ExitCode};

use crate::{disk::Damaged, ui::Report};

/// Decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// 1: it was tried, and failed.
    Failed,
    /// 2: bad usage or inventory; nothing was tried.
    Usage,
    /// 3: what was written does not read back.
    Verification,
    /// 3: two images differ, as was said.
    Different,
    /// 0: the reader of our output went away.
    BrokenPipe,
}

/// Why a command ends without success.
#[derive(Debug)]
pub(super) struct CommandError {
    pub(super) kind: Kind,
    pub(super) report: Report,
}

/// What to do about a file of the cache that lost bits.
const DAMAGED: &str = "run it again: what is damaged is read whole, and made \
                       or downloaded anew; piflash images verify reads all \
                       of the cache";

pub(super) type Result<T, E = CommandError> = std::result::Result<T, E>;

impl CommandError {
    pub(super) fn new(kind: Kind, report: Report) -> Self {
        Self { kind, report }
    }

    /// The command failed at `what` because of `error`.
    pub(super) fn failed(
        what: impl Into<String>,
        error: &(dyn Error + 'static),
    ) -> Self {
        let report = Report::new(what).because(error);
        match Damaged::of(error) {
            Some(_) => Self::new(Kind::Verification, report.hint(DAMAGED)),
            None => Self::new(Kind::Failed, report),
        }
    }

    /// The command was not given what it needs.
    pub(super) fn usage(what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, Report::new(what))
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.report = self.report.hint(hint);
        self
    }

    /// Two images differ; in what, standard output says.
    pub(super) fn different() -> Self {
        Self::new(Kind::Different, Report::default())
    }

    /// Writing to standard output failed.
    pub(super) fn output(error: &io::Error) -> Self {
        let mut this = Self::failed("cannot write the output", error);
        if error.kind() == io::ErrorKind::BrokenPipe {
            this.kind = Kind::BrokenPipe;
        }
        this
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.kind {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Verification | Kind::Different => 3,
            Kind::BrokenPipe => 0,
        })
    }
}
