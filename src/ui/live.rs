use std::{
    env,
    io::{self, IsTerminal, Write},
};

use super::Ui;

/// A text on standard output that changes: on a terminal in its place,
/// elsewhere written anew whenever it is another.
#[derive(Debug)]
pub struct Live<'u> {
    ui: &'u Ui,
    terminal: bool,
    /// Lines on the terminal that are ours.
    drawn: usize,
    last: String,
}

impl<'u> Live<'u> {
    /// Begins below whatever is there.
    #[must_use]
    pub fn new(ui: &'u Ui) -> Self {
        let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
        let terminal = !dumb && io::stdout().is_terminal();
        Self { ui, terminal, drawn: 0, last: String::new() }
    }

    /// Says whether it is redrawn in its place.
    #[must_use]
    pub fn in_place(&self) -> bool {
        self.terminal
    }

    /// Writes a text below the last one, unless it is the same.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn append(&mut self, text: &str) -> io::Result<()> {
        if text == self.last {
            return Ok(());
        }
        text.clone_into(&mut self.last);
        self.ui.print(text)
    }

    /// Shows a text, which has no control characters but newlines.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn show(&mut self, text: &str) -> io::Result<()> {
        if !self.terminal {
            if self.last != text && !self.last.is_empty() {
                self.ui.print("\n")?;
            }
            return self.append(text);
        }
        let (columns, rows) = size();
        let frame = frame(text, columns, rows);
        // Over the old one, at once: nothing flickers.
        let up = match self.drawn {
            0 => String::new(),
            lines => format!("\x1b[{lines}A"),
        };
        let body: String =
            frame.iter().map(|line| format!("{line}\x1b[K\n")).collect();
        let mut out = io::stdout().lock();
        out.write_all(format!("\r{up}{body}\x1b[J").as_bytes())?;
        self.drawn = frame.len();
        out.flush()
    }
}

/// The size of the terminal, in characters.
fn size() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(io::stdout());
    let size = size.map(|size| (size.ws_col.into(), size.ws_row.into()));
    match size {
        Ok((columns, rows)) if columns > 0 && rows > 1 => (columns, rows),
        _ => (80, 24),
    }
}

/// The lines that fit: a line that wraps, or a text that scrolls, could not
/// be drawn over.
fn frame(text: &str, columns: usize, rows: usize) -> Vec<String> {
    let room = rows.saturating_sub(1);
    let count = text.lines().count();
    let cut = |line: &str| {
        if line.chars().count() <= columns {
            return line.to_owned();
        }
        let kept = line.chars().take(columns.saturating_sub(1));
        kept.chain(std::iter::once('…')).collect()
    };
    if count <= room {
        return text.lines().map(cut).collect();
    }
    let shown = room.saturating_sub(1);
    let more = format!("… and {} more lines", count.saturating_sub(shown));
    let lines = text.lines().take(shown).map(cut);
    lines.chain(std::iter::once(cut(&more))).collect()
}

#[cfg(test)]
mod tests {
    use super::frame;

    #[test]
    fn a_frame_is_no_larger_than_the_terminal() {
        assert_eq!(frame("ab\ncd\n", 2, 3), ["ab", "cd"]);
        assert_eq!(frame("größer\n", 5, 24), ["größ…"]);
        assert_eq!(frame("a\nb\nc\n", 40, 3), ["a", "… and 2 more lines"]);
        assert_eq!(frame("", 40, 3), [""; 0]);
    }
}
