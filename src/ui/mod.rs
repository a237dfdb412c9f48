//! Everything that people see: the only place that prints.
//!
//! Standard output carries what was asked for (a plan, an inventory);
//! everything said on the way goes to standard error.

mod bar;
mod escape;
mod json;
mod live;
mod question;
mod report;
mod size;
mod table;

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressDrawTarget};

use crate::progress::{Progress, Silent};
use bar::Bar;
use json::Lines;

pub use escape::{escape, escape_text};
pub use live::Live;
pub use question::Confirmed;
pub use report::Report;
pub use size::bytes;
pub use table::{Column, table};

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProgressMode {
    /// Bars on a terminal, else nothing.
    #[default]
    Auto,
    /// Not at all.
    None,
    /// Everything on standard error is a line of JSON.
    Json,
}

/// How much to say, and how. Threads may share one.
#[derive(Debug)]
pub struct Ui {
    quiet: bool,
    style: Style,
}

#[derive(Debug)]
enum Style {
    /// Text, below it bars where there is a terminal.
    Text(Option<MultiProgress>),
    Json(Lines),
}

impl Ui {
    /// Creates one; a quiet one says nothing but warnings and errors.
    #[must_use]
    pub fn new(mode: ProgressMode, quiet: bool) -> Self {
        let bars = || {
            let target = ProgressDrawTarget::stderr_with_hz(15);
            MultiProgress::with_draw_target(target)
        };
        let drawn = !quiet && io::stderr().is_terminal();
        let style = match mode {
            ProgressMode::Auto => Style::Text(drawn.then(bars)),
            ProgressMode::None => Style::Text(None),
            ProgressMode::Json => Style::Json(Lines::default()),
        };
        Self { quiet, style }
    }

    /// Writes what was asked for to standard output. A reader that went
    /// away (`piflash plan node3 | head`) is an error of kind `BrokenPipe`.
    pub fn print(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Returns standard output, for what is too long to be held in memory.
    /// It must be flushed.
    #[must_use]
    pub fn output(&self) -> BufWriter<StdoutLock<'static>> {
        BufWriter::new(io::stdout().lock())
    }

    /// Returns whether a person reads standard output.
    #[must_use]
    pub fn is_read_by_people(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Returns how many columns standard output has; 80 where it is no
    /// terminal.
    #[must_use]
    pub fn width(&self) -> usize {
        let size = rustix::termios::tcgetwinsize(io::stdout());
        let width = size.map_or(0, |size| usize::from(size.ws_col));
        if width == 0 { 80 } else { width.clamp(40, 200) }
    }

    /// Says something on standard error, unless quiet.
    pub fn say(&self, text: &str) {
        match &self.style {
            _ if self.quiet => {}
            Style::Text(bars) => write(bars.as_ref(), &format!("{text}\n")),
            Style::Json(lines) => lines.say("message", text.trim_end()),
        }
    }

    /// Warns on standard error.
    pub fn warn(&self, text: &str) {
        match &self.style {
            Style::Text(bars) => {
                write(bars.as_ref(), &format!("warning: {text}\n"));
            }
            Style::Json(lines) => lines.say("warning", text),
        }
    }

    /// Reports an error on standard error.
    pub fn report(&self, report: &Report) {
        match &self.style {
            Style::Text(bars) => write(bars.as_ref(), &report.to_string()),
            Style::Json(lines) => lines.error(report),
        }
    }

    /// Returns the progress of `subject`, a node or an image. A stage that
    /// is under way when it is dropped has failed.
    #[must_use]
    pub fn bar(&self, subject: &str) -> Box<dyn Progress> {
        match &self.style {
            _ if self.quiet => Box::new(Silent),
            Style::Text(Some(bars)) => Box::new(Bar::new(subject, bars)),
            Style::Text(None) => Box::new(Silent),
            Style::Json(lines) => Box::new(lines.item(subject)),
        }
    }
}

/// Writes above the bars. Nobody is left to be told of an error here.
fn write(bars: Option<&MultiProgress>, text: &str) {
    let write = || drop(io::stderr().write_all(text.as_bytes()));
    match bars {
        Some(bars) => bars.suspend(write),
        None => write(),
    }
}
