//! What opens a node: SSH keys and password hashes.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use ssh_key::{Algorithm, authorized_keys::Entry};

use super::{
    files::read_text,
    problem::{Problem, quoted},
    shapes::Reader,
    tree::{Kind, Tree},
    variables::Variable,
};

/// The keys that may log in to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshKeys {
    /// The keys, in order, each once.
    pub keys: Vec<SshKey>,
    /// Why it is these.
    pub origin: KeyOrigin,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshKey {
    /// The line for `authorized_keys`, options included.
    pub text: String,
    /// The comment at its end; may be empty.
    pub comment: String,
    /// Where the key was found.
    pub source: KeySource,
}

/// Where a public key was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// In the inventory.
    Inline,
    /// In a file.
    File(PathBuf),
}

/// Why a node has the keys that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOrigin {
    /// The inventory names them.
    FromInventory,
    /// The inventory says nothing, so the builder's own keys are used: these
    /// files.
    BuilderDefault(Vec<PathBuf>),
    /// The inventory says nothing, and the builder has none.
    NoneFound,
    /// The inventory wants none: an empty list.
    ExplicitlyNone,
}

/// Reads the builder's own keys, `~/.ssh/*.pub`. Files that hold no usable
/// key are named in a warning.
pub(super) fn builder_keys(
    home: Option<&Path>,
    warnings: &mut Vec<Problem>,
) -> SshKeys {
    let mut paths: Vec<PathBuf> = home
        .and_then(|home| fs::read_dir(home.join(".ssh")).ok())
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "pub"))
        .collect();
    paths.sort();
    let mut keys = Vec::new();
    let mut used = Vec::new();
    for path in paths {
        match read_key_file(&path) {
            Ok(found) => {
                keys.extend(found);
                used.push(path);
            }
            Err(message) => warnings.push(Problem::of_file(
                &path,
                format!("is not used: {message}"),
            )),
        }
    }
    unique(&mut keys);
    let origin = match used.is_empty() {
        true => KeyOrigin::NoneFound,
        false => KeyOrigin::BuilderDefault(used),
    };
    SshKeys { keys, origin }
}

fn unique(keys: &mut Vec<SshKey>) {
    let mut seen = BTreeSet::new();
    keys.retain(|key| seen.insert(key.text.clone()));
}

/// Reads the keys of a `.pub` file, or says what is wrong with it.
fn read_key_file(path: &Path) -> Result<Vec<SshKey>, String> {
    let text = read_text(path).map_err(|problem| problem.message)?;
    if text.contains("PRIVATE KEY") {
        return Err("it holds a private key, not a public one".into());
    }
    let keys: Result<Vec<SshKey>, &str> = key_lines(&text)
        .map(|line| read_key(line, &KeySource::File(path.to_path_buf())))
        .collect();
    match keys {
        Ok(keys) if keys.is_empty() => Err("it holds no key".into()),
        Ok(keys) => Ok(keys),
        Err(message) => Err(format!("it {message}")),
    }
}

fn key_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Reads one line of `authorized_keys`; the error follows on "it" or "this".
fn read_key(line: &str, source: &KeySource) -> Result<SshKey, &'static str> {
    let entry =
        Entry::from_str(line).map_err(|_| "is not a valid public key")?;
    match entry.public_key().algorithm() {
        Algorithm::Dsa => {
            return Err("is a DSA key, which no sshd accepts any more");
        }
        Algorithm::Other(_) => return Err("is a key of an unknown kind"),
        _ => {}
    }
    Ok(SshKey {
        text: line.to_owned(),
        comment: entry.public_key().comment().to_owned(),
        source: source.clone(),
    })
}

/// Says whether text is meant as a key rather than as a path.
fn looks_like_key(text: &str) -> bool {
    text.split_whitespace().any(|word| {
        ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"]
            .iter()
            .any(|kind| word.starts_with(kind))
            || word.starts_with("AAAA")
    })
}

impl Reader<'_> {
    /// Reads `ssh_authorized_keys`.
    pub(super) fn ssh_keys(
        &mut self,
        v: &Variable,
        tree: &Tree,
    ) -> Option<SshKeys> {
        let items = match &tree.kind {
            Kind::Seq(items) => &items[..],
            Kind::Scalar { .. } => std::slice::from_ref(tree),
            _ => {
                self.wrong(v, tree);
                return None;
            }
        };
        let mut keys = Vec::new();
        let mut good = true;
        for item in items {
            match self.ssh_key(v, item) {
                Some(found) => keys.extend(found),
                None => good = false,
            }
        }
        unique(&mut keys);
        let origin = match items.is_empty() {
            true => KeyOrigin::ExplicitlyNone,
            false => KeyOrigin::FromInventory,
        };
        good.then_some(SshKeys { keys, origin })
    }

    fn ssh_key(&mut self, v: &Variable, tree: &Tree) -> Option<Vec<SshKey>> {
        let Some(text) = tree.text() else {
            self.wrong(v, tree);
            return None;
        };
        if text.contains("PRIVATE KEY") {
            self.problems.push(
                Problem::at(&tree.at, "this is a private key: keep it secret")
                    .hint(
                        "put the public one here, the .pub file beside it; \
                         a private key that was shared must be replaced",
                    ),
            );
            return None;
        }
        if !looks_like_key(text) {
            return self.key_file(tree, text);
        }
        let keys: Result<Vec<SshKey>, &str> = key_lines(text)
            .map(|line| read_key(line, &KeySource::Inline))
            .collect();
        match keys {
            Ok(keys) => Some(keys),
            Err(message) => {
                self.problems.push(
                    Problem::at(&tree.at, format!("this {message}")).hint(
                        "copy the whole line of the .pub file, which is like \
                         `ssh-ed25519 AAAAC3Nza… you@laptop`, or give its \
                         path",
                    ),
                );
                None
            }
        }
    }

    fn key_file(&mut self, tree: &Tree, text: &str) -> Option<Vec<SshKey>> {
        let path = self.path(text.trim());
        if !path.exists() {
            let problem = Problem::at(
                &tree.at,
                format!(
                    "no SSH key at {}",
                    quoted(&path.display().to_string())
                ),
            );
            self.problems.push(problem.hint(
                "make one with `ssh-keygen -t ed25519`, or give the path of \
                 a .pub file",
            ));
            return None;
        }
        match read_key_file(&path) {
            Ok(keys) => Some(keys),
            Err(message) => {
                let public = PathBuf::from(format!("{}.pub", path.display()));
                let problem = Problem::at(
                    &tree.at,
                    format!("cannot use {}: {message}", quoted(text)),
                );
                self.problems.push(if public.exists() {
                    problem.hint(format!(
                        "did you mean {}?",
                        quoted(&format!("{text}.pub"))
                    ))
                } else {
                    problem
                });
                None
            }
        }
    }

    /// Reads `password_hash`, which is never repeated in a message.
    pub(super) fn password_hash(
        &mut self,
        v: &Variable,
        tree: &Tree,
    ) -> Option<String> {
        const MAKE: &str = "make a hash with `openssl passwd -6` and put it \
             in quotes, or leave it out: then only SSH keys log in";
        let Some(text) = tree.text() else {
            self.wrong(v, tree);
            return None;
        };
        if let Err(message) = check_hash(text) {
            self.problems.push(
                Problem::at(&tree.at, format!("`password_hash` {message}"))
                    .hint(MAKE),
            );
            return None;
        }
        Some(text.to_owned())
    }
}

/// Checks the shape of a hash as crypt(5) describes it.
fn check_hash(text: &str) -> Result<(), &'static str> {
    if matches!(text, "" | "*" | "!" | "!!" | "x") {
        return Err("locks the password");
    }
    let Some(rest) = text.strip_prefix('$') else {
        return Err("is not a hash of crypt(3), but a password or half a hash");
    };
    if !text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "./$=,_-+".contains(c))
    {
        return Err("is not a hash of crypt(3): it has foreign characters");
    }
    let Some((kind, rest)) = rest.split_once('$') else {
        return Err("is cut short");
    };
    let fields: Vec<&str> = rest.split('$').collect();
    let last = fields.last().map_or(0, |field| field.len());
    let (count, expected) = match kind {
        "6" => (2..=3, 86),
        "5" => (2..=3, 43),
        "y" | "gy" => (3..=3, 43),
        "7" => (2..=2, 43),
        "2a" | "2b" | "2y" => (2..=2, 53),
        "1" => {
            return Err("is an MD5 hash, which is no protection any more");
        }
        _ => return Err("is not a hash of crypt(3): unknown method"),
    };
    if !count.contains(&fields.len()) || last < expected {
        return Err("is cut short");
    }
    if last > expected {
        return Err("has more characters than such a hash");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_hash;

    #[test]
    fn hashes_of_debians_tools_are_accepted_and_others_refused() {
        for hash in [
            // openssl passwd -6 -salt saltsalt piflash
            "$6$saltsalt$skLjpW0kFDRWZ9TQTwvWTOIl5rezYCZOb5uTUVEyfS4lOZO8hU3\
             j//uZjK4EOj7Qx0raOO7jvAiVfaS/ixtO91",
            // mkpasswd -m yescrypt piflash
            "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$rjeLX8s5IC1lgzXPJP9pUnuWhHh.0ExB\
             8KQzcGQjfeC",
            // mkpasswd -m bcrypt piflash
            "$2b$05$abcdefghijklmnopqrstuuHCdXbiaLUuhg7VfN3CfKQ5.N.ZdC.P.",
        ] {
            assert_eq!(check_hash(hash), Ok(()), "{hash}");
        }
        for hash in [
            "",
            "hunter2",
            "$6$",
            "$6$salt$short",
            "$1$salt$abc",
            "$9$a$b",
            "!",
            "$6$a b$c",
        ] {
            assert!(check_hash(hash).is_err(), "{hash}");
        }
    }
}
