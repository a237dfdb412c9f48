use std::{error::Error, fmt};

/// An error as people read it: what failed, why, and what to do next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub(super) what: String,
    pub(super) causes: Vec<String>,
    pub(super) hints: Vec<String>,
}

impl Report {
    /// Begins a report with what failed, and for which node.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    /// Returns what failed, in one line.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Adds `error` and everything that caused it.
    #[must_use]
    pub fn because(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self.causes.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// Says what failed, where the reasons were known before.
    #[must_use]
    pub fn about(mut self, what: impl Into<String>) -> Self {
        self.what = what.into();
        self
    }

    /// Adds a cause in words.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds another error whole, as one of several causes.
    #[must_use]
    pub fn including(mut self, other: &Self) -> Self {
        self.causes.push(format!("{}:", other.what));
        let causes = other.causes.iter().map(|cause| format!("  {cause}"));
        self.causes.extend(causes);
        for hint in &other.hints {
            if !self.hints.contains(hint) {
                self.hints.push(hint.clone());
            }
        }
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.what)?;
        if !self.causes.is_empty() {
            writeln!(f, "caused by:")?;
        }
        for cause in &self.causes {
            writeln!(f, "    {}", cause.replace('\n', "\n    "))?;
        }
        for hint in &self.hints {
            writeln!(f, "hint: {}", hint.replace('\n', "\n      "))?;
        }
        Ok(())
    }
}
