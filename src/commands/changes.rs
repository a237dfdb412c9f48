//! How a difference of two file systems is told.

use std::time::Duration;

use serde_json::{Value, json};
use similar::TextDiff;

use super::{
    look::read_small,
    view::{View, broken, digest, entry},
};
use crate::{
    fs::{
        FileKind,
        tree::{Change, Difference, Node},
    },
    ui,
};

/// Larger texts are compared, but not shown, in bytes.
const SMALL: u64 = 256 << 10;
/// A difference that takes longer to be found is told less finely.
const PATIENCE: Duration = Duration::from_secs(2);

/// The same partition of two images.
pub(super) struct Pair<'p> {
    pub(super) old: View<'p>,
    pub(super) new: View<'p>,
    /// What people call it: `boot`, `root` or a number.
    pub(super) name: String,
}

impl Pair<'_> {
    /// Returns a line, and below it what changed in a small text.
    /// `brief` leaves that out.
    pub(super) fn text(&self, change: &Change, brief: bool) -> String {
        match change {
            Change::Added(node) => self.one('+', &self.new, node),
            Change::Removed(node) => self.one('-', &self.old, node),
            Change::Changed { old, new, what } => {
                let mut text = format!(
                    "~ {}: {}\n",
                    self.path(new),
                    self.what(old, new, *what)
                );
                if !brief && let Some(diff) = self.diff(old, new, *what) {
                    text.push_str(&diff);
                }
                text
            }
            Change::Unreadable { second, error } => format!(
                "? {}: {} (in the {})\n",
                self.name,
                broken(error),
                if *second { "second" } else { "first" }
            ),
        }
    }

    fn path(&self, node: &Node) -> String {
        format!("{}:{}", self.name, ui::escape(&node.path))
    }

    fn one(&self, sign: char, view: &View<'_>, node: &Node) -> String {
        let detail = match node.kind {
            FileKind::File => {
                let digest = self.digest(view, node);
                format!("{} bytes{digest}", node.size)
            }
            FileKind::Directory => "directory".to_owned(),
            FileKind::Symlink => format!("-> {}", target(view, node)),
            FileKind::Special => "device".to_owned(),
        };
        let access = match node.letter {
            'l' => String::new(),
            _ => format!("{}, ", access(node)),
        };
        format!("{sign} {}: {access}{detail}\n", self.path(node))
    }

    /// Whether either side keeps it secret.
    fn hides(&self, node: &Node) -> bool {
        let hides = |view: &View<'_>| {
            view.mask.of(view.part, &node.path).hides_digest()
        };
        hides(&self.old) || hides(&self.new)
    }

    fn digest(&self, view: &View<'_>, node: &Node) -> String {
        if self.hides(node) {
            return ", secret".to_owned();
        }
        match digest(view.tree, node) {
            Ok(sha256) => format!(", SHA-256 {sha256}"),
            Err(error) => format!(", {}", broken(&error)),
        }
    }

    fn what(&self, old: &Node, new: &Node, what: Difference) -> String {
        let mut said = Vec::new();
        if what.kind {
            said.push(format!("{} -> {}", kind(old), kind(new)));
        }
        if what.mode {
            let (old, new) = (old.meta.mode, new.meta.mode);
            said.push(format!("mode {old:04o} -> {new:04o}"));
        }
        if what.owner {
            let (old, new) = (old.meta, new.meta);
            said.push(format!(
                "owner {}:{} -> {}:{}",
                old.uid, old.gid, new.uid, new.gid
            ));
        }
        if what.content {
            said.push(match new.kind {
                FileKind::Symlink => format!(
                    "target {} -> {}",
                    target(&self.old, old),
                    target(&self.new, new)
                ),
                FileKind::Special => "another device".to_owned(),
                _ if self.hides(new) => "secret content".to_owned(),
                _ => format!(
                    "content: {} bytes -> {} bytes{}",
                    old.size,
                    new.size,
                    self.digests(old, new)
                ),
            });
        }
        said.join(", ")
    }

    /// The digests of what is not shown as a text.
    fn digests(&self, old: &Node, new: &Node) -> String {
        if self.texts(old, new).is_some() {
            return String::new();
        }
        match (digest(self.old.tree, old), digest(self.new.tree, new)) {
            (Ok(old), Ok(new)) => format!(", SHA-256 {old} -> {new}"),
            (Err(error), _) | (_, Err(error)) => {
                format!(", {}", broken(&error))
            }
        }
    }

    /// Returns both texts as they may be shown, where both are small texts.
    fn texts(&self, old: &Node, new: &Node) -> Option<[String; 2]> {
        // What one side knows to be a secret, the other may not know.
        let hides =
            |view: &View<'_>| view.mask.of(view.part, &new.path).hides_all();
        if hides(&self.old) || hides(&self.new) {
            return None;
        }
        let text = |view: &View<'_>, node: &Node| {
            let bytes = read_small(view.tree, node, SMALL).ok()?;
            let text = String::from_utf8(bytes).ok()?;
            let mut masker = view.mask.of(view.part, &node.path);
            (!text.contains('\0')).then(|| masker.whole(&text).0)
        };
        Some([text(&self.old, old)?, text(&self.new, new)?])
    }

    fn diff(&self, old: &Node, new: &Node, what: Difference) -> Option<String> {
        if what.kind || !what.content || new.kind != FileKind::File {
            return None;
        }
        let [before, after] = self.texts(old, new)?;
        if before == after {
            return Some("  (only what is masked differs)\n".to_owned());
        }
        let path = self.path(new);
        let diff = TextDiff::configure()
            .timeout(PATIENCE)
            .diff_lines(&before, &after)
            .unified_diff()
            .context_radius(3)
            .header(&format!("a/{path}"), &format!("b/{path}"))
            .to_string();
        Some(diff)
    }

    /// Returns the same for programs.
    pub(super) fn json(&self, change: &Change, brief: bool) -> Value {
        let mut value = match change {
            Change::Added(node) => {
                json!({"change": "added", "new": self.entry(&self.new, node)})
            }
            Change::Removed(node) => {
                json!({"change": "removed", "old": self.entry(&self.old, node)})
            }
            Change::Changed { old, new, what } => {
                let differs = [
                    (what.kind, "kind"),
                    (what.mode, "mode"),
                    (what.owner, "owner"),
                    (what.content, "content"),
                ];
                let differs: Vec<_> = differs
                    .into_iter()
                    .filter_map(|(is, name)| is.then_some(name))
                    .collect();
                let diff =
                    if brief { None } else { self.diff(old, new, *what) };
                json!({
                    "change": "changed",
                    "differs": differs,
                    "old": self.entry(&self.old, old),
                    "new": self.entry(&self.new, new),
                    "diff": diff,
                })
            }
            Change::Unreadable { second, error } => json!({
                "change": "unreadable",
                "image": if *second { "second" } else { "first" },
                "error": broken(error),
            }),
        };
        value["partition"] = json!(self.name);
        value
    }

    /// An entry without its digest, where the other side hides it.
    fn entry(&self, view: &View<'_>, node: &Node) -> Value {
        let mut value = entry(view, node);
        if self.hides(node)
            && let Some(fields) = value.as_object_mut()
            && fields.remove("sha256").is_some()
        {
            fields.insert("secret".to_owned(), json!(true));
        }
        value
    }
}

fn access(node: &Node) -> String {
    let meta = node.meta;
    format!("{:04o} {}:{}", meta.mode, meta.uid, meta.gid)
}

fn kind(node: &Node) -> &'static str {
    match node.letter {
        '-' => "file",
        'd' => "directory",
        'l' => "symbolic link",
        'c' => "character device",
        'b' => "block device",
        'p' => "FIFO",
        's' => "socket",
        _ => "something unknown",
    }
}

fn target(view: &View<'_>, node: &Node) -> String {
    match view.tree.target(node) {
        Ok(target) => ui::escape(&target),
        Err(error) => format!("? ({})", broken(&error)),
    }
}

/// What was found, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) added: usize,
    pub(super) removed: usize,
    pub(super) changed: usize,
    pub(super) unreadable: usize,
    /// What is no file.
    pub(super) other: usize,
}

impl Tally {
    pub(super) fn count(&mut self, change: &Change) {
        let one = match change {
            Change::Added(_) => &mut self.added,
            Change::Removed(_) => &mut self.removed,
            Change::Changed { .. } => &mut self.changed,
            Change::Unreadable { .. } => &mut self.unreadable,
        };
        *one = one.saturating_add(1);
    }

    /// Returns how many there are.
    pub(super) fn total(self) -> usize {
        let Self { added, removed, changed, unreadable, other } = self;
        [added, removed, changed, unreadable, other]
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }
}
