use std::collections::BTreeMap;

use super::Content;

/// What the builder has downloaded for a node, by name.
#[derive(Clone, Debug, Default)]
pub struct Artefacts(BTreeMap<String, Option<Content>>);

impl Artefacts {
    /// Adds a file.
    pub fn add(&mut self, name: &str, content: Content) {
        self.0.insert(name.to_owned(), Some(content));
    }

    /// Adds the name of a file that the image goes without.
    pub fn leave_out(&mut self, name: &str) {
        self.0.insert(name.to_owned(), None);
    }

    /// Returns the names of all, those left out as well.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns a text that is held in memory, by its name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_ref()?.as_text()
    }

    /// Returns a file by its name; `Some(None)` where the image goes without.
    pub(super) fn get(&self, name: &str) -> Option<Option<Content>> {
        self.0.get(name).cloned()
    }
}
