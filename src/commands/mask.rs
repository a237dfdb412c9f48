//! What is not shown of other people's files, unless it is asked for: keys,
//! password hashes, tokens.
//!
//! Told by the manifest, by what is known of stock paths, and by the text
//! itself. Rather a word too many is masked than a secret too few shown.

use crate::plan::{Manifest, Part};

/// What stands for a secret.
pub(super) const MASKED: &str = "(masked)";

/// Decides what is shown of an image.
pub(super) struct Mask<'m> {
    manifest: Option<&'m Manifest>,
    show: bool,
}

impl<'m> Mask<'m> {
    /// `show` shows everything.
    pub(super) fn new(manifest: Option<&'m Manifest>, show: bool) -> Self {
        Self { manifest, show }
    }

    /// Returns how the file at a path is treated.
    pub(super) fn of(&self, part: Option<Part>, path: &[u8]) -> Masker {
        let mut masker =
            Masker { rule: Rule::Text, listed: false, in_key: false };
        if self.show {
            masker.rule = Rule::Plain;
            return masker;
        }
        let path = String::from_utf8_lossy(path);
        let listed = self
            .manifest
            .zip(part)
            .is_some_and(|(manifest, part)| manifest.is_secret(part, &path));
        masker.listed = listed || has_settings(&path);
        masker.rule = match &*path {
            "/etc/shadow" | "/etc/shadow-" | "/etc/gshadow"
            | "/etc/gshadow-" => Rule::Shadow,
            path if is_key_file(path) => Rule::Secret,
            // Where the secret is one of several settings.
            path if listed && !has_settings(path) => Rule::Secret,
            _ => Rule::Text,
        };
        masker
    }
}

/// Files of which every byte is secret.
fn is_key_file(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let public = name.ends_with(".pub") || name.ends_with(".crt");
    let host_key =
        folder == "/etc/ssh" && name.starts_with("ssh_host_") && !public;
    let own_key = folder.ends_with("/.ssh")
        && (name.starts_with("id_") || name == "identity")
        && !public;
    let rancher = folder.starts_with("/var/lib/rancher/")
        && (name == "token" || name.ends_with("-token") || name == "passwd");
    host_key
        || own_key
        || rancher
        || path == "/etc/rancher/node/password"
        || path == "/var/lib/systemd/random-seed"
        || path == "/var/lib/systemd/credential.secret"
}

/// Files whose secrets the rules for texts find.
fn has_settings(path: &str) -> bool {
    path.ends_with(".nmconnection")
        || (path.starts_with("/etc/netplan/") && path.ends_with(".yaml"))
        || path.starts_with("/etc/wpa_supplicant/")
        || path == "/etc/rancher/k3s/config.yaml"
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Nothing is masked.
    Plain,
    /// Secrets in a text are.
    Text,
    /// The second field of each line is.
    Shadow,
    /// Everything is.
    Secret,
}

/// Masks one file, line by line.
pub(super) struct Masker {
    rule: Rule,
    /// Whether it is likely to hold a secret.
    listed: bool,
    /// Whether a private key has begun and not ended.
    in_key: bool,
}

impl Masker {
    /// Whether nothing of the file is shown, nor any trace of it.
    pub(super) fn hides_all(&self) -> bool {
        self.rule == Rule::Secret
    }

    /// Whether nobody may learn the digest of the file: a secret that is
    /// short could be guessed by it.
    pub(super) fn hides_digest(&self) -> bool {
        self.listed || !matches!(self.rule, Rule::Plain | Rule::Text)
    }

    /// Returns a line as it is shown, where that is another.
    pub(super) fn line(&mut self, line: &str) -> Option<String> {
        match self.rule {
            Rule::Plain => None,
            Rule::Secret => Some(MASKED.to_owned()),
            Rule::Shadow => shadow(line),
            Rule::Text => self.text(line),
        }
    }

    /// Returns a whole text as it is shown, and whether anything is masked.
    pub(super) fn whole(&mut self, text: &str) -> (String, bool) {
        let mut shown = String::with_capacity(text.len());
        let mut masked = false;
        for line in text.split_inclusive('\n') {
            let end = if line.ends_with('\n') { "\n" } else { "" };
            let body = line.strip_suffix('\n').unwrap_or(line);
            match self.line(body) {
                Some(line) => {
                    masked = true;
                    shown.push_str(&line);
                    shown.push_str(end);
                }
                None => shown.push_str(line),
            }
        }
        (shown, masked)
    }

    fn text(&mut self, line: &str) -> Option<String> {
        if self.in_key {
            self.in_key = !line.contains("-----END ");
            let indent = line.len().saturating_sub(line.trim_start().len());
            let indent = line.get(..indent).unwrap_or_default();
            return self.in_key.then(|| format!("{indent}{MASKED}"));
        }
        if let Some(begin) = private_key(line) {
            let ended = line.get(begin..).unwrap_or_default();
            if ended.contains("-----END ") {
                let before = line.get(..begin).unwrap_or_default();
                return Some(format!("{before}{MASKED}"));
            }
            self.in_key = true;
        }
        if let Some(value) = secret_value(line) {
            let before = line.get(..value).unwrap_or_default();
            return Some(format!("{before}{MASKED}"));
        }
        words(line)
    }
}

/// Returns where a PEM block of a private key begins.
fn private_key(line: &str) -> Option<usize> {
    let begin = line.find("-----BEGIN ")?;
    line.get(begin..)?.contains("PRIVATE KEY-----").then_some(begin)
}

/// Masks the hash of an account; what locks one is shown.
fn shadow(line: &str) -> Option<String> {
    let mut fields: Vec<&str> = line.split(':').collect();
    let hash = fields.get_mut(1)?;
    if hash.trim_matches(['*', '!', 'x']).is_empty() {
        return None;
    }
    *hash = MASKED;
    Some(fields.join(":"))
}

/// How the names of secret settings end.
const KEYS: &[&str] = &[
    "psk",
    "password",
    "passphrase",
    "token",
    "secret",
    "key-data",
    "private-key",
    "private_key",
    "privatekey",
    "preshared-key",
    "presharedkey",
    "wep-key0",
    "wep-key1",
    "wep-key2",
    "wep-key3",
    "wep_key0",
];

/// Values that give nothing away.
const HARMLESS: &[&str] = &[
    "", "yes", "no", "true", "false", "none", "null", "ask", "0", "1", "{",
    "[", "|", ">", "\"\"", "''",
];

/// Returns where the value of a secret setting begins in a line: as
/// `psk=...`, `token: ...`, `{"password": "..."}`.
fn secret_value(line: &str) -> Option<usize> {
    for (at, separator) in line.match_indices(['=', ':']) {
        let key = line.get(..at).unwrap_or_default().trim_end();
        let ends = [' ', '\t', ',', '{', '&', '?', ';'];
        let key = key.rsplit(ends).next().unwrap_or(key);
        let key = key.trim_matches(['"', '\'']).to_ascii_lowercase();
        if !KEYS.iter().any(|end| key.ends_with(end)) {
            continue;
        }
        let value = at.saturating_add(separator.len());
        let text = line.get(value..).unwrap_or_default();
        let plain = text.trim().trim_end_matches([',', '}']).trim();
        if HARMLESS.contains(&plain) || plain.starts_with('/') {
            continue;
        }
        let blank = text.len().saturating_sub(text.trim_start().len());
        return Some(value.saturating_add(blank));
    }
    None
}

/// Characters that hashes and tokens are made of.
fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "$./+=_-,:".contains(c)
}

/// Masks words that look like password hashes or cluster tokens.
fn words(line: &str) -> Option<String> {
    let mut shown = String::new();
    let mut masked = false;
    let mut rest = line;
    while !rest.is_empty() {
        let end = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        match secret_part(word) {
            Some(at) => {
                masked = true;
                shown.push_str(word.get(..at).unwrap_or_default());
                shown.push_str(MASKED);
            }
            None => shown.push_str(word),
        }
        let between = after.find(in_word).unwrap_or(after.len());
        let (between, after) = after.split_at(between);
        shown.push_str(between);
        rest = after;
    }
    masked.then_some(shown)
}

/// Identifiers of crypt(5), and of argon2.
const HASHES: &[&str] = &[
    "$1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$7$", "$y$", "$gy$",
    "$argon2",
];

fn secret_part(word: &str) -> Option<usize> {
    for (at, _) in word.match_indices('$') {
        let text = word.get(at..).unwrap_or_default();
        if text.len() >= 20 && HASHES.iter().any(|h| text.starts_with(h)) {
            return Some(at);
        }
    }
    // K3s: `K10`, the hash of the CA, `::`, and the secret.
    let at = word.find("K10")?;
    let token = word.get(at..).unwrap_or_default();
    let (hash, _) = token.strip_prefix("K10")?.split_once("::")?;
    let hex = hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hash.len() == 64 && hex).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str, text: &str) -> String {
        let mask = Mask::new(None, false);
        mask.of(Some(Part::Root), path.as_bytes()).whole(text).0
    }

    #[test]
    fn secrets_in_texts_are_masked() {
        for (text, masked) in [
            ("psk=0123\n", "psk=(masked)\n"),
            ("\tpsk=\"a b\"\n", "\tpsk=(masked)\n"),
            ("  #psk=\"a b\"", "  #psk=(masked)"),
            ("token: abcdef.0123\n", "token: (masked)\n"),
            ("agent-token: x", "agent-token: (masked)"),
            ("K3S_TOKEN=x y", "K3S_TOKEN=(masked)"),
            ("{\"a\": 1, \"token\": \"x\"}", "{\"a\": 1, \"token\": (masked)"),
            ("  client-key-data: Zm9v", "  client-key-data: (masked)"),
            ("- password: x", "- password: (masked)"),
            ("pi:$6$saltsalt$0123456789/.ab", "pi:(masked)"),
            ("passwd: \"$y$j9T$abcdefghijklmn$op\"", "passwd: \"(masked)\""),
        ] {
            assert_eq!(shown("/x", text), masked);
        }
        let token = format!("K10{}::server:pass", "ab".repeat(32));
        assert_eq!(shown("/x", &format!("join {token} now")), {
            format!("join {MASKED} now")
        });
        let pem = "a\n  -----BEGIN EC PRIVATE KEY-----\n  Zm9v\n  YmFy\n  \
                   -----END EC PRIVATE KEY-----\nb\n";
        assert_eq!(
            shown("/x", pem),
            "a\n  -----BEGIN EC PRIVATE KEY-----\n  (masked)\n  (masked)\n  \
             -----END EC PRIVATE KEY-----\nb\n"
        );
        let line = r#"{"k": "-----BEGIN PRIVATE KEY-----\nx\n-----END P"}"#;
        assert_eq!(shown("/x", line), r#"{"k": "(masked)"#);
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        for text in [
            "PasswordAuthentication no\n",
            "passwd:  files systemd\n",
            "password [success=1 default=ignore] pam_unix.so\n",
            "key-mgmt=wpa-psk\npsk-flags=0\n",
            "token-file: /etc/rancher/token\n",
            "password: /run/secrets/x\n",
            "-----BEGIN CERTIFICATE-----\nZm9v\n-----END CERTIFICATE-----\n",
            "cost is $6 or $1$\n",
            "K10 is a mountain: K2::x\n",
        ] {
            assert_eq!(shown("/x", text), text);
        }
    }

    #[test]
    fn accounts_keep_everything_but_their_hash() {
        let text = "root:*:1:0\npi:$6$x:2\nu:!:3\nv::4\nw:!$y$x:5\n";
        assert_eq!(
            shown("/etc/shadow", text),
            "root:*:1:0\npi:(masked):2\nu:!:3\nv::4\nw:(masked):5\n"
        );
    }

    #[test]
    fn key_files_are_hidden() {
        let mask = Mask::new(None, false);
        let hides = |path: &str| mask.of(None, path.as_bytes()).hides_all();
        assert!(hides("/etc/ssh/ssh_host_ed25519_key"));
        assert!(!hides("/etc/ssh/ssh_host_ed25519_key.pub"));
        assert!(hides("/home/pi/.ssh/id_rsa"));
        assert!(!hides("/home/pi/.ssh/authorized_keys"));
        assert!(hides("/var/lib/rancher/k3s/server/token"));
        let all = Mask::new(None, true);
        assert!(!all.of(None, b"/etc/ssh/ssh_host_rsa_key").hides_all());
    }
}
