//! Hosts, children and vars: the structure of an Ansible YAML inventory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    our_groups::{near_group, not_an_inventory},
    problem::{Location, Problem, nearest, quoted},
    ranges::{self, MAX_HOSTS},
    tree::{Kind, Tree},
    vars::Definition,
};

/// Most groups accepted.
const MAX_GROUPS: usize = 512;

/// Most variables accepted, those of every host of a range counted.
const MAX_DEFINITIONS: usize = 200_000;

/// Variables in the order of definition.
pub(super) type Definitions = Vec<Arc<Definition>>;

/// A group as the file has it.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Its own hosts, in order, with the place of the first mention.
    pub(super) hosts: Vec<(String, Location)>,
    /// Its child groups, in order.
    pub(super) children: Vec<String>,
    /// The groups it is a child of.
    pub(super) parents: Vec<String>,
    /// Variables given in the inventory.
    pub(super) vars: Definitions,
    /// `ansible_group_priority`.
    pub(super) priority: i64,
    /// The longest way from `all`.
    pub(super) depth: usize,
}

/// A host as the file has it.
#[derive(Debug)]
pub(super) struct Host {
    /// The name.
    pub(super) name: String,
    /// Where it was first mentioned.
    pub(super) at: Location,
    /// Variables given in the inventory.
    pub(super) vars: Definitions,
}

/// Every group and host.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// The groups by name; `all` and `ungrouped` are always there.
    pub(super) groups: BTreeMap<String, Group>,
    /// The hosts in the order of the file.
    pub(super) hosts: Vec<Host>,
    index: BTreeMap<String, usize>,
    /// Groups already named in a problem.
    complained: BTreeSet<String>,
    definitions: usize,
}

impl Graph {
    /// Reads the structure out of an inventory's document.
    pub(super) fn read(root: &Tree, problems: &mut Vec<Problem>) -> Self {
        let mut graph = Self::default();
        graph.group("all");
        graph.group("ungrouped");
        match &root.kind {
            Kind::Map(groups) => {
                for (name, body) in groups {
                    graph.read_group(name, body, true, problems);
                }
            }
            _ if root.is_null() => problems.push(
                Problem::at(&root.at, "the inventory is empty")
                    .hint("`piflash init` writes one to start from"),
            ),
            _ => problems.push(not_an_inventory(root)),
        }
        graph.reconcile();
        graph
    }

    /// Gives a group, made if there is none.
    pub(super) fn group(&mut self, name: &str) -> &mut Group {
        self.groups
            .entry(name.to_owned())
            .or_insert_with(|| Group { priority: 1, ..Group::default() })
    }

    /// Reads one mention of a group; gives its name if it can be used.
    fn read_group(
        &mut self,
        key: &Tree,
        body: &Tree,
        top: bool,
        problems: &mut Vec<Problem>,
    ) -> Option<String> {
        let name = key.text()?.to_owned();
        if top && name == "plugin" {
            problems.push(Problem::at(
                &key.at,
                "this configures an inventory plugin, it is no inventory",
            ));
            return None;
        }
        self.check_name(&name, &key.at, problems);
        if !self.groups.contains_key(&name) && self.groups.len() >= MAX_GROUPS {
            problems.push(Problem::at(
                &key.at,
                format!("more than {MAX_GROUPS} groups"),
            ));
            return None;
        }
        self.group(&name);
        let Kind::Map(sections) = &body.kind else {
            if !body.is_null() {
                problems.push(
                    Problem::at(
                        &body.at,
                        format!(
                            "group {} must be a mapping, not {}",
                            quoted(&name),
                            body.what()
                        ),
                    )
                    .hint("its keys are hosts, children and vars"),
                );
            }
            return Some(name);
        };
        for (section, value) in sections {
            self.read_section(&name, section, value, problems);
        }
        Some(name)
    }

    fn read_section(
        &mut self,
        group: &str,
        section: &Tree,
        value: &Tree,
        problems: &mut Vec<Problem>,
    ) {
        let name = section.text().unwrap_or_default();
        if !matches!(name, "hosts" | "children" | "vars") {
            let problem = Problem::at(
                &section.at,
                format!(
                    "unknown key {} in group {}",
                    quoted(name),
                    quoted(group)
                ),
            );
            problems.push(
                match nearest(name, ["hosts", "children", "vars"])
                    .or((name == "host").then_some("hosts"))
                    .or((name == "var").then_some("vars"))
                {
                    Some(near) => {
                        problem.hint(format!("did you mean {}?", quoted(near)))
                    }
                    None => problem
                        .hint("only hosts, children and vars can stand here"),
                },
            );
            return;
        }
        // Ansible takes a lone name for a mapping with that key.
        let lone;
        let pairs = match &value.kind {
            Kind::Map(pairs) => pairs,
            _ if value.is_null() => return,
            Kind::Scalar { .. } if name != "vars" => {
                lone = vec![(value.clone(), Tree::plain("", &value.at))];
                &lone
            }
            _ => {
                problems.push(
                    Problem::at(
                        &value.at,
                        format!(
                            "`{name}` of group {} must be a mapping, not {}",
                            quoted(group),
                            value.what()
                        ),
                    )
                    .hint(match name {
                        "vars" => "write `name: value`",
                        _ => "write `name:` instead of `- name`",
                    }),
                );
                return;
            }
        };
        match name {
            "hosts" => {
                for (key, vars) in pairs {
                    self.read_hosts(group, key, vars, problems);
                }
            }
            "children" => {
                for (key, body) in pairs {
                    if let Some(child) =
                        self.read_group(key, body, false, problems)
                    {
                        self.add_child(group, &child, &key.at, problems);
                    }
                }
            }
            _ => self.read_group_vars(group, pairs, problems),
        }
    }

    fn read_group_vars(
        &mut self,
        group: &str,
        pairs: &[(Tree, Tree)],
        problems: &mut Vec<Problem>,
    ) {
        for (key, value) in pairs {
            if key.text() == Some("ansible_group_priority") {
                match value.text().and_then(|text| text.parse().ok()) {
                    Some(priority) => self.group(group).priority = priority,
                    None => problems.push(Problem::at(
                        &value.at,
                        "ansible_group_priority must be a whole number",
                    )),
                }
            } else {
                self.group(group)
                    .vars
                    .extend(Definition::new(key, value).map(Arc::new));
            }
        }
    }

    fn read_hosts(
        &mut self,
        group: &str,
        key: &Tree,
        vars: &Tree,
        problems: &mut Vec<Problem>,
    ) {
        let Some(pattern) = key.text() else { return };
        let empty = Vec::new();
        let pairs = match &vars.kind {
            Kind::Map(pairs) => pairs,
            _ => {
                if !vars.is_null() {
                    problems.push(
                        Problem::at(
                            &vars.at,
                            format!(
                                "node {} must be a mapping of variables, \
                                 not {}",
                                quoted(pattern),
                                vars.what()
                            ),
                        )
                        .hint("write `node1: {ansible_host: 192.168.71.21}`"),
                    );
                }
                &empty
            }
        };
        let (names, port) = match ranges::expand(pattern) {
            Ok(expanded) => expanded,
            Err(message) => {
                problems.push(Problem::at(
                    &key.at,
                    format!("{}: {message}", quoted(pattern)),
                ));
                return;
            }
        };
        let port = port.map(|port| {
            Definition::new(
                &Tree::plain("ansible_port", &key.at),
                &Tree::plain(&port.to_string(), &key.at),
            )
        });
        let definitions: Definitions = pairs
            .iter()
            .filter_map(|(key, value)| Definition::new(key, value))
            .chain(port.flatten())
            .map(Arc::new)
            .collect();
        for name in names {
            let known = self.index.get(&name).copied();
            if known.is_none() && self.hosts.len() >= MAX_HOSTS {
                problems.push(Problem::at(
                    &key.at,
                    format!("more than {MAX_HOSTS} nodes"),
                ));
                return;
            }
            let own = self.group(group);
            if !own.hosts.iter().any(|(host, _)| *host == name) {
                own.hosts.push((name.clone(), key.at.clone()));
            }
            let index = known.unwrap_or_else(|| {
                self.index.insert(name.clone(), self.hosts.len());
                self.hosts.push(Host {
                    name: name.clone(),
                    at: key.at.clone(),
                    vars: Vec::new(),
                });
                self.hosts.len().saturating_sub(1)
            });
            self.definitions =
                self.definitions.saturating_add(definitions.len());
            if self.definitions > MAX_DEFINITIONS {
                problems.push(Problem::at(
                    &key.at,
                    format!("more than {MAX_DEFINITIONS} variables"),
                ));
                return;
            }
            if let Some(host) = self.hosts.get_mut(index) {
                host.vars.extend(definitions.iter().cloned());
            }
        }
    }

    fn add_child(
        &mut self,
        parent: &str,
        child: &str,
        at: &Location,
        problems: &mut Vec<Problem>,
    ) {
        if parent == child || self.ancestors(parent).contains(child) {
            problems.push(Problem::at(
                at,
                format!(
                    "group {} is its own ancestor: {} is below it already",
                    quoted(child),
                    quoted(parent)
                ),
            ));
            return;
        }
        let children = &mut self.group(parent).children;
        if !children.iter().any(|c| c == child) {
            children.push(child.to_owned());
            self.group(child).parents.push(parent.to_owned());
        }
    }

    fn check_name(
        &mut self,
        name: &str,
        at: &Location,
        problems: &mut Vec<Problem>,
    ) {
        let Some(near) = near_group(name) else { return };
        if self.complained.insert(name.to_owned()) {
            problems.push(
                Problem::at(at, format!("unknown group {}", quoted(name)))
                    .hint(format!("did you mean {}?", quoted(near))),
            );
        }
    }
}
