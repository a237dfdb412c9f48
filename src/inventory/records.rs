//! The variables that are mappings with keys of ours: what they share, and
//! `files` and `config_txt`.

use std::path::PathBuf;

use super::{
    grammar::{is_absolute, is_account},
    problem::{Problem, nearest, quoted},
    shapes::Reader,
    tree::{Kind, Tree},
    variables::Variable,
};

/// A file to copy into the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCopy {
    /// The file of the builder; relative ones are beside the inventory.
    pub src: PathBuf,
    /// The absolute path on the node.
    pub dest: String,
    /// Permission bits.
    pub mode: u16,
    /// `user` or `user:group`, by name or number.
    pub owner: String,
}

/// A setting of `config.txt`; a key may come more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigTxtSetting {
    /// What is before the `=`.
    pub key: String,
    /// What is behind it.
    pub value: String,
}

/// The values of a mapping of ours, by key.
pub(super) struct Record<'a>(Vec<(&'static str, &'a Tree)>);

impl<'a> Record<'a> {
    /// Gives the value of a key, unless it is null.
    pub(super) fn get(&self, key: &str) -> Option<&'a Tree> {
        self.0.iter().find(|(k, v)| *k == key && !v.is_null()).map(|p| p.1)
    }
}

impl Reader<'_> {
    /// Opens a mapping whose keys are all ours.
    pub(super) fn record<'a>(
        &mut self,
        v: &Variable,
        tree: &'a Tree,
        keys: &[&'static str],
    ) -> Option<Record<'a>> {
        let Kind::Map(pairs) = &tree.kind else {
            self.wrong(v, tree);
            return None;
        };
        let mut record = Vec::new();
        for (key, value) in pairs {
            let name = key.text().unwrap_or_default();
            if let Some(known) = keys.iter().find(|k| **k == name) {
                record.push((*known, value));
                continue;
            }
            let problem = Problem::at(
                &key.at,
                format!("unknown key {} in {}", quoted(name), quoted(v.name)),
            );
            self.problems.push(match nearest_key(name, keys) {
                Some(near) => {
                    problem.hint(format!("did you mean {}?", quoted(near)))
                }
                None => problem.hint(format!("known are {}", keys.join(", "))),
            });
        }
        Some(Record(record))
    }

    /// Reads the text of a key that must be there.
    pub(super) fn field(
        &mut self,
        v: &Variable,
        record: &Record<'_>,
        key: &str,
        tree: &Tree,
    ) -> Option<String> {
        let Some(value) = record.get(key) else {
            self.problems.push(
                Problem::at(
                    &tree.at,
                    format!("{} needs {}", quoted(v.name), quoted(key)),
                )
                .hint(format!("for example `{}: {}`", v.name, v.example)),
            );
            return None;
        };
        self.line(v, key, value)
    }

    /// Reads the text of a key.
    pub(super) fn line(
        &mut self,
        v: &Variable,
        key: &str,
        tree: &Tree,
    ) -> Option<String> {
        match tree.text() {
            Some(text) if !text.chars().any(char::is_control) => {
                Some(text.to_owned())
            }
            _ => {
                self.complain(v, tree, key, "must be text on one line");
                None
            }
        }
    }

    /// Reports the value of a key.
    pub(super) fn complain(
        &mut self,
        v: &Variable,
        tree: &Tree,
        key: &str,
        what: &str,
    ) {
        self.problems.push(Problem::at(
            &tree.at,
            format!("{} of {} {what}", quoted(key), quoted(v.name)),
        ));
    }

    /// Reads `files`.
    pub(super) fn files(
        &mut self,
        v: &Variable,
        tree: &Tree,
    ) -> Option<Vec<FileCopy>> {
        let Kind::Seq(items) = &tree.kind else {
            self.wrong(v, tree);
            return None;
        };
        let files: Vec<Option<FileCopy>> =
            items.iter().map(|item| self.file(v, item)).collect();
        files.into_iter().collect()
    }

    fn file(&mut self, v: &Variable, tree: &Tree) -> Option<FileCopy> {
        let record = self.record(v, tree, &["src", "dest", "mode", "owner"])?;
        let src = self.field(v, &record, "src", tree);
        let dest = self.field(v, &record, "dest", tree);
        if let (Some(dest), Some(tree)) = (&dest, record.get("dest"))
            && (!is_absolute(dest) || dest.ends_with('/'))
        {
            self.complain(
                v,
                tree,
                "dest",
                "must be the absolute path of the file on the node",
            );
        }
        let src = src.map(|src| self.path(&src));
        if let (Some(src), Some(tree)) = (&src, record.get("src"))
            && !src.is_file()
        {
            self.problems.push(Problem::at(
                &tree.at,
                format!("no file at {}", quoted(&src.display().to_string())),
            ));
        }
        let mode = match record.get("mode") {
            None => Some(0o644),
            Some(tree) => {
                let mode = tree.text().and_then(octal);
                if mode.is_none() {
                    self.complain(
                        v,
                        tree,
                        "mode",
                        "must be octal, for example \"0644\"",
                    );
                }
                mode
            }
        };
        let owner = match record.get("owner") {
            None => Some("root".to_owned()),
            Some(tree) => {
                let owner = tree.text().filter(|text| is_owner(text));
                if owner.is_none() {
                    self.complain(
                        v,
                        tree,
                        "owner",
                        "must be user or user:group",
                    );
                }
                owner.map(str::to_owned)
            }
        };
        Some(FileCopy { src: src?, dest: dest?, mode: mode?, owner: owner? })
    }

    /// Resolves a path of the builder: `~` is the home, relative ones are
    /// beside the inventory.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.dir.join(text),
        }
    }

    /// Reads `config_txt`.
    pub(super) fn config_txt(
        &mut self,
        v: &Variable,
        tree: &Tree,
    ) -> Option<Vec<ConfigTxtSetting>> {
        let mut settings = Vec::new();
        match &tree.kind {
            Kind::Map(pairs) => {
                for (key, value) in pairs {
                    let name = key.text().unwrap_or_default();
                    let values = match &value.kind {
                        Kind::Seq(items) => &items[..],
                        _ => std::slice::from_ref(value),
                    };
                    for value in values {
                        settings.push(self.setting(v, value, name)?);
                    }
                }
            }
            Kind::Seq(items) => {
                for item in items {
                    settings.push(self.assignment(v, item, item.text())?);
                }
            }
            Kind::Scalar { text, .. } if !tree.is_null() => {
                for line in text.lines().map(str::trim) {
                    if !line.is_empty() && !line.starts_with('#') {
                        settings.push(self.assignment(v, tree, Some(line))?);
                    }
                }
            }
            _ => {
                self.wrong(v, tree);
                return None;
            }
        }
        Some(settings)
    }

    fn assignment(
        &mut self,
        v: &Variable,
        tree: &Tree,
        text: Option<&str>,
    ) -> Option<ConfigTxtSetting> {
        let Some((key, value)) = text.and_then(|text| text.split_once('='))
        else {
            self.wrong(v, tree);
            return None;
        };
        self.checked_setting(tree, key.trim(), value.trim())
    }

    fn setting(
        &mut self,
        v: &Variable,
        tree: &Tree,
        key: &str,
    ) -> Option<ConfigTxtSetting> {
        let Some(text) = tree.text() else {
            self.wrong(v, tree);
            return None;
        };
        // The firmware knows numbers only, and a plain `on` is a boolean.
        let value = match (&tree.kind, text.to_ascii_lowercase().as_str()) {
            (Kind::Scalar { plain: true, .. }, "yes" | "true" | "on") => "1",
            (Kind::Scalar { plain: true, .. }, "no" | "false" | "off") => "0",
            _ => text,
        };
        self.checked_setting(tree, key, value)
    }

    /// The firmware reads at most 98 characters of a line.
    /// <https://www.raspberrypi.com/documentation/computers/config_txt.html>
    fn checked_setting(
        &mut self,
        tree: &Tree,
        key: &str,
        value: &str,
    ) -> Option<ConfigTxtSetting> {
        let length = key.len().saturating_add(value.len()).saturating_add(1);
        let good = !key.is_empty()
            && key.chars().all(|c| {
                c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':')
            })
            && value.chars().all(|c| c.is_ascii() && !c.is_ascii_control())
            && length <= 98;
        if !good {
            self.problems.push(
                Problem::at(
                    &tree.at,
                    format!("{} is no setting for config.txt", quoted(key)),
                )
                .hint("key=value in at most 98 ASCII characters"),
            );
            return None;
        }
        Some(ConfigTxtSetting { key: key.to_owned(), value: value.to_owned() })
    }
}

/// Keys are short, so one wrong letter counts from four on.
fn nearest_key(name: &str, keys: &[&'static str]) -> Option<&'static str> {
    nearest(name, keys.iter().copied()).or_else(|| {
        match name {
            "password" | "key" | "passphrase" => Some("psk"),
            "name" => Some("ssid"),
            "source" => Some("src"),
            "destination" | "path" | "dst" => Some("dest"),
            "permissions" => Some("mode"),
            "user" => Some("owner"),
            _ => keys.iter().copied().find(|key| {
                key.len() >= 3
                    && name.len() <= 16
                    && strsim::osa_distance(name, key) == 1
            }),
        }
        .filter(|near| keys.contains(near))
    })
}

fn octal(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    if !(3..=4).contains(&digits.len()) {
        return None;
    }
    u16::from_str_radix(digits, 8).ok()
}

fn is_owner(text: &str) -> bool {
    let id = |s: &str| is_account(s) || s.parse::<u32>().is_ok();
    match text.split_once(':') {
        Some((user, group)) => id(user) && id(group),
        None => id(text),
    }
}
