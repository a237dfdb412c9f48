//! Which base image a node wants: what the command line, the inventory or its
//! group names.

use std::path::{Path, PathBuf};

use super::Shelf;
use crate::{
    base::{catalog::Entry, digest::Sha256},
    commands::error::{CommandError, Kind, Result},
    inventory::{Node, OsGroup},
    ui::Report,
};

/// What the user named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Choice {
    Demo,
    /// With the digest that the file has to have, where one is given.
    File(PathBuf, Option<Sha256>),
    /// An id of the catalogue.
    Catalog(String),
    Url(String, Option<Sha256>),
}

impl Shelf {
    /// `--image` counts from where the command runs, `image` of the
    /// inventory from where the inventory is.
    pub(super) fn choose(&self, node: &Node) -> Result<Choice> {
        let stock = node.os.map(|os| match os {
            OsGroup::RaspberryPiOs => "raspios",
            OsGroup::Ubuntu => "ubuntu",
        });
        let of_node = node.image_sha256.as_deref();
        let of_node = of_node.and_then(|text| text.parse().ok());
        let (text, sha256, folder) = match (&self.args.image, &node.image) {
            (Some(text), _) => {
                (text.as_str(), self.args.image_sha256, Path::new(""))
            }
            (None, Some(text)) => {
                (text.as_str(), of_node, self.folder.as_path())
            }
            (None, None) => {
                let stock = stock.ok_or_else(|| {
                    CommandError::usage(format!(
                        "no base image for {}",
                        node.name
                    ))
                    .hint(
                        "put it into the group raspbian or ubuntu, set \
                         `image` in the inventory, or give --image",
                    )
                })?;
                (stock, of_node, Path::new(""))
            }
        };
        if text == "demo" {
            if sha256.is_some() {
                let what = format!("no base image for {}", node.name);
                let report = Report::new(what)
                    .cause("a SHA-256 was given for the demo image")
                    .hint(
                        "the demo image is made by piflash itself: leave \
                         image_sha256 out",
                    );
                return Err(CommandError::new(Kind::Usage, report));
            }
            return Ok(Choice::Demo);
        }
        if text.starts_with("https://") || text.starts_with("http://") {
            return Ok(Choice::Url(text.to_owned(), sha256));
        }
        if let Some((scheme, _)) = text.split_once("://") {
            let what = format!("no base image for {}", node.name);
            let report = Report::new(what)
                .cause(format!("piflash downloads nothing by {scheme}"))
                .hint("give an http or https URL, or download it yourself");
            return Err(CommandError::new(Kind::Usage, report));
        }
        let path = folder.join(text);
        if is_path(text) || path.exists() {
            return Ok(Choice::File(path, sha256));
        }
        let entry = self.entry(&node.name, text)?;
        if let Some(sha256) = sha256 {
            check_given(&node.name, entry, sha256)?;
        }
        Ok(Choice::Catalog(entry.id.clone()))
    }
}

/// Nothing in the catalogue has such a name.
fn is_path(text: &str) -> bool {
    let ends = [".img", ".xz", ".gz", ".zst", ".zip"];
    text.contains('/') || ends.iter().any(|end| text.ends_with(end))
}

/// A digest that is given beside a name of the catalogue must be one of what
/// the name means now.
fn check_given(node: &str, entry: &Entry, given: Sha256) -> Result<()> {
    let known = [entry.download.sha256, entry.image.sha256];
    if known.contains(&Some(given)) {
        return Ok(());
    }
    let known: Vec<String> =
        known.iter().flatten().map(Sha256::to_string).collect();
    let report = Report::new(format!("no usable image for {node}"))
        .cause(format!(
            "{} has the SHA-256 {}, not {given}",
            entry.id,
            known.join(" and, unpacked, ")
        ))
        .hint(
            "an alias means a newer image after a while: name the image by \
             its id, or leave the SHA-256 out, which the catalogue knows",
        );
    Err(CommandError::new(Kind::Usage, report))
}
