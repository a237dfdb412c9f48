//! A plan as text and as JSON. Secrets are never shown, nor hashes of them.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Cluster, Plan};
use crate::{
    base::digest::Sha256,
    profile::{Access, Action, Content, Edit},
};

/// Version of the JSON, raised when a field changes its meaning.
const VERSION: u32 = 1;

impl Plan {
    /// Returns the plan for people: one line an edit.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}: {} (profile {})\n",
            self.node, self.profile_title, self.profile
        );
        for edit in &self.edits {
            let line = format!(
                "  {:<4} {:<12} {:<14} {}{}",
                edit.part.to_string(),
                edit.action.verb(),
                access_of(edit).map(access_text).unwrap_or_default(),
                edit.path,
                detail(edit),
            );
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", line.trim_end());
            if !edit.why.is_empty() {
                let _ = writeln!(text, "{:36}{}", "", edit.why);
            }
        }
        if let Some((role, cluster)) =
            self.role.as_ref().zip(self.cluster.as_ref())
        {
            let _ =
                writeln!(text, "role: {role}, API at {}", cluster.endpoint());
        }
        for does in &self.does {
            let _ = writeln!(text, "power-up: {does}");
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        text
    }

    /// Returns the plan for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "version": VERSION,
            "node": self.node,
            "profile": self.profile,
            "role": self.role,
            "endpoint": self.cluster.as_ref().map(Cluster::endpoint),
            "edits": self.edits.iter().map(edit_json).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

fn access_of(edit: &Edit) -> Option<Access> {
    match edit.action {
        Action::Write { access, .. }
        | Action::Mkdir { access }
        | Action::Access { access } => Some(access),
        _ => None,
    }
}

fn access_text(access: Access) -> String {
    format!("{:04o} {}:{}", access.mode, access.uid, access.gid)
}

fn detail(edit: &Edit) -> String {
    match &edit.action {
        _ if edit.secret => " (secret)".to_owned(),
        Action::Write { content, .. } => format!(" ({} bytes)", content.len()),
        Action::Append { text } | Action::Block { text } => {
            format!(" += {text:?}")
        }
        Action::KernelWords { words } => format!(" += {}", words.join(" ")),
        Action::ConfigTxt { key, value } => format!(": {key}={value}"),
        Action::Symlink { target } => format!(" -> {target}"),
        Action::Mkdir { .. } | Action::Access { .. } | Action::Remove => {
            String::new()
        }
    }
}

fn edit_json(edit: &Edit) -> Value {
    let mut value = json!({
        "part": edit.part,
        "action": edit.action.verb(),
        "path": edit.path,
        "why": edit.why,
        "secret": edit.secret,
    });
    if let Some(access) = access_of(edit) {
        value["mode"] = json!(format!("{:04o}", access.mode));
        value["uid"] = json!(access.uid);
        value["gid"] = json!(access.gid);
    }
    if edit.secret {
        return value;
    }
    match &edit.action {
        Action::Write { content, .. } => {
            value["size"] = json!(content.len());
            value["sha256"] = match content {
                Content::Bytes(bytes) => json!(Sha256::of(bytes)),
                Content::File(file) => json!(file.sha256()),
            };
            if let Some(text) = content.as_text() {
                value["content"] = json!(text);
            }
        }
        Action::Append { text } | Action::Block { text } => {
            value["content"] = json!(text);
        }
        Action::KernelWords { words } => value["words"] = json!(words),
        Action::ConfigTxt { key, value: set } => {
            value["key"] = json!(key);
            value["value"] = json!(set);
        }
        Action::Symlink { target } => value["target"] = json!(target),
        Action::Mkdir { .. } | Action::Access { .. } | Action::Remove => {}
    }
    value
}
