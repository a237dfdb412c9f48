use super::{Style, Ui, write};
use std::io::{self, BufRead};

impl Ui {
    /// Asks and returns the line that is typed, without blanks at its ends;
    /// `None` where nobody can be asked: standard input is at its end, or
    /// standard error is for programs.
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
