//! An image in one page, for people.

use std::fmt::Write;

use serde::Serialize;

use super::{
    super::look::Looked,
    layout::draw,
    listing::time,
    state::{State, states},
};
use crate::{
    base::{
        disk_image::Form,
        facts::{Facts, PartitionFacts, TableKind},
    },
    fs::{summary::Summary, tree::Tree},
    plan::{Manifest, ManifestEdit, Part},
    ui::{self, Column, bytes, table},
};

/// How far the second column is from the left.
const INDENT: usize = 15;

/// Describes an image, `width` columns wide where it can be chosen.
pub(super) fn summary(looked: &Looked, width: usize) -> String {
    let image = &looked.image;
    let size = image.device().size();
    let form = match image.form {
        Form::Device => "block device".to_owned(),
        Form::Raw => "raw image".to_owned(),
        Form::Blocks => "read out of .xz block by block".to_owned(),
        Form::Unpacked(format) => format!("unpacked from {format}"),
    };
    let kind = match image.table.kind {
        TableKind::Mbr => "MBR",
        TableKind::Gpt => "GPT",
    };
    let name = ui::escape(image.path.as_os_str().as_encoded_bytes());
    let mut text = format!(
        "{name}: {} ({size} bytes), {form}, {kind} {}\n\n{}\n",
        bytes(size),
        image.table.disk_id,
        draw(looked, width)
    );
    text.push_str(&partitions(looked));
    text.push('\n');
    for partition in &image.table.partitions {
        let number = partition.number;
        if let Some(Ok(summary)) = image.summary(number)
            && !summary.features.is_empty()
        {
            let features = summary.features.join(" ");
            row(&mut text, width, &format!("{number} features"), &features);
        }
    }
    system(&mut text, looked, width);
    piflash(&mut text, looked, width);
    text
}

fn partitions(looked: &Looked) -> String {
    let columns = [
        Column::left("PARTITION"),
        Column::right("START"),
        Column::right("SIZE"),
        Column::left("TYPE"),
        Column::left("HOLDS"),
        Column::left("LABEL"),
        Column::right("USED"),
        Column::right("FREE"),
        Column::left("STATE"),
    ];
    let partitions = looked.image.table.partitions.iter();
    let rows: Vec<_> = partitions.map(|p| partition(looked, p)).collect();
    table(&columns, &rows)
}

fn partition(looked: &Looked, partition: &PartitionFacts) -> Vec<String> {
    let number = partition.number;
    let name = match looked.part(number) {
        Some(part) => format!("{number} {part}"),
        None => number.to_string(),
    };
    let label = partition.volume.label.as_deref().unwrap_or_default();
    let mut cells = vec![
        name,
        bytes(partition.start),
        bytes(partition.len),
        // A GUID is longer than all the rest.
        partition.type_id.chars().take(8).collect(),
    ];
    match looked.image.summary(number) {
        Some(Ok(summary)) => cells.extend([
            summary.kind.to_owned(),
            ui::escape(label.as_bytes()),
            bytes(summary.size.saturating_sub(summary.free)),
            bytes(summary.free),
            state_of(&summary),
        ]),
        Some(Err(error)) => cells.extend([
            partition.volume.fs.map_or(String::new(), |fs| fs.to_string()),
            ui::escape(label.as_bytes()),
            String::new(),
            String::new(),
            ui::escape(error.to_string().as_bytes()),
        ]),
        None => {}
    }
    cells
}

fn state_of(summary: &Summary) -> String {
    let mut said = summary.problems.clone();
    if said.is_empty() {
        said.push("clean".to_owned());
    }
    if let Some(history) = summary.history.filter(|h| h.mounted > 0) {
        said.push(format!("mounted {}", time(history.mounted.into())));
    }
    ui::escape(said.join(", ").as_bytes())
}

/// Adds a name and what belongs to it, broken between words.
fn row(text: &mut String, width: usize, name: &str, value: &str) {
    let room = width.saturating_sub(INDENT).max(20);
    let mut line = String::new();
    let mut lines = Vec::new();
    for word in value.split(' ') {
        let len = line.chars().count().saturating_add(word.chars().count());
        if !line.is_empty() && len >= room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    for (number, line) in lines.iter().enumerate() {
        let name = if number == 0 { name } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<INDENT$}{line}");
    }
}

/// Returns the name that JSON has for a value of an enumeration.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(value) => value.to_string(),
        Err(_) => String::new(),
    }
}

fn system(text: &mut String, looked: &Looked, width: usize) {
    let facts = match looked.image.facts() {
        Ok(facts) => facts,
        Err(error) => {
            let mut what = error.to_string();
            let mut next = std::error::Error::source(&error);
            while let Some(error) = next {
                what = format!("{what}: {error}");
                next = error.source();
            }
            let what = format!("not one that piflash knows: {what}");
            return row(text, width, "system", &ui::escape(what.as_bytes()));
        }
    };
    for (name, value) in lines(&facts) {
        row(text, width, name, &ui::escape(value.as_bytes()));
    }
}

fn lines(facts: &Facts) -> Vec<(&'static str, String)> {
    let Facts { os, boot, network, cloud_init, .. } = facts;
    let accounts = facts.accounts.iter().map(|a| a.name.clone());
    let accounts: Vec<String> = accounts.collect();
    let mut lines = vec![
        ("system", format!("{}, {}", os.pretty_name, facts.architecture)),
        ("boot mount", boot.mount.clone()),
        ("kernel line", boot.cmdline.clone().unwrap_or_default()),
        ("kernels", facts.kernels.join(" ")),
        ("network", network.stack.to_string()),
        ("cloud-init", word(&cloud_init.state)),
        ("customised by", word(&facts.init_format)),
        ("accounts", accounts.join(" ")),
        ("machine-id", word(&facts.machine_id)),
        ("grows by", word(&facts.first_boot)),
        ("leftovers", facts.leftovers.join(" ")),
    ];
    lines.retain(|(_, value)| !value.is_empty());
    lines
}

fn piflash(text: &mut String, looked: &Looked, width: usize) {
    let manifest = match &looked.manifest {
        Some(Ok(manifest)) => manifest,
        Some(Err(error)) => {
            let what = format!("its manifest cannot be read: {error}");
            return row(text, width, "piflash", &ui::escape(what.as_bytes()));
        }
        None => return row(text, width, "piflash", "was not here"),
    };
    let said = |text: &str| ui::escape(text.as_bytes());
    let Manifest { node, profile, base, .. } = manifest;
    let made = format!(
        "{}, made by piflash {} at {} UTC with profile {}",
        said(node),
        said(&manifest.piflash),
        time(manifest.built),
        said(profile)
    );
    row(text, width, "node", &made);
    let base = format!(
        "{} ({} bytes, SHA-256 {})",
        said(&base.name),
        base.size,
        base.sha256
    );
    row(text, width, "base", &base);
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
    let states = states(manifest, &tree);
    let changed = states.iter();
    let changed = changed
        .filter(|(_, state)| matches!(state, Some(State::Changed(_))))
        .count();
    let put = format!(
        "{} edits by piflash, {}",
        states.len(),
        match changed {
            0 => "all as they were made".to_owned(),
            some => format!("{some} no longer as they were made (marked !)"),
        }
    );
    text.push('\n');
    text.push_str(&put);
    text.push('\n');
    for (edit, state) in &states {
        text.push_str(&edit_line(edit, state.as_ref()));
    }
}

fn edit_line(edit: &ManifestEdit, state: Option<&State>) -> String {
    let said = |text: &str| ui::escape(text.as_bytes());
    let access = match (&edit.mode, edit.uid, edit.gid) {
        (Some(mode), Some(uid), Some(gid)) => {
            format!("{} {uid}:{gid}", said(mode))
        }
        _ => String::new(),
    };
    let mark = match state {
        Some(State::Changed(_)) => '!',
        _ => ' ',
    };
    let mut line = format!(
        "{mark} {:<4} {:<12} {access:<14} {}",
        edit.part.to_string(),
        said(&edit.action),
        said(&edit.path)
    );
    if edit.secret {
        line.push_str(" (secret)");
    }
    if let Some(target) = &edit.target {
        line.push_str(&format!(" -> {}", said(target)));
    }
    if let Some(words) = &edit.words {
        line.push_str(&format!(" += {}", said(&words.join(" "))));
    }
    if let (Some(key), Some(value)) = (&edit.key, &edit.value) {
        line.push_str(&format!(": {}={}", said(key), said(value)));
    }
    if let Some(State::Changed(what)) = state {
        line.push_str(&format!(": {}", said(what)));
    }
    line.push('\n');
    line
}
