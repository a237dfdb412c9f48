//! `group_vars/` and `host_vars/` beside the inventory, found as Ansible
//! finds them.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    groups::{Definitions, Graph},
    our_groups::{VAULT_HINT, near_group},
    problem::{Problem, Sources, nearest, quoted},
    tree::{Kind, Tree},
    vars::{Definition, FileVars},
    yaml,
};

/// Largest file accepted, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// Most files accepted in a `group_vars` or `host_vars` tree.
const MAX_FILES: usize = 1000;
/// Deepest directory followed.
const MAX_DEPTH: usize = 8;

/// Endings that Ansible tries, in its order.
const EXTENSIONS: [&str; 4] = ["", ".yml", ".yaml", ".json"];

/// Reads a file as text. A leading byte order mark is dropped.
pub(super) fn read_text(path: &Path) -> Result<String, Problem> {
    let failed =
        |error| Problem::of_file(path, format!("cannot be read: {error}"));
    let file = fs::File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(Problem::of_file(path, "is a directory, not a file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_FILE) {
        return Err(Problem::of_file(path, "is larger than 1 MiB")
            .hint("is this really an inventory?"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        Problem::of_file(
            path,
            format!(
                "is not UTF-8 text: bad byte at offset {}",
                error.utf8_error().valid_up_to()
            ),
        )
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// Reads and parses one file. None if that fails.
pub(super) fn read_tree(
    path: &Path,
    sources: &mut Sources,
    problems: &mut Vec<Problem>,
) -> Option<Tree> {
    match read_text(path) {
        Ok(text) => {
            let file: Arc<Path> = Arc::from(path);
            sources.add(&file, &text);
            yaml::parse(&file, &text, sources, problems)
        }
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// Reads the variables of every group and host of the graph, and warns of
/// files that belong to none.
pub(super) fn read_vars(
    dir: &Path,
    graph: &Graph,
    sources: &mut Sources,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> FileVars {
    let mut files = FileVars::default();
    let groups: Vec<&str> = graph.groups.keys().map(|n| &**n).collect();
    let hosts: Vec<&str> = graph.hosts.iter().map(|h| &*h.name).collect();
    let mut room = Room { dir, sources, problems };
    for name in &groups {
        if let Some(found) = room.read("group_vars", name) {
            files.groups.insert((*name).to_owned(), found);
        }
    }
    for name in &hosts {
        if let Some(found) = room.read("host_vars", name) {
            files.hosts.insert((*name).to_owned(), found);
        }
    }
    orphans(dir, "group_vars", &groups, warnings);
    orphans(dir, "host_vars", &hosts, warnings);
    files
}

struct Room<'a> {
    dir: &'a Path,
    sources: &'a mut Sources,
    problems: &'a mut Vec<Problem>,
}

impl Room<'_> {
    fn read(&mut self, kind: &str, name: &str) -> Option<Definitions> {
        // Such a name cannot be a file of this directory.
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return None;
        }
        let dir = self.dir.join(kind);
        // Only the first that exists counts.
        let path = EXTENSIONS
            .iter()
            .map(|extension| dir.join(format!("{name}{extension}")))
            .find(|path| path.exists())?;
        let mut paths = Vec::new();
        if path.is_dir() {
            list(&path, 0, &mut paths);
        } else {
            paths.push(path);
        }
        let mut definitions = Vec::new();
        for path in paths {
            if let Some(tree) = read_tree(&path, self.sources, self.problems) {
                self.collect(&path, &tree, &mut definitions);
            }
        }
        Some(definitions)
    }

    fn collect(&mut self, path: &Path, tree: &Tree, into: &mut Definitions) {
        match &tree.kind {
            Kind::Map(pairs) => into.extend(
                pairs
                    .iter()
                    .filter_map(|(key, value)| Definition::new(key, value))
                    .map(Arc::new),
            ),
            _ if tree.is_null() => {}
            Kind::Scalar { text, .. } if text.starts_with("$ANSIBLE_VAULT") => {
                self.problems.push(
                    Problem::of_file(path, "is encrypted by ansible-vault")
                        .hint(VAULT_HINT),
                );
            }
            _ => self.problems.push(Problem::at(
                &tree.at,
                format!(
                    "variables are a mapping of names, not {}",
                    tree.what()
                ),
            )),
        }
    }
}

/// Lists the files of a directory of variables in Ansible's order: sorted,
/// without hidden files, backups and foreign endings.
fn list(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let mut paths: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
        if name.is_empty() || name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let extension = path.extension().and_then(|e| e.to_str());
        if path.is_dir() {
            if extension.is_none() && depth < MAX_DEPTH {
                list(&path, depth.saturating_add(1), found);
            }
        } else if matches!(extension, None | Some("yml" | "yaml" | "json"))
            && found.len() < MAX_FILES
        {
            found.push(path);
        }
    }
}

/// Warns of files of variables that no group or host has the name of.
fn orphans(
    dir: &Path,
    kind: &str,
    known: &[&str],
    warnings: &mut Vec<Problem>,
) {
    let Ok(entries) = fs::read_dir(dir.join(kind)) else { return };
    let mut paths: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths.into_iter().take(MAX_FILES) {
        let Some(file) = path.file_name().and_then(|n| n.to_str()) else {
            continue;
        };
        if file.starts_with('.') || file.ends_with('~') {
            continue;
        }
        let name = EXTENSIONS
            .iter()
            .skip(1)
            .find_map(|extension| file.strip_suffix(extension))
            .unwrap_or(file);
        if known.contains(&name) || known.contains(&file) {
            continue;
        }
        let what = if kind == "group_vars" { "group" } else { "node" };
        let warning = Problem::of_file(
            &path,
            format!("is not used: there is no {what} {}", quoted(name)),
        );
        let near = nearest(name, known.iter().copied())
            .or(if what == "group" { near_group(name) } else { None });
        warnings.push(match near {
            Some(near) => {
                warning.hint(format!("did you mean {}?", quoted(near)))
            }
            None => warning,
        });
    }
}
