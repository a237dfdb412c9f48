//! The state of nodes as a table, and as JSON.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Known, certificates};
use crate::{
    inventory::Node,
    node::{Answer, CertificateEnd, text::clean},
    ui::{Column, table},
};

/// Raised when a field changes its meaning or goes; not for new ones.
const VERSION: u32 = 1;
/// Characters that the table has for what a step prints.
const WIDEST: usize = 60;

/// The table, and below it what is to be done.
pub(super) fn text(known: &Known<'_>) -> String {
    let columns = [
        Column::left("NODE"),
        Column::left("ADDRESS"),
        Column::left("ROLE"),
        Column::left("STATE"),
        Column::left("STEP"),
        Column::right("ATTEMPT"),
        Column::right("%"),
        Column::left("SINCE"),
        Column::left("CLUSTER"),
        Column::left("ERROR"),
        Column::right("CERT DAYS").optional(),
        Column::left("OUTPUT").optional(),
    ];
    let rows: Vec<Vec<String>> = known
        .nodes
        .iter()
        .map(|(node, answer)| row(known, node, answer.as_ref()))
        .collect();
    let mut text = table(&columns, &rows);
    for note in notes(known) {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{note}\n");
    }
    text
}

fn row(known: &Known<'_>, node: &Node, answer: Option<&Answer>) -> Vec<String> {
    let number = |n: Option<u64>| n.map_or("-".to_owned(), |n| n.to_string());
    let or_dash = |text: &str| {
        if text.is_empty() { "-".to_owned() } else { text.to_owned() }
    };
    let role = node.role.map_or("-".to_owned(), |role| role.to_string());
    let mut cells = vec![node.name.clone(), node.reach(), role];
    let (mut days, mut output) = (String::new(), String::new());
    let error = match answer {
        Some(Answer::Told(status)) => {
            // The attempt counts only where a step is at work.
            let attempt = status.attempt.filter(|_| !status.step.is_empty());
            cells.extend([
                status.state.clone(),
                or_dash(&status.step),
                number(attempt),
                number(status.percent),
                or_dash(&status.since),
            ]);
            if let Some(first) = &status.certificate {
                days = first.days.to_string();
            }
            output = clean(&status.output, WIDEST);
            status.error.clone()
        }
        Some(Answer::Trouble(trouble)) => {
            let dash = || "-".to_owned();
            cells.push(trouble.name().to_owned());
            cells.extend([dash(), dash(), dash(), dash()]);
            trouble.to_string()
        }
        None => {
            let dash = || "-".to_owned();
            cells.push("asking".to_owned());
            cells.extend([dash(), dash(), dash(), dash()]);
            String::new()
        }
    };
    cells.extend([cluster(known, node), error, days, output]);
    cells
}

/// What the cluster says of a node, in a few words.
fn cluster(known: &Known<'_>, node: &Node) -> String {
    let Some(answer) =
        node.role.and_then(|role| known.clusters.get(&role.cluster))
    else {
        return "-".to_owned();
    };
    match answer {
        None => "asking".to_owned(),
        Some(Err(_)) => "no answer".to_owned(),
        Some(Ok(nodes)) => match nodes.get(&node.name) {
            Some(found) if found.ready => format!("Ready {}", found.version),
            Some(_) => "NotReady".to_owned(),
            None => "not registered".to_owned(),
        },
    }
}

/// What a cell has no room for.
fn notes(known: &Known<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    for (node, answer) in &known.nodes {
        match answer {
            Some(Answer::Trouble(trouble)) => {
                let hint = trouble.hint(&node.name);
                notes.extend(hint.map(|hint| {
                    format!("{}: {trouble}\n    {hint}", node.name)
                }));
            }
            Some(Answer::Told(status)) => {
                let first = status.certificate.as_deref();
                let note = first.and_then(|it| certificates::note(node, it));
                notes.extend(note);
            }
            None => {}
        }
    }
    for (cluster, answer) in &known.clusters {
        match answer {
            Some(Err(why)) => notes.push(format!("{cluster} cluster: {why}")),
            Some(Ok(nodes)) => {
                for (node, _) in &known.nodes {
                    let found = nodes.get(&node.name);
                    if let Some(found) = found.filter(|f| !f.ready) {
                        notes.push(format!(
                            "{}: not ready: {}",
                            node.name, found.why
                        ));
                    }
                }
            }
            None => {}
        }
    }
    notes
}

#[derive(Serialize)]
struct NodeJson<'k> {
    name: &'k str,
    address: String,
    role: Option<Value>,
    answered: bool,
    done: bool,
    /// The node's own, or why there is none.
    state: &'k str,
    step: &'k str,
    attempt: Option<u64>,
    steps_done: Option<u64>,
    steps: Option<u64>,
    percent: Option<u64>,
    since: &'k str,
    error: String,
    /// The last line that the step at work has printed.
    output: &'k str,
    /// Null where the node does not say.
    certificate: Option<&'k CertificateEnd>,
    hint: Option<String>,
    cluster: Option<Value>,
}

/// For programs, for people's eyes too.
pub(super) fn json(known: &Known<'_>) -> String {
    format!("{:#}\n", document(known))
}

/// On one line.
pub(super) fn json_line(known: &Known<'_>) -> String {
    format!("{}\n", document(known))
}

fn document(known: &Known<'_>) -> Value {
    let nodes: Vec<NodeJson<'_>> = known
        .nodes
        .iter()
        .filter_map(|(node, answer)| {
            Some(node_json(known, node, answer.as_ref()?))
        })
        .collect();
    let clusters: Vec<Value> = known
        .clusters
        .iter()
        .map(|(cluster, answer)| {
            let error = answer.as_ref().and_then(|a| a.as_ref().err());
            json!({
                "name": cluster.to_string(),
                "answered": matches!(answer, Some(Ok(_))),
                "error": error,
            })
        })
        .collect();
    json!({
        "version": VERSION,
        "done": known.all_done(),
        "nodes": nodes,
        "clusters": clusters,
    })
}

fn node_json<'k>(
    known: &'k Known<'_>,
    node: &'k Node,
    answer: &'k Answer,
) -> NodeJson<'k> {
    let role = node.role.map(|role| {
        json!({
            "cluster": role.cluster.to_string(),
            "kind": role.kind.to_string(),
        })
    });
    // Null where the cluster says nothing.
    let cluster = known.registered(node).map(|found| match found {
        Some(found) => json!({
            "registered": true,
            "ready": found.ready,
            "why": found.why,
            "version": found.version,
        }),
        None => json!({
            "registered": false, "ready": false, "why": "", "version": "",
        }),
    });
    let mut row = NodeJson {
        name: &node.name,
        address: node.reach(),
        role,
        answered: false,
        done: known.is_done(node, Some(answer)),
        state: "",
        step: "",
        attempt: None,
        steps_done: None,
        steps: None,
        percent: None,
        since: "",
        error: String::new(),
        output: "",
        certificate: None,
        hint: None,
        cluster,
    };
    match answer {
        Answer::Told(status) => {
            row.answered = true;
            row.state = &status.state;
            row.step = &status.step;
            row.attempt = status.attempt;
            row.steps_done = status.done;
            row.steps = status.steps;
            row.percent = status.percent;
            row.since = &status.since;
            row.error.clone_from(&status.error);
            row.output = &status.output;
            row.certificate = status.certificate.as_deref();
        }
        Answer::Trouble(trouble) => {
            row.state = trouble.name();
            row.error = trouble.to_string();
            row.hint = trouble.hint(&node.name);
        }
    }
    row
}
