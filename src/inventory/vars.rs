//! Variables, where they come from, and which of them win.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use super::{
    groups::{Definitions, Graph},
    problem::{Location, Problem, quoted},
    tree::{Kind, Tree},
    value::{Value, boolean},
    variables::{self, Shape},
};

/// A variable as it is written at one place.
#[derive(Debug)]
pub(super) struct Definition {
    /// The name as written.
    pub(super) name: String,
    /// Where the name stands.
    pub(super) at: Location,
    /// The value with all places.
    pub(super) tree: Tree,
    /// The plain value.
    pub(super) value: Value,
}

impl Definition {
    /// Reads a pair of a mapping; None if the key is no name.
    pub(super) fn new(key: &Tree, tree: &Tree) -> Option<Self> {
        let Kind::Scalar { text: name, .. } = &key.kind else { return None };
        let value = match (variables::variable(name), tree.text()) {
            // What is meant as text stays as it is written: 1.30 is a version.
            (Some(variable), Some(text)) if variable.shape == Shape::Bool => {
                boolean(text).map_or_else(|| Value::from(tree), Value::Bool)
            }
            (Some(variable), Some(text)) if variable.shape != Shape::Prefix => {
                Value::String(text.to_owned())
            }
            _ => Value::from(tree),
        };
        Some(Self {
            name: name.clone(),
            at: key.at.clone(),
            tree: tree.clone(),
            value,
        })
    }
}

/// What a variable was given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A group, in the inventory or in `group_vars`.
    Group(Arc<str>),
    /// The node itself, in the inventory or in `host_vars`.
    Host(Arc<str>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(name) => write!(f, "group {name}"),
            Self::Host(name) => write!(f, "node {name}"),
        }
    }
}

/// The definition of a variable that holds for a node.
#[derive(Clone)]
pub struct Var {
    pub(super) definition: Arc<Definition>,
    from: Origin,
}

impl fmt::Debug for Var {
    /// Leaves the value out: it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} at {}", self.definition.name, self.from, self.at())
    }
}

impl Var {
    /// Gives the value; its text may hold Jinja expressions.
    pub fn value(&self) -> &Value {
        &self.definition.value
    }

    /// Says where it is defined.
    pub fn at(&self) -> &Location {
        &self.definition.at
    }

    /// Says which group or node it is given to.
    pub fn from(&self) -> &Origin {
        &self.from
    }
}

/// Variables of files beside the inventory, by the name of the group or node.
#[derive(Debug, Default)]
pub(super) struct FileVars {
    /// From `group_vars`.
    pub(super) groups: BTreeMap<String, Definitions>,
    /// From `host_vars`.
    pub(super) hosts: BTreeMap<String, Definitions>,
}

/// Most variables of all nodes together.
const MAX_EFFECTIVE: usize = 500_000;

/// Gives the variables that hold for each host, in the order of the graph.
///
/// The order is Ansible's default `VARIABLE_PRECEDENCE`: `all` in the
/// inventory, groups in the inventory by depth, priority and name,
/// `group_vars/all`, `group_vars/*`, the host in the inventory, `host_vars`.
/// Later ones replace earlier ones, mappings too.
/// <https://docs.ansible.com/ansible/latest/reference_appendices/general_precedence.html>
pub(super) fn effective(
    path: &Path,
    graph: &Graph,
    files: &FileVars,
    problems: &mut Vec<Problem>,
) -> Vec<BTreeMap<String, Var>> {
    let mut total = 0_usize;
    let mut all = Vec::new();
    for host in &graph.hosts {
        let mut vars = BTreeMap::new();
        let mut put = |definitions: Option<&Definitions>, from: Origin| {
            for definition in definitions.into_iter().flatten() {
                vars.insert(
                    definition.name.clone(),
                    Var {
                        definition: Arc::clone(definition),
                        from: from.clone(),
                    },
                );
            }
        };
        let groups = graph.groups_of(&host.name);
        let inline = |name: &str| graph.groups.get(name).map(|g| &g.vars);
        let origin = |name: &str| Origin::Group(Arc::from(name));
        put(inline("all"), origin("all"));
        for group in &groups {
            put(inline(group), origin(group));
        }
        put(files.groups.get("all"), origin("all"));
        for group in &groups {
            put(files.groups.get(*group), origin(group));
        }
        let own = Origin::Host(Arc::from(&*host.name));
        put(Some(&host.vars), own.clone());
        put(files.hosts.get(&host.name), own);

        total = total.saturating_add(vars.len());
        if total > MAX_EFFECTIVE {
            problems.push(Problem::of_file(
                path,
                format!("more than {MAX_EFFECTIVE} variables of all nodes"),
            ));
            return Vec::new();
        }
        resolve_aliases(&mut vars, problems);
        all.push(vars);
    }
    all
}

/// Files variables under their first name too; two names for one thing must
/// agree.
fn resolve_aliases(
    vars: &mut BTreeMap<String, Var>,
    problems: &mut Vec<Problem>,
) {
    for variable in variables::VARIABLES {
        for alias in variable.aliases {
            let Some(given) = vars.get(*alias) else { continue };
            match vars.get(variable.name) {
                Some(first) if first.value() != given.value() => {
                    problems.push(
                        Problem::at(
                            given.at(),
                            format!(
                                "{} and {} mean the same, but differ",
                                quoted(alias),
                                quoted(variable.name)
                            ),
                        )
                        .hint(format!("the other is in {}", first.at())),
                    );
                }
                Some(_) => {}
                None => {
                    let given = given.clone();
                    vars.insert(variable.name.to_owned(), given);
                }
            }
        }
    }
}
