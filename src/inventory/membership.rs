//! Who is in which group, counted as Ansible does.

use std::collections::BTreeSet;

use super::{
    groups::{Graph, Group},
    problem::Location,
};

impl Graph {
    /// Puts every group under `all` and hosts without one in `ungrouped`,
    /// then counts depths, as Ansible does after reading its sources.
    pub(super) fn reconcile(&mut self) {
        let orphans: Vec<String> = self
            .groups
            .iter()
            .filter(|(name, group)| group.parents.is_empty() && *name != "all")
            .map(|(name, _)| name.clone())
            .collect();
        for name in orphans {
            self.group(&name).parents.push("all".to_owned());
            self.group("all").children.push(name);
        }
        let grouped: BTreeSet<String> = self
            .groups
            .iter()
            .filter(|(name, _)| !matches!(&***name, "all" | "ungrouped"))
            .flat_map(|(_, group)| group.hosts.iter().map(|(h, _)| h.clone()))
            .collect();
        let alone: Vec<(String, Location)> = self
            .hosts
            .iter()
            .filter(|host| !grouped.contains(&host.name))
            .map(|host| (host.name.clone(), host.at.clone()))
            .collect();
        self.group("ungrouped").hosts = alone;
        // The longest way: at most one round per group, as there is no cycle.
        for _ in 0..self.groups.len() {
            let mut changed = false;
            let edges: Vec<(String, usize)> = self
                .groups
                .values()
                .flat_map(|g| {
                    let depth = g.depth.saturating_add(1);
                    g.children.iter().map(move |c| (c.clone(), depth))
                })
                .collect();
            for (child, depth) in edges {
                let group = self.group(&child);
                if group.depth < depth {
                    group.depth = depth;
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
    }

    /// Lists the groups above a group, itself not included.
    pub(super) fn ancestors(&self, name: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![name.to_owned()];
        while let Some(name) = open.pop() {
            for parent in self.groups.get(&name).map_or(&[][..], |g| &g.parents)
            {
                if found.insert(parent.clone()) {
                    open.push(parent.clone());
                }
            }
        }
        found
    }

    /// Lists the groups a host is in, `all` left out, in the order in which
    /// their variables count: depth, priority, name.
    pub(super) fn groups_of(&self, host: &str) -> Vec<&str> {
        let mut names: BTreeSet<String> = BTreeSet::new();
        for (name, group) in &self.groups {
            if group.hosts.iter().any(|(h, _)| h == host) {
                names.extend(self.ancestors(name));
                names.insert(name.clone());
            }
        }
        let mut groups: Vec<(&str, &Group)> = self
            .groups
            .iter()
            .filter(|(name, _)| *name != "all" && names.contains(*name))
            .map(|(name, group)| (&**name, group))
            .collect();
        groups.sort_by_key(|(name, g)| (g.depth, g.priority, *name));
        groups.into_iter().map(|(name, _)| name).collect()
    }

    /// Lists the hosts of a group and of the groups below it, each with the
    /// place that put it there, in Ansible's order.
    pub(super) fn members(&self, name: &str) -> Vec<(&str, &Location)> {
        let mut order = vec![name];
        let mut next = 0;
        while let Some(group) =
            order.get(next).and_then(|n| self.groups.get(*n))
        {
            for child in &group.children {
                if !order.contains(&&**child) {
                    order.push(child);
                }
            }
            next = next.saturating_add(1);
        }
        let mut seen = BTreeSet::new();
        order
            .into_iter()
            .filter_map(|name| self.groups.get(name))
            .flat_map(|group| &group.hosts)
            .filter(|(host, _)| seen.insert(&**host))
            .map(|(host, at)| (&**host, at))
            .collect()
    }
}
