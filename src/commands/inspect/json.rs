//! The same for programs. Version 1; new fields may come, none goes or
//! changes its meaning.

use std::io::Write;

use serde_json::{Value, json};

use super::super::{
    error::Result,
    look::Looked,
    view::{View, broken, entry, text},
};
use super::{
    incomplete,
    listing::levels,
    output,
    place::Place,
    state::{State, states},
};
use crate::{
    base::{disk_image::Form, facts::PartitionFacts},
    fs::tree::{Node, Tree, Walk},
    plan::Part,
};

const VERSION: u32 = 1;

/// Returns an image as JSON.
pub(super) fn summary(looked: &Looked) -> Value {
    let image = &looked.image;
    let form = match image.form {
        Form::Device => "device".to_owned(),
        Form::Raw => "raw".to_owned(),
        Form::Blocks => "xz-blocks".to_owned(),
        Form::Unpacked(format) => format.to_string(),
    };
    let partitions = image.table.partitions.iter();
    let partitions: Vec<_> = partitions.map(|p| partition(looked, p)).collect();
    json!({
        "version": VERSION,
        "image": text(image.path.as_os_str().as_encoded_bytes()),
        "form": form,
        "size": image.device().size(),
        "table": {"kind": image.table.kind, "id": image.table.disk_id},
        "partitions": partitions,
        "facts": match image.facts() {
            Ok(facts) => json!(facts),
            Err(_) => Value::Null,
        },
        "facts_error": image.facts().err().map(|error| error.to_string()),
        "manifest": manifest(looked),
    })
}

fn partition(looked: &Looked, partition: &PartitionFacts) -> Value {
    let number = partition.number;
    let mut value = json!({
        "number": number,
        "part": looked.part(number),
        "start": partition.start,
        "size": partition.len,
        "type": partition.type_id,
        "label": partition.volume.label,
        "uuid": partition.volume.uuid,
    });
    match looked.image.summary(number) {
        Some(Ok(summary)) => {
            value["filesystem"] = json!({
                "kind": summary.kind,
                "features": summary.features,
                "block_size": summary.block_size,
                "size": summary.size,
                "free": summary.free,
                "inodes": summary.inodes.map(|(all, _)| all),
                "free_inodes": summary.inodes.map(|(_, free)| free),
                "problems": summary.problems,
                "mounts": summary.history.map(|h| h.mounts),
                "mounted": summary.history.map(|h| h.mounted),
                "written": summary.history.map(|h| h.written),
            });
        }
        Some(Err(error)) => value["error"] = json!(error.to_string()),
        None => {}
    }
    value
}

/// The manifest, with the state of each edit: `same`, what has changed, or
/// null where a later edit of the same path counts.
fn manifest(looked: &Looked) -> Value {
    let manifest = match &looked.manifest {
        Some(Ok(manifest)) => manifest,
        Some(Err(error)) => return json!({"error": error.to_string()}),
        None => return Value::Null,
    };
    let open = |number: Option<u32>| {
        number.and_then(|number| looked.image.tree(number)?.ok())
    };
    let (boot, root) = (open(looked.boot), open(looked.root));
    let tree = |part| -> Option<&dyn Tree> {
        match part {
            Part::Boot => boot.as_deref(),
            Part::Root => root.as_deref(),
        }
    };
    let edits = states(manifest, &tree).into_iter().map(|(edit, state)| {
        let mut value = json!(edit);
        value["state"] = match state {
            Some(State::Same) => json!("same"),
            Some(State::Changed(what)) => json!(what),
            None => Value::Null,
        };
        value
    });
    let edits: Vec<_> = edits.collect();
    let mut value = json!(manifest);
    value["edits"] = json!(edits);
    value
}

/// Writes everything below a node, an entry at a time; files with their
/// SHA-256, unless they are secret.
pub(super) fn listing(
    view: &View<'_>,
    looked: &Looked,
    place: &Place,
    top: Node,
    depth: Option<usize>,
    out: &mut dyn Write,
) -> Result<()> {
    let base = levels(&top.path);
    let head = json!({
        "version": VERSION,
        "partition": place.number,
        "part": looked.part(place.number),
    });
    let head = head.to_string();
    let head = head.strip_suffix('}').unwrap_or(&head);
    write!(out, "{head},\"entries\":[").map_err(output)?;
    let (mut first, mut failed) = (true, 0usize);
    for found in Walk::new(view.tree, top) {
        let value = match found {
            Ok(node) => {
                let level = levels(&node.path).saturating_sub(base);
                if depth.is_some_and(|depth| level > depth) {
                    continue;
                }
                entry(view, &node)
            }
            Err(error) => {
                failed = failed.saturating_add(1);
                json!({"error": broken(&error)})
            }
        };
        let comma = if first { "" } else { "," };
        first = false;
        write!(out, "{comma}\n{value}").map_err(output)?;
    }
    writeln!(out, "\n]}}").map_err(output)?;
    out.flush().map_err(output)?;
    if failed > 0 { Err(incomplete(failed)) } else { Ok(()) }
}
