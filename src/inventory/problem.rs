//! What is wrong with an inventory, and where.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A place in one of the inventory's files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// The file, as it was named or found.
    pub file: Arc<Path>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// One thing that is wrong, or in a warning doubtful, and where.
///
/// Displays as `inventory.yml:12:7: message (hint)`. Neither the message nor
/// the excerpt ever shows a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The file, as it was named or found.
    pub file: PathBuf,
    /// Line, from 1; 0 if the problem is the file as a whole.
    pub line: usize,
    /// Column in characters, from 1; 0 like `line`.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it: a phrase without a full stop.
    pub hint: Option<String>,
    /// The line of the file, unless it may hold a secret.
    source_line: Option<String>,
}

impl Problem {
    /// Names a problem at a place.
    pub(super) fn at(place: &Location, message: impl Into<String>) -> Self {
        Self {
            file: place.file.to_path_buf(),
            line: place.line,
            column: place.column,
            message: message.into(),
            hint: None,
            source_line: None,
        }
    }

    /// Names a problem of a whole file.
    pub(super) fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self {
            file: file.to_path_buf(),
            line: 0,
            column: 0,
            message: message.into(),
            hint: None,
            source_line: None,
        }
    }

    /// Adds what to do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Draws the line of the file with a caret under the column: two lines,
    /// without a final line break. None where the problem is a whole file, or
    /// the line may hold a secret.
    pub fn excerpt(&self) -> Option<String> {
        let line = self.source_line.as_ref()?;
        let indent: String = line
            .chars()
            .take(self.column.saturating_sub(1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        Some(format!("{line}\n{indent}^"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        write!(f, " {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with an inventory, in the order of its files and
/// lines. Never empty. Displays as one problem per line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryErrors {
    problems: Vec<Problem>,
}

impl InventoryErrors {
    /// Lists the problems.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl From<Vec<Problem>> for InventoryErrors {
    fn from(problems: Vec<Problem>) -> Self {
        Self { problems }
    }
}

impl fmt::Display for InventoryErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for InventoryErrors {}

/// The texts of the files read, for excerpts.
#[derive(Debug, Default)]
pub(super) struct Sources {
    texts: Vec<(Arc<Path>, String)>,
    secret_lines: HashSet<(Arc<Path>, usize)>,
}

impl Sources {
    /// Keeps a file's text.
    pub(super) fn add(&mut self, file: &Arc<Path>, text: &str) {
        self.texts.push((Arc::clone(file), text.to_owned()));
    }

    /// Keeps a line out of every excerpt.
    pub(super) fn hide(&mut self, file: &Arc<Path>, line: usize) {
        self.secret_lines.insert((Arc::clone(file), line));
    }

    /// Sorts by file and line, drops repetitions, adds the excerpts.
    pub(super) fn finish(&self, problems: Vec<Problem>) -> Vec<Problem> {
        let order: HashMap<&Path, usize> = self
            .texts
            .iter()
            .enumerate()
            .map(|(i, (file, _))| (&**file, i))
            .collect();
        let lines: Vec<Vec<&str>> =
            self.texts.iter().map(|(_, text)| text.lines().collect()).collect();
        let mut seen = HashSet::new();
        let mut problems: Vec<Problem> =
            problems.into_iter().filter(|p| seen.insert(p.clone())).collect();
        problems
            .sort_by_key(|p| (order.get(&*p.file).copied(), p.line, p.column));
        for problem in &mut problems {
            let text = order.get(&*problem.file).and_then(|&i| lines.get(i));
            let line = problem
                .line
                .checked_sub(1)
                .and_then(|n| text.and_then(|lines| lines.get(n)));
            let Some(line) = line else { continue };
            let place = (Arc::from(&*problem.file), problem.line);
            if !self.secret_lines.contains(&place)
                && !holds_secret(line)
                && line.len() <= MAX_EXCERPT
            {
                problem.source_line = Some((*line).to_owned());
            }
        }
        problems
    }
}

/// Longer lines are not shown: they are no help on a terminal.
const MAX_EXCERPT: usize = 200;

/// Says whether a name or a line may be or introduce a secret.
pub(super) fn holds_secret(text: &str) -> bool {
    // A URL with an account.
    if text.contains("://") && text.contains('@') {
        return true;
    }
    let lower = text.to_ascii_lowercase();
    ["pass", "psk", "secret", "token", "private", "_key:", "auth:"]
        .iter()
        .any(|word| lower.contains(word))
}

/// Quotes text from an inventory for a message: short, on one line.
pub(super) fn quoted(text: &str) -> String {
    const MAX: usize = 60;
    let mut out = String::from("`");
    for (i, c) in text.chars().enumerate() {
        if i == MAX {
            out.push('…');
            break;
        }
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.push('`');
    out
}

/// Finds the nearest of some names: one edit for short ones, two from eight
/// letters on. Names of fewer than five letters only match when their letters
/// are merely in another order or case, so that foreign names are left alone.
pub(super) fn nearest<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // The distance is quadratic; no name of ours is this long.
    if name.len() > 64 {
        return None;
    }
    let plain = name.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase().replace('-', "_");
            let distance = strsim::osa_distance(&plain, &lower);
            let allowed = match lower.chars().count() {
                0..=4 => usize::from(same_letters(&plain, &lower)),
                5..=7 => 1,
                _ => 2,
            };
            (distance <= allowed).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn same_letters(a: &str, b: &str) -> bool {
    let sorted = |s: &str| {
        let mut letters: Vec<char> = s.chars().collect();
        letters.sort_unstable();
        letters
    };
    sorted(a) == sorted(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_foreign_ones_left_alone() {
        let known = ["gateway", "dns", "wifi", "ssh_authorized_keys"];
        assert_eq!(nearest("gatway", known), Some("gateway"));
        assert_eq!(nearest("Gateway", known), Some("gateway"));
        assert_eq!(nearest("ssh-authorised-keys", known), Some(known[3]));
        assert_eq!(nearest("wfii", known), Some("wifi"));
        assert_eq!(nearest("dn", known), None);
        assert_eq!(nearest("wife", known), None);
        assert_eq!(nearest("driveway", known), None);
    }

    #[test]
    fn quoting_keeps_messages_on_one_short_line() {
        assert_eq!(quoted("a\nb"), "`a\\nb`");
        assert_eq!(quoted(&"x".repeat(100)).chars().count(), 63);
    }
}
