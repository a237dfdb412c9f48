use std::io::{self, BufRead, IsTerminal, Write};

use super::Ui;

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// The word was typed.
    Yes,
    /// Something else was.
    No,
    /// There is nobody to ask: standard input is no terminal.
    Nobody,
}

impl Ui {
    /// Asks for a word to be typed, on standard error.
    ///
    /// # Errors
    /// If the answer cannot be read.
    pub fn confirm(&self, question: &str, word: &str) -> io::Result<Confirmed> {
        if !io::stdin().is_terminal() {
            return Ok(Confirmed::Nobody);
        }
        let mut err = io::stderr().lock();
        write!(err, "{question}\nType `{word}` to go on: ")?;
        err.flush()?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        let typed = line.trim() == word;
        Ok(if typed { Confirmed::Yes } else { Confirmed::No })
    }
}
