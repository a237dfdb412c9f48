//! A YAML document in which every node knows its place.

use super::problem::Location;

/// A node of a YAML document.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// Where it begins.
    pub(super) at: Location,
    /// What it is.
    pub(super) kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Any scalar, with its text as written.
    Scalar {
        /// The text, escapes resolved.
        text: String,
        /// Without quotes: may be a number, a boolean or null.
        plain: bool,
        /// Tagged `!unsafe`: never a template.
        raw: bool,
    },
    /// Tagged `!vault`: encrypted.
    Vault,
    /// A sequence.
    Seq(Vec<Tree>),
    /// A mapping, in the order of the file.
    Map(Vec<(Tree, Tree)>),
}

impl Tree {
    /// Makes a scalar without quotes.
    pub(super) fn plain(text: &str, at: &Location) -> Self {
        let kind =
            Kind::Scalar { text: text.to_owned(), plain: true, raw: false };
        Self { at: at.clone(), kind }
    }

    /// Gives the text of a scalar; null has none.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// Says whether the node is null, as YAML 1.1 has it.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true, .. }
            if matches!(&**text, "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Names the kind of the node for a message.
    pub(super) fn what(&self) -> &'static str {
        match &self.kind {
            _ if self.is_null() => "nothing",
            Kind::Scalar { .. } => "a single value",
            Kind::Vault => "an encrypted value",
            Kind::Seq(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// Says whether text in the node is a Jinja template.
    pub(super) fn is_template(&self) -> bool {
        match &self.kind {
            Kind::Scalar { text, raw, .. } => {
                !raw && (text.contains("{{") || text.contains("{%"))
            }
            Kind::Vault => false,
            Kind::Seq(items) => items.iter().any(Self::is_template),
            Kind::Map(pairs) => pairs.iter().any(|(_, v)| v.is_template()),
        }
    }
}
