//! The inventory: an Ansible YAML file, read into typed nodes.
//!
//! ```text
//! inventory.yml ──> yaml ──> groups ─┐
//! group_vars/, host_vars/ ──> files ─┴─> vars ──> settings ──> Node
//! ```
//!
//! Every problem that can be found is found in one run, and names its file,
//! line and column. What is wrong with a variable of ours is decided by the
//! table in [`variables`].

mod files;
mod grammar;
mod groups;
mod hooks;
mod keys;
mod labels;
mod membership;
mod network;
mod node;
mod our_groups;
mod problem;
mod ranges;
mod records;
mod render;
mod roles;
mod settings;
mod shapes;
mod template;
mod tree;
mod value;
pub mod variables;
mod vars;
mod wifi;
mod yaml;

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use files::read_tree;
use groups::Graph;
use problem::{Sources, nearest, quoted};
use render::{World, WorldNode};
use shapes::Reader;
use variables::Known;
use vars::{Definition, FileVars};

pub use hooks::{Hook, HookError, HookEvent, HookFolder};
pub use keys::{KeyOrigin, KeySource, SshKey, SshKeys};
pub use node::{Cluster, Hidden, Node, OsGroup, Role, RoleKind, StaticNetwork};
pub use problem::{InventoryErrors, Location, Problem};
pub use records::{ConfigTxtSetting, FileCopy};
pub use render::RenderError;
pub use template::template;
pub use value::Value;
pub use vars::{Origin, Var};
pub use wifi::{Wifi, WifiKey};

/// A checked inventory.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// The file.
    pub path: PathBuf,
    /// The nodes, in the order of the file; at least one.
    pub nodes: Vec<Node>,
    /// What is allowed but doubtful.
    pub warnings: Vec<Problem>,
}

impl Inventory {
    /// Finds a node by its name.
    ///
    /// # Errors
    /// Names the nodes that there are, and the nearest of them.
    pub fn node(&self, name: &str) -> Result<&Node, UnknownNode> {
        let names = || self.nodes.iter().map(|node| &*node.name);
        self.nodes.iter().find(|node| node.name == name).ok_or_else(|| {
            UnknownNode {
                name: name.to_owned(),
                nearest: nearest(name, names()).map(str::to_owned),
                known: names().map(str::to_owned).collect(),
            }
        })
    }

    /// Lists the nodes of a role, the first master first.
    pub fn of_role(&self, role: Role) -> impl Iterator<Item = &Node> {
        let held = move |node: &&Node| node.role == Some(role);
        let first = self.nodes.iter().filter(held);
        let first = first.filter(|node| node.first_master);
        let rest = self.nodes.iter().filter(held);
        first.chain(rest.filter(|node| !node.first_master))
    }
}

/// The inventory has no node of this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownNode {
    /// The name asked for.
    pub name: String,
    /// The nearest name that there is.
    pub nearest: Option<String>,
    /// All names that there are, in the order of the file.
    pub known: Vec<String>,
}

impl fmt::Display for UnknownNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the inventory has no node {}", quoted(&self.name))?;
        if let Some(nearest) = &self.nearest {
            write!(f, " (did you mean {}?)", quoted(nearest))?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownNode {}

/// Reads an inventory, with the `group_vars` and `host_vars` beside it.
/// `home` is the builder's home directory, for `~` and the default SSH keys.
///
/// # Errors
/// Every problem found, in the order of files and lines. If the YAML itself
/// is broken, only that.
pub fn load(
    path: &Path,
    home: Option<&Path>,
) -> Result<Inventory, InventoryErrors> {
    let mut sources = Sources::default();
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let nodes = read(path, home, &mut sources, &mut problems, &mut warnings);
    if problems.is_empty() {
        Ok(Inventory {
            path: path.to_path_buf(),
            nodes,
            warnings: sources.finish(warnings),
        })
    } else {
        Err(sources.finish(problems).into())
    }
}

fn read(
    path: &Path,
    home: Option<&Path>,
    sources: &mut Sources,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Vec<Node> {
    let Some(root) = read_tree(path, sources, problems) else {
        explain_format(path, problems);
        return Vec::new();
    };
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let graph = Graph::read(&root, problems);
    if graph.hosts.is_empty() {
        if problems.is_empty() {
            problems.push(
                Problem::at(&root.at, "the inventory has no nodes")
                    .hint("name them below `all:` and `hosts:`"),
            );
        }
        return Vec::new();
    }
    let files = files::read_vars(dir, &graph, sources, problems, warnings);
    let mut reader = Reader { dir, home, problems };
    check_definitions(&graph, &files, &mut reader, warnings);
    let vars = vars::effective(path, &graph, &files, problems);
    let world = Arc::new(world(&graph, vars));
    let memberships = roles::memberships(
        &graph,
        |host| world.has_value(host, "k3s_url"),
        problems,
    );
    let default_keys = if settings::wants_default_keys(&world) {
        keys::builder_keys(home, warnings)
    } else {
        settings::no_keys()
    };
    let common = settings::Common {
        dir,
        home,
        default_keys: &default_keys,
        world: &world,
    };
    let mut nodes = Vec::new();
    for (i, (host, membership)) in
        graph.hosts.iter().zip(memberships).enumerate()
    {
        roles::check_name(host, membership.role, problems);
        nodes.extend(settings::node(
            &common, host, i, membership, problems, warnings,
        ));
    }
    check_unique(&nodes, problems);
    nodes
}

/// Adds what the file may be, if it is not YAML.
fn explain_format(path: &Path, problems: &mut [Problem]) {
    let Ok(text) = files::read_text(path) else { return };
    let first = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    let ini = first.is_some_and(|line| {
        line.starts_with('[') && line.ends_with(']') && !line.contains('"')
    });
    if ini && let Some(problem) = problems.first_mut() {
        problem.hint = Some(our_groups::INI_HINT.to_owned());
    }
}

/// Checks every definition once, wherever it holds.
fn check_definitions(
    graph: &Graph,
    files: &FileVars,
    reader: &mut Reader<'_>,
    warnings: &mut Vec<Problem>,
) {
    let inline = graph
        .groups
        .values()
        .map(|group| &group.vars)
        .chain(graph.hosts.iter().map(|host| &host.vars));
    let beside = files.groups.values().chain(files.hosts.values());
    let mut seen = HashSet::new();
    for definition in inline.chain(beside).flatten() {
        // A range gives one definition to many hosts.
        if seen.insert(Arc::as_ptr(definition)) {
            check_definition(definition, reader, warnings);
        }
    }
}

fn check_definition(
    definition: &Definition,
    reader: &mut Reader<'_>,
    warnings: &mut Vec<Problem>,
) {
    let Definition { name, at, tree, .. } = definition;
    match variables::classify(name) {
        Known::Ours(variable) => {
            if !tree.is_template() {
                reader.check(variable, tree);
            }
        }
        Known::Foreign => {}
        Known::Unknown(near) => {
            let problem =
                Problem::at(at, format!("unknown variable {}", quoted(name)));
            reader.problems.push(match near {
                Some(near) => {
                    problem.hint(format!("did you mean {}?", quoted(near)))
                }
                None => problem.hint(
                    "names that begin with k3s_ or k8s_ are piflash's own",
                ),
            });
        }
        Known::Doubtful(near) => warnings.push(
            Problem::at(
                at,
                format!("{} is not a variable of piflash", quoted(name)),
            )
            .hint(format!("did you mean {}?", quoted(near))),
        ),
    }
}

/// Collects what expressions can see.
fn world(graph: &Graph, vars: Vec<BTreeMap<String, Var>>) -> World {
    let mut world = World::default();
    for (i, (host, vars)) in graph.hosts.iter().zip(vars).enumerate() {
        let mut groups: Vec<String> =
            graph.groups_of(&host.name).into_iter().map(String::from).collect();
        groups.sort();
        world.index.insert(host.name.clone(), i);
        world.nodes.push(WorldNode { name: host.name.clone(), groups, vars });
    }
    for name in graph.groups.keys() {
        let members = graph.members(name);
        let members = members.iter().map(|(host, _)| (*host).to_owned());
        world.groups.insert(name.clone(), members.collect());
    }
    world
}

/// Refuses two nodes with one address or one hostname.
fn check_unique(nodes: &[Node], problems: &mut Vec<Problem>) {
    let mut addresses: BTreeMap<IpAddr, &Node> = BTreeMap::new();
    let mut names: BTreeMap<String, &Node> = BTreeMap::new();
    for node in nodes {
        if let Some(first) = names.insert(node.name.to_lowercase(), node) {
            problems.push(Problem::at(
                &node.at,
                format!(
                    "nodes {} and {} differ only in capital letters",
                    quoted(&first.name),
                    quoted(&node.name)
                ),
            ));
        }
        let Some(address) = node.address else { continue };
        let Some(first) = addresses.get(&address) else {
            addresses.insert(address, node);
            continue;
        };
        let place = |node: &Node| {
            let var = node.vars.get("ansible_host");
            var.map_or(node.at.clone(), |var| var.definition.tree.at.clone())
        };
        problems.push(
            Problem::at(
                &place(node),
                format!(
                    "nodes {} and {} have one address, {address}",
                    quoted(&first.name),
                    quoted(&node.name)
                ),
            )
            .hint(format!(
                "the first is in {}:{}",
                place(first).file.display(),
                place(first).line
            )),
        );
    }
}
