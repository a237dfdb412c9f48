//! The event hooks beside an inventory: found by their names, checked before
//! they become part of an image.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::error::{CommandError, Kind, Result};
use crate::{
    base::facts::Facts,
    inventory::{Cluster, Node, RoleKind},
    plan::{Hook, Hooks, ansible_facts},
    ui::{Report, Ui},
};

/// The usual name of an event, and that of kalaxy's later versions.
const POST_MASTER_UP: [&str; 2] = ["post-master-up", "post-server-up"];
const PRE_MASTER_DOWN: [&str; 2] = ["pre-master-down", "pre-server-down"];
const EXTENSIONS: [&str; 2] = ["yml", "yaml"];
/// Larger files are no manifests that anybody has written, in bytes.
const LARGEST: u64 = 1 << 20;

/// Reads the hooks of a node's cluster, which masters have. They are in the
/// folder that `hooks_dir` names, from the inventory's `folder`.
pub(super) fn read(
    node: &Node,
    facts: &Facts,
    folder: &Path,
    ui: &Ui,
) -> Result<Hooks> {
    let Some(role) = node.role.filter(|role| role.kind == RoleKind::Master)
    else {
        return Ok(Hooks::default());
    };
    let named = node.rendered("hooks_dir", &ansible_facts(node, facts));
    let named = named.map_err(|error| {
        let what = format!("`hooks_dir` of {} cannot be worked out", node.name);
        CommandError::new(Kind::Usage, Report::new(what).because(&error))
    })?;
    let named = named.map(|value| value.to_string());
    let dir = folder.join(named.as_deref().unwrap_or("hooks"));
    let files = match list(&dir) {
        Ok(files) => files,
        // Nobody has asked for any.
        Err(e) if e.kind() == io::ErrorKind::NotFound && named.is_none() => {
            return Ok(Hooks::default());
        }
        Err(e) => {
            let what = format!("cannot read the hooks of {}", node.name);
            let report = Report::new(what)
                .cause(dir.display().to_string())
                .because(&e)
                .hint("`hooks_dir` names a folder beside the inventory");
            return Err(CommandError::new(Kind::Usage, report));
        }
    };
    if node.first_master {
        for file in files.iter().filter(|file| is_strange(file)) {
            ui.warn(&format!(
                "{} is not the name of a hook and has no effect: they are \
                 post-master-up.yml and pre-master-down.yml, perhaps with \
                 k3s- or k8s- in front",
                dir.join(file).display()
            ));
        }
    }
    let of = |event: [&str; 2]| event_hooks(&dir, &files, role.cluster, event);
    Ok(Hooks {
        post_master_up: of(POST_MASTER_UP)?,
        pre_master_down: of(PRE_MASTER_DOWN)?,
    })
}

fn list(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        // Of names that are no text, none is ours.
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// The names of an event's hooks without their ends, in their order: those
/// for every cluster, then those for this kind.
fn stems(prefix: &str, event: [&str; 2]) -> Vec<String> {
    let of = |prefix: &str| event.map(|event| format!("{prefix}{event}"));
    of("").into_iter().chain(of(prefix)).collect()
}

/// Says whether a file looks like a hook, but is none.
fn is_strange(file: &str) -> bool {
    let Some((stem, end)) = file.rsplit_once('.') else { return false };
    let known = |prefix: &str| {
        [POST_MASTER_UP, PRE_MASTER_DOWN]
            .into_iter()
            .flat_map(|event| stems(prefix, event))
            .any(|known| known == stem)
    };
    EXTENSIONS.contains(&end)
        && !file.starts_with('.')
        && !known("k3s-")
        && !known("k8s-")
}

fn event_hooks(
    dir: &Path,
    files: &[String],
    cluster: Cluster,
    event: [&str; 2],
) -> Result<Vec<Hook>> {
    let mut hooks = Vec::new();
    for stem in stems(&format!("{cluster}-"), event) {
        let names = EXTENSIONS.map(|end| format!("{stem}.{end}"));
        let mut found = names.iter().filter(|name| files.contains(name));
        let Some(name) = found.next() else { continue };
        if let Some(other) = found.next() {
            let what = format!("{} has two hooks of one name", dir.display());
            return Err(CommandError::usage(what)
                .hint(format!("keep one of {name} and {other}")));
        }
        let path = dir.join(name);
        let content = load(&path)?;
        hooks.push(Hook { name: name.clone(), content });
    }
    Ok(hooks)
}

fn load(path: &Path) -> Result<String> {
    let failed = |error: &dyn std::error::Error| {
        let what = format!("cannot read the hook {}", path.display());
        CommandError::new(Kind::Usage, Report::new(what).because(error))
    };
    let size = fs::metadata(path).map_err(|e| failed(&e))?.len();
    if size > LARGEST {
        let what = format!("the hook {} is too large", path.display());
        return Err(CommandError::usage(what)
            .hint("a hook is a file of Kubernetes manifests, up to 1 MiB"));
    }
    let content = fs::read_to_string(path).map_err(|e| failed(&e))?;
    check(path, &content)?;
    Ok(content)
}

/// An object of Kubernetes, as far as every one of them is alike.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    api_version: Option<String>,
    kind: Option<String>,
}

/// Where something is wrong with a hook.
#[derive(Debug, thiserror::Error)]
#[error("{path}:{line}:{column}: {problem}", path = .path.display())]
struct WrongHook {
    path: PathBuf,
    line: u64,
    column: u64,
    problem: String,
}

fn check(path: &Path, content: &str) -> Result<()> {
    let wrong = |at: Option<serde_saphyr::Location>, problem: String| {
        let (line, column) = at.map_or((1, 1), |at| (at.line(), at.column()));
        let error = WrongHook { path: path.to_owned(), line, column, problem };
        let what = format!("the hook {} is not usable", path.display());
        let report = Report::new(what).because(&error).hint(
            "a hook is a file of Kubernetes manifests, as `kubectl apply -f` \
             takes them",
        );
        CommandError::new(Kind::Usage, report)
    };
    let documents =
        serde_saphyr::from_multiple::<Option<Spanned<Object>>>(content)
            .map_err(|error| {
                let said = error.without_snippet().to_string();
                wrong(error.location(), said)
            })?;
    for object in documents.into_iter().flatten() {
        let is = |text: &Option<String>| {
            text.as_ref().is_some_and(|text| !text.trim().is_empty())
        };
        let missing = match object.value {
            ref object if !is(&object.api_version) => "apiVersion",
            ref object if !is(&object.kind) => "kind",
            _ => continue,
        };
        let problem = format!("an object without `{missing}`");
        return Err(wrong(Some(object.referenced), problem));
    }
    Ok(())
}
