//! Everything that people see: the only place that prints.
//!
//! Standard output carries what was asked for (a plan, an inventory);
//! everything said on the way goes to standard error.

mod bar;
mod report;
mod size;
mod table;

use std::io::{self, IsTerminal, Write};

pub use bar::Bar;
pub use report::Report;
pub use size::bytes;
pub use table::{Column, table};

/// How much to say, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ui {
    quiet: bool,
}

impl Ui {
    /// Creates one; a quiet one says nothing but errors.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// Writes what was asked for to standard output. A reader that went
    /// away (`piflash plan node3 | head`) is an error of kind `BrokenPipe`.
    pub fn print(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Says something on standard error, unless quiet.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            // Nobody is left to be told of an error here.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Warns on standard error.
    pub fn warn(&self, text: &str) {
        let _ = writeln!(io::stderr(), "warning: {text}");
    }

    /// Reports an error on standard error.
    pub fn report(&self, report: &Report) {
        let _ = write!(io::stderr(), "{report}");
    }

    /// Returns a progress bar, drawn only on a terminal.
    #[must_use]
    pub fn bar(&self, subject: &str) -> Bar {
        Bar::new(subject, !self.quiet && io::stderr().is_terminal())
    }
}
