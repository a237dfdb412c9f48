//! Text to a tree in which every node knows its place.
//!
//! Built on the events of serde-saphyr's parser rather than on serde: a
//! version like `1.30` must keep its text, every key its place, and one
//! mistake must not hide the next.

use std::{collections::HashMap, path::Path, sync::Arc};

use serde_saphyr::granit_parser::{
    ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag,
    options,
};

use super::{
    problem::{Location, Problem, Sources, holds_secret, quoted},
    tree::{Kind, Tree},
};

/// Deepest nesting accepted, aliases followed.
const MAX_DEPTH: usize = 64;
/// Most nodes accepted in a file, aliases followed.
const MAX_NODES: usize = 100_000;
/// Most text accepted in a file, aliases followed, in bytes.
const MAX_TEXT: usize = 8 << 20;

/// Parses one file. Problems are added to `problems`; None if there were any
/// that leave no tree. An empty file is null.
pub(super) fn parse(
    file: &Arc<Path>,
    text: &str,
    sources: &mut Sources,
    problems: &mut Vec<Problem>,
) -> Option<Tree> {
    let mut options = options! {
        // libyaml's and so Ansible's limit is the same idea.
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    options.set_emit_comments(false);
    let mut builder = Builder {
        file,
        sources,
        problems,
        anchors: Vec::new(),
        nodes: 0,
        text: 0,
    };
    let mut events = Parser::new_from_str_with_options(text, options);
    match builder.document(&mut events) {
        Ok(tree) => Some(tree),
        Err(problem) => {
            builder.problems.push(*problem);
            None
        }
    }
}

type Events<'a> = Parser<'a, StrInput<'a>>;

/// What an anchor stands for.
struct Anchored {
    id: usize,
    tree: Tree,
    size: Size,
}

/// How much a node holds, itself included.
#[derive(Clone, Copy)]
struct Size {
    nodes: usize,
    text: usize,
    depth: usize,
}

struct Builder<'a> {
    file: &'a Arc<Path>,
    sources: &'a mut Sources,
    problems: &'a mut Vec<Problem>,
    anchors: Vec<Anchored>,
    nodes: usize,
    text: usize,
}

type Failed = Box<Problem>;
type Node<'a> = (Event<'a>, Span);

impl Builder<'_> {
    fn place(&self, span: &Span) -> Location {
        let tag = span.tag_start();
        let start = tag.unwrap_or(span.start);
        Location {
            file: Arc::clone(self.file),
            line: start.line(),
            column: start.col().saturating_add(1),
        }
    }

    fn next<'a>(&self, events: &mut Events<'a>) -> Result<Node<'a>, Failed> {
        match events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(Box::new(self.syntax(&error))),
            None => Err(Box::new(Problem::of_file(
                self.file,
                "the YAML ends in the middle",
            ))),
        }
    }

    fn syntax(&self, error: &ScanError) -> Problem {
        let mark = error.marker();
        let place = Location {
            file: Arc::clone(self.file),
            line: mark.line().max(1),
            column: mark.col().saturating_add(1),
        };
        let problem =
            Problem::at(&place, format!("not valid YAML: {}", error.kind()));
        match error.kind() {
            ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabAtBlockScalarStart
            | ErrorKind::TabInIndentation
            | ErrorKind::TabInPlainScalar => {
                problem.hint("indent with spaces: YAML allows no tabs")
            }
            ErrorKind::UnknownAnchor => problem
                .hint("an alias `*name` needs an anchor `&name` before it"),
            ErrorKind::MappingValueNotAllowed => problem.hint(
                "a value with `: ` in it needs quotes, and keys of one \
                 mapping the same indentation",
            ),
            _ => problem,
        }
    }

    /// Reads the only document of the file.
    fn document(&mut self, events: &mut Events<'_>) -> Result<Tree, Failed> {
        let start =
            Location { file: Arc::clone(self.file), line: 1, column: 1 };
        let mut root = None;
        loop {
            let (event, span) = self.next(events)?;
            match event {
                Event::StreamStart
                | Event::DocumentStart(..)
                | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                _ if root.is_some() => {
                    return Err(Box::new(
                        Problem::at(
                            &self.place(&span),
                            "a second YAML document begins here",
                        )
                        .hint("an inventory is one document: drop the `---`"),
                    ));
                }
                event => root = Some(self.node(event, &span, events, 1)?.0),
            }
        }
        Ok(root.unwrap_or_else(|| Tree::plain("", &start)))
    }

    /// Takes from the budget of the file.
    fn spend(
        &mut self,
        size: Size,
        depth: usize,
        at: &Location,
    ) -> Result<(), Failed> {
        self.nodes = self.nodes.saturating_add(size.nodes);
        self.text = self.text.saturating_add(size.text);
        let problem = if self.nodes > MAX_NODES {
            format!("more than {MAX_NODES} values, aliases followed")
        } else if self.text > MAX_TEXT {
            "too much text, aliases followed".to_owned()
        } else if depth.saturating_add(size.depth) > MAX_DEPTH {
            format!("nested deeper than {MAX_DEPTH} levels")
        } else {
            return Ok(());
        };
        Err(Box::new(Problem::at(at, problem)))
    }

    /// Builds the node that an event begins.
    fn node(
        &mut self,
        event: Event<'_>,
        span: &Span,
        events: &mut Events<'_>,
        depth: usize,
    ) -> Result<(Tree, Size), Failed> {
        let at = self.place(span);
        let own = Size {
            nodes: 1,
            text: event.scalar().map_or(0, |(text, _)| text.len()),
            depth: 0,
        };
        self.spend(own, depth, &at)?;
        let (kind, anchor, size) = match event {
            Event::Alias(id) => return self.alias(id, at, depth),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let kind = self.scalar(&text, plain, tag.as_deref(), &at);
                if text.contains("PRIVATE KEY") {
                    self.hide(span);
                }
                (kind, anchor, own)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", &at);
                let (items, size) = self.sequence(own, events, depth)?;
                (Kind::Seq(items), anchor, size)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", &at);
                let (pairs, size) = self.mapping(own, events, depth)?;
                (Kind::Map(pairs), anchor, size)
            }
            _ => {
                return Err(Box::new(Problem::at(&at, "a value is missing")));
            }
        };
        let tree = Tree { at, kind };
        if anchor > 0 {
            // What an anchor keeps is a copy, and counts as one.
            self.spend(size, depth, &tree.at)?;
            let tree = tree.clone();
            self.anchors.push(Anchored { id: anchor, tree, size });
        }
        Ok((tree, size))
    }

    fn alias(
        &mut self,
        id: usize,
        at: Location,
        depth: usize,
    ) -> Result<(Tree, Size), Failed> {
        let found = self
            .anchors
            .binary_search_by_key(&id, |a| a.id)
            .ok()
            .or_else(|| self.anchors.iter().position(|a| a.id == id));
        let Some(anchored) = found.and_then(|i| self.anchors.get(i)) else {
            return Err(Box::new(Problem::at(
                &at,
                "an alias inside the value it stands for",
            )));
        };
        let size = anchored.size;
        self.spend(size, depth, &at)?;
        let Some(anchored) = found.and_then(|i| self.anchors.get(i)) else {
            return Err(Box::new(Problem::at(&at, "an alias of nothing")));
        };
        Ok((Tree { at, kind: anchored.tree.kind.clone() }, size))
    }

    fn sequence(
        &mut self,
        mut size: Size,
        events: &mut Events<'_>,
        depth: usize,
    ) -> Result<(Vec<Tree>, Size), Failed> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next(events)?;
            if event == Event::SequenceEnd {
                return Ok((items, size));
            }
            let (item, inner) =
                self.node(event, &span, events, depth.saturating_add(1))?;
            size.contain(inner);
            items.push(item);
        }
    }

    fn mapping(
        &mut self,
        mut size: Size,
        events: &mut Events<'_>,
        depth: usize,
    ) -> Result<(Vec<(Tree, Tree)>, Size), Failed> {
        let depth = depth.saturating_add(1);
        let mut pairs: Vec<(Tree, Tree)> = Vec::new();
        let mut keys: HashMap<String, Location> = HashMap::new();
        let mut merges = Vec::new();
        loop {
            let (event, span) = self.next(events)?;
            if event == Event::MappingEnd {
                break;
            }
            let merge = matches!(&event, Event::Scalar(text, style, _, None)
                if text == "<<" && *style == ScalarStyle::Plain);
            let (key, inner) = self.node(event, &span, events, depth)?;
            size.contain(inner);
            let (event, span) = self.next(events)?;
            let secret =
                key.text().is_some_and(holds_secret) && event.is_node();
            let (value, inner) = self.node(event, &span, events, depth)?;
            size.contain(inner);
            if secret {
                self.hide(&span);
            }
            if merge {
                merges.push(value);
                continue;
            }
            let Kind::Scalar { text, .. } = &key.kind else {
                self.problems.push(Problem::at(
                    &key.at,
                    format!("a key must be a name, not {}", key.what()),
                ));
                continue;
            };
            if let Some(first) = keys.get(text) {
                self.problems.push(
                    Problem::at(
                        &key.at,
                        format!("{} is given twice", quoted(text)),
                    )
                    .hint(format!(
                        "first in line {}; only one can count",
                        first.line
                    )),
                );
                continue;
            }
            keys.insert(text.clone(), key.at.clone());
            pairs.push((key, value));
        }
        for merge in merges {
            self.merge(merge, &mut pairs, &mut keys);
        }
        Ok((pairs, size))
    }

    /// Adds what `<<` names: keys that are there already win.
    fn merge(
        &mut self,
        value: Tree,
        pairs: &mut Vec<(Tree, Tree)>,
        keys: &mut HashMap<String, Location>,
    ) {
        let at = value.at.clone();
        let maps = match value.kind {
            Kind::Seq(items) => items,
            kind => vec![Tree { at: at.clone(), kind }],
        };
        for map in maps {
            let Kind::Map(merged) = map.kind else {
                self.problems.push(Problem::at(
                    &map.at,
                    format!("`<<` needs a mapping, not {}", map.what()),
                ));
                continue;
            };
            for (key, value) in merged {
                if let Kind::Scalar { text, .. } = &key.kind
                    && !keys.contains_key(text)
                {
                    keys.insert(text.clone(), key.at.clone());
                    pairs.push((key, value));
                }
            }
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        plain: bool,
        tag: Option<&Tag>,
        at: &Location,
    ) -> Kind {
        let mut kind = (plain, false);
        if let Some(tag) = tag {
            match tag.core_suffix() {
                Some("str" | "binary") => kind.0 = false,
                Some(_) => {}
                None => match tag.suffix() {
                    "vault" | "vault-encrypted" => return Kind::Vault,
                    "unsafe" => kind = (false, true),
                    "" => kind.0 = false,
                    _ => self.unknown_tag(tag, at),
                },
            }
        }
        Kind::Scalar { text: text.to_owned(), plain: kind.0, raw: kind.1 }
    }

    fn check_tag(&mut self, tag: Option<&Tag>, own: &str, at: &Location) {
        if let Some(tag) = tag
            && !tag.is_yaml_core_schema_tag(own)
            && tag.suffix() != "unsafe"
        {
            self.unknown_tag(tag, at);
        }
    }

    fn unknown_tag(&mut self, tag: &Tag, at: &Location) {
        let name = quoted(&tag.original());
        self.problems.push(
            Problem::at(at, format!("the tag {name} is not supported"))
                .hint("leave it out; a value with `!` in front needs quotes"),
        );
    }

    /// Keeps the lines of a span out of excerpts.
    fn hide(&mut self, span: &Span) {
        // A block scalar may have many lines, but not more than the file.
        for line in span.start.line()..=span.end.line() {
            self.sources.hide(self.file, line);
        }
    }
}

impl Size {
    /// Counts a node inside this one.
    fn contain(&mut self, inner: Self) {
        self.nodes = self.nodes.saturating_add(inner.nodes);
        self.text = self.text.saturating_add(inner.text);
        self.depth = self.depth.max(inner.depth.saturating_add(1));
    }
}
