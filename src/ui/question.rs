use super::{Style, Ui, write};
use std::io::{self, BufRead, IsTerminal};

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// The word was typed.
    Yes,
    /// Something else was.
    No,
    /// There is nobody to ask: standard input is no terminal, or standard
    /// error is for programs.
    Nobody,
}

impl Ui {
    /// Asks for a word to be typed, on a terminal.
    ///
    /// # Errors
    /// If the answer cannot be read.
    pub fn confirm(&self, question: &str, word: &str) -> io::Result<Confirmed> {
        if !io::stdin().is_terminal() {
            return Ok(Confirmed::Nobody);
        }
        let question = format!("{question}\nType `{word}` to go on: ");
        Ok(match self.ask(&question)? {
            Some(typed) if typed == word => Confirmed::Yes,
            Some(_) => Confirmed::No,
            None => Confirmed::Nobody,
        })
    }

    /// Asks and returns the line that is typed, without blanks at its ends;
    /// `None` where nobody can be asked: standard input is at its end, or
    /// standard error is for programs.
    ///
    /// # Errors
    /// If the answer cannot be read.
    pub fn ask(&self, question: &str) -> io::Result<Option<String>> {
        match &self.style {
            Style::Json(_) => return Ok(None),
            // Also if quiet: nobody answers what he was not asked.
            Style::Text(bars) => write(bars.as_ref(), question),
        }
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(line.trim().to_owned()))
    }
}
