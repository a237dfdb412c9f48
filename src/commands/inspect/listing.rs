//! Directories as text, a line for each entry.

use std::io::Write;

use super::super::{
    error::Result,
    view::{View, broken},
};
use super::{incomplete, output};
use crate::{
    base::date::Date,
    fs::{
        FileKind, Meta,
        tree::{Node, Walk},
    },
    ui::{self, Ui},
};

/// Lists everything below a node, to a depth.
pub(super) fn list(
    view: &View<'_>,
    top: Node,
    depth: Option<usize>,
    out: &mut dyn Write,
    ui: &Ui,
) -> Result<()> {
    let base = levels(&top.path);
    let mut failed = 0usize;
    let only = top.kind != FileKind::Directory;
    for found in Walk::new(view.tree, top).skip(usize::from(!only)) {
        match found {
            Ok(node) => {
                let level = levels(&node.path).saturating_sub(base);
                if depth.is_some_and(|depth| level > depth) {
                    continue;
                }
                writeln!(out, "{}", line(view, &node)).map_err(output)?;
            }
            Err(error) => {
                failed = failed.saturating_add(1);
                out.flush().map_err(output)?;
                ui.warn(&broken(&error));
            }
        }
    }
    if failed > 0 { Err(incomplete(failed)) } else { Ok(()) }
}

/// Returns how many names a path has.
pub(super) fn levels(path: &[u8]) -> usize {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).count()
}

/// As `ls -ln` shows it, with the whole path.
fn line(view: &View<'_>, node: &Node) -> String {
    let Meta { mode, uid, gid, mtime } = node.meta;
    let size = match node.device {
        Some((major, minor)) => format!("{major}, {minor}"),
        None => node.size.to_string(),
    };
    let mut text = format!(
        "{}{} {:>5} {:>5} {size:>10} {} {}",
        node.letter,
        permissions(mode),
        uid,
        gid,
        time(mtime),
        ui::escape(&node.path)
    );
    if node.kind == FileKind::Symlink {
        let target = match view.tree.target(node) {
            Ok(target) => ui::escape(&target),
            Err(error) => format!("? ({})", broken(&error)),
        };
        text.push_str(&format!(" -> {target}"));
    }
    text
}

/// Returns `rwxr-xr-x`, with s, S, t and T where they belong.
fn permissions(mode: u16) -> String {
    let mut text: Vec<char> = (0..9u32)
        .map(|bit| {
            let set = mode.checked_shl(bit).unwrap_or(0) & 0o400 != 0;
            let letter = match bit % 3 {
                0 => 'r',
                1 => 'w',
                _ => 'x',
            };
            if set { letter } else { '-' }
        })
        .collect();
    for (bit, at, (with, without)) in [
        (0o4000, 2usize, ('s', 'S')),
        (0o2000, 5, ('s', 'S')),
        (0o1000, 8, ('t', 'T')),
    ] {
        if mode & bit != 0
            && let Some(letter) = text.get_mut(at)
        {
            *letter = if *letter == 'x' { with } else { without };
        }
    }
    text.into_iter().collect()
}

/// Returns `2026-06-18 00:00`, in UTC.
pub(in crate::commands) fn time(seconds: i64) -> String {
    let Some(day) = Date::of_seconds(seconds) else {
        return format!("@{seconds}");
    };
    let second = seconds.rem_euclid(86_400);
    let (hour, minute) =
        (second.div_euclid(3600), second.div_euclid(60).rem_euclid(60));
    format!("{day} {hour:02}:{minute:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_written_as_ls_does() {
        assert_eq!(permissions(0o755), "rwxr-xr-x");
        assert_eq!(permissions(0o640), "rw-r-----");
        assert_eq!(permissions(0o4755), "rwsr-xr-x");
        assert_eq!(permissions(0o2644), "rw-r-Sr--");
        assert_eq!(permissions(0o1777), "rwxrwxrwt");
        assert_eq!(permissions(0o1000), "--------T");
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(time(0), "1970-01-01 00:00");
        assert_eq!(time(1_781_740_800), "2026-06-18 00:00");
        assert_eq!(time(-1), "@-1");
    }
}
