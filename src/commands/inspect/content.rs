//! The content of one file.

use std::io::{BufRead, BufReader, Read, Write};

use super::super::{
    error::{CommandError, Result},
    look::fs_error,
    view::{View, digest},
};
use super::output;
use crate::{
    fs::tree::Node,
    ui::{self, Ui},
};

/// Longer lines are shown as several, in bytes.
const LINE: u64 = 1 << 20;
/// What is looked at to tell texts from other files, in bytes.
const HEAD: u64 = 8192;

/// Writes a file as it is: bytes for a program, text for a person. Secrets
/// are masked, and a word on standard error says so.
pub(super) fn show(
    view: &View<'_>,
    node: &Node,
    out: &mut dyn Write,
    ui: &Ui,
) -> Result<()> {
    let path = ui::escape(&node.path);
    let unreadable = |error| {
        let error = fs_error(error, &path);
        CommandError::failed(format!("cannot read {path}"), &error)
    };
    let opened = view.tree.open(node).map_err(|error| {
        CommandError::failed(format!("cannot read {path}"), &error)
    })?;
    let mut masker = view.mask.of(view.part, &node.path);
    if masker.hides_all() {
        return Err(CommandError::usage(format!("{path} is a secret"))
            .hint("--show-secrets shows it"));
    }
    let mut file = BufReader::new(opened);
    let mut head = Vec::new();
    (&mut file).take(HEAD).read_to_end(&mut head).map_err(unreadable)?;
    let is_text = !head.contains(&0);
    let people = ui.is_read_by_people();
    if !is_text && people {
        let sha256 = digest(view.tree, node).map_err(|error| {
            CommandError::failed(format!("cannot read {path}"), &error)
        })?;
        let text = format!(
            "{path} is no text: {} bytes, SHA-256 {sha256}\n",
            node.size
        );
        return out.write_all(text.as_bytes()).map_err(output);
    }
    let mut rest = head.chain(file);
    let mut masked = false;
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut rest).take(LINE);
        limited.read_until(b'\n', &mut line).map_err(unreadable)?;
        if line.is_empty() {
            break;
        }
        if !is_text {
            out.write_all(&line).map_err(output)?;
            continue;
        }
        let end = line.ends_with(b"\n");
        let body = line.strip_suffix(b"\n").unwrap_or(&line);
        let hidden = masker.line(&String::from_utf8_lossy(body));
        masked = masked || hidden.is_some();
        let body = hidden.map_or(body.to_vec(), String::into_bytes);
        let body =
            if people { ui::escape_text(&body).into_bytes() } else { body };
        out.write_all(&body).map_err(output)?;
        if end {
            out.write_all(b"\n").map_err(output)?;
        }
    }
    out.flush().map_err(output)?;
    if masked {
        ui.warn(&format!(
            "secrets in {path} are masked: --show-secrets shows them"
        ));
    }
    Ok(())
}
