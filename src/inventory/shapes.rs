//! Checks a value against the shape that the table asks for, and reads it.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use super::{
    grammar::{
        is_absolute, is_account, is_cidrs, is_endpoint, is_host_name,
        is_locale, is_package, is_url, is_word, words,
    },
    our_groups::VAULT_HINT,
    problem::{Problem, nearest, quoted},
    tree::{Kind, Tree},
    value::boolean,
    variables::{Shape, Variable},
};

/// Reads values; what is wrong with them is collected.
pub(super) struct Reader<'a> {
    /// The directory of the inventory.
    pub(super) dir: &'a Path,
    /// The builder's home directory.
    pub(super) home: Option<&'a Path>,
    /// What was wrong so far.
    pub(super) problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    /// Checks a value that holds no template.
    pub(super) fn check(&mut self, variable: &'static Variable, tree: &Tree) {
        if tree.is_null() {
            return;
        }
        if matches!(tree.kind, Kind::Vault) {
            self.problems.push(
                Problem::at(
                    &tree.at,
                    format!("{} is encrypted", quoted(variable.name)),
                )
                .hint(VAULT_HINT),
            );
            return;
        }
        let v = variable;
        match variable.shape {
            Shape::Text => drop(self.text(v, tree)),
            Shape::Bool => drop(self.boolean(v, tree)),
            Shape::Host => drop(self.host(v, tree)),
            Shape::Ip => drop(self.ip(v, tree)),
            Shape::IpList => drop(self.ips(v, tree)),
            Shape::Prefix => drop(self.prefix(v, tree)),
            Shape::Interface => drop(self.interface(v, tree)),
            Shape::Account => drop(self.account(v, tree)),
            Shape::Wifi => drop(self.wifi(v, tree)),
            Shape::SshKeys => drop(self.ssh_keys(v, tree)),
            Shape::PasswordHash => drop(self.password_hash(v, tree)),
            Shape::Sha256 => drop(self.sha256(v, tree)),
            Shape::AbsolutePath => drop(self.absolute_path(v, tree)),
            Shape::TimeZone => drop(self.time_zone(v, tree)),
            Shape::Locale => drop(self.locale(v, tree)),
            Shape::Hosts => drop(self.hosts(v, tree)),
            Shape::Packages => drop(self.packages(v, tree)),
            Shape::Files => drop(self.files(v, tree)),
            Shape::ConfigTxt => drop(self.config_txt(v, tree)),
            Shape::Url => drop(self.matching(v, tree, is_url)),
            Shape::CommaList => drop(self.texts(v, tree)),
            Shape::Version => drop(self.matching(v, tree, is_word)),
            Shape::Cidr => drop(self.matching(v, tree, is_cidrs)),
            Shape::Choice(words) => self.choice(v, tree, words),
            Shape::Endpoint => drop(self.matching(v, tree, is_endpoint)),
            Shape::Map => {
                if !matches!(tree.kind, Kind::Map(_)) {
                    self.wrong(v, tree);
                }
            }
            Shape::Labels => self.labels(v, tree),
            Shape::Taints => self.taints(v, tree),
        }
    }

    /// Reports a value of another type.
    pub(super) fn wrong(&mut self, variable: &Variable, tree: &Tree) {
        self.problems.push(
            Problem::at(
                &tree.at,
                format!(
                    "{} must be {}, not {}",
                    quoted(variable.name),
                    variable.shape.expected(),
                    tree.what()
                ),
            )
            .hint(example(variable)),
        );
    }

    /// Reports a value of the right type that cannot be.
    pub(super) fn bad(&mut self, variable: &Variable, tree: &Tree) {
        let text = tree.text().unwrap_or_default();
        // A URL may carry a password.
        let value = match text.contains('@') {
            true => "this".to_owned(),
            false => quoted(text),
        };
        self.problems.push(
            Problem::at(
                &tree.at,
                format!(
                    "{value} is not a value for {}: it must be {}",
                    quoted(variable.name),
                    variable.shape.expected()
                ),
            )
            .hint(example(variable)),
        );
    }

    /// Reads text on one line, as it is written.
    pub(super) fn text(&mut self, v: &Variable, tree: &Tree) -> Option<String> {
        let Some(text) = tree.text() else {
            self.wrong(v, tree);
            return None;
        };
        if text.chars().any(char::is_control) || text.trim().is_empty() {
            self.bad(v, tree);
            return None;
        }
        Some(text.to_owned())
    }

    /// Reads text that passes a test.
    pub(super) fn matching(
        &mut self,
        v: &Variable,
        tree: &Tree,
        test: fn(&str) -> bool,
    ) -> Option<String> {
        let text = self.text(v, tree)?;
        if !test(&text) {
            self.bad(v, tree);
            return None;
        }
        Some(text)
    }

    /// Reads a boolean of YAML 1.1, quoted or not.
    pub(super) fn boolean(
        &mut self,
        v: &Variable,
        tree: &Tree,
    ) -> Option<bool> {
        let text = self.text(v, tree)?;
        let value = boolean(&text);
        if value.is_none() {
            self.bad(v, tree);
        }
        value
    }

    /// Reads an address: an IP address, or a name.
    pub(super) fn host(&mut self, v: &Variable, tree: &Tree) -> Option<String> {
        let text = self.text(v, tree)?;
        if text.parse::<IpAddr>().is_ok() {
            return Some(text);
        }
        if let Some((address, prefix)) = text.split_once('/')
            && address.parse::<IpAddr>().is_ok()
        {
            self.problems.push(
                Problem::at(
                    &tree.at,
                    format!("{} is a network, not an address", quoted(&text)),
                )
                .hint(format!(
                    "write {address}, and `prefix: {prefix}` beside it"
                )),
            );
            return None;
        }
        let numeric = text.chars().all(|c| c.is_ascii_digit() || c == '.');
        if numeric || text.contains(':') || !is_host_name(&text) {
            self.bad(v, tree);
            return None;
        }
        Some(text)
    }

    /// Reads an IP address.
    pub(super) fn ip(&mut self, v: &Variable, tree: &Tree) -> Option<IpAddr> {
        let text = self.text(v, tree)?;
        let ip = text.parse().ok();
        if ip.is_none() {
            self.bad(v, tree);
        }
        ip
    }

    /// Reads one IP address or a list of them.
    pub(super) fn ips(
        &mut self,
        v: &Variable,
        tree: &Tree,
    ) -> Option<Vec<IpAddr>> {
        match &tree.kind {
            Kind::Seq(items) => {
                items.iter().map(|item| self.ip(v, item)).collect()
            }
            Kind::Scalar { text, .. } if text.contains([',', ' ']) => {
                let ips: Option<Vec<IpAddr>> =
                    words(text).map(|word| word.parse().ok()).collect();
                if ips.is_none() {
                    self.bad(v, tree);
                }
                ips
            }
            _ => self.ip(v, tree).map(|ip| vec![ip]),
        }
    }

    /// Reads the length of a network prefix.
    pub(super) fn prefix(&mut self, v: &Variable, tree: &Tree) -> Option<u8> {
        let text = self.text(v, tree)?;
        // Netmasks are what people had before.
        if let Ok(mask) = text.parse::<Ipv4Addr>() {
            let bits = u32::from(mask);
            let problem = Problem::at(
                &tree.at,
                format!("{} is a netmask, not a prefix", quoted(&text)),
            );
            let contiguous = bits.leading_ones() == bits.count_ones();
            self.problems.push(if contiguous {
                problem.hint(format!("write `prefix: {}`", bits.count_ones()))
            } else {
                problem
            });
            return None;
        }
        let length = text.parse().ok().filter(|n| (1..=127).contains(n));
        if length.is_none() {
            self.bad(v, tree);
        }
        length
    }

    /// Reads the name of a network interface, as the kernel allows them
    /// (`dev_valid_name`).
    pub(super) fn interface(
        &mut self,
        v: &Variable,
        tree: &Tree,
    ) -> Option<String> {
        self.matching(v, tree, |text| {
            text.len() <= 15
                && !matches!(text, "." | "..")
                && text.chars().all(|c| {
                    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
                })
        })
    }

    /// Reads the name of an account, as Debian's adduser allows them.
    pub(super) fn account(
        &mut self,
        v: &Variable,
        tree: &Tree,
    ) -> Option<String> {
        self.matching(v, tree, is_account)
    }

    /// Reads a SHA-256.
    pub(super) fn sha256(
        &mut self,
        v: &Variable,
        tree: &Tree,
    ) -> Option<String> {
        let text = self.matching(v, tree, |text| {
            text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
        })?;
        Some(text.to_ascii_lowercase())
    }

    /// Reads an absolute path without `..`.
    pub(super) fn absolute_path(
        &mut self,
        v: &Variable,
        tree: &Tree,
    ) -> Option<String> {
        self.matching(v, tree, is_absolute)
    }

    /// Reads the name of a time zone. Whether it exists, the image knows.
    pub(super) fn time_zone(
        &mut self,
        v: &Variable,
        tree: &Tree,
    ) -> Option<String> {
        self.matching(v, tree, |text| {
            text.len() <= 64
                && text.starts_with(|c: char| c.is_ascii_uppercase())
                && text.split('/').all(|part| {
                    !part.is_empty()
                        && part.chars().all(|c| {
                            c.is_ascii_alphanumeric()
                                || matches!(c, '_' | '-' | '+')
                        })
                })
        })
    }

    /// Reads the name of a locale.
    pub(super) fn locale(
        &mut self,
        v: &Variable,
        tree: &Tree,
    ) -> Option<String> {
        self.matching(v, tree, is_locale)
    }

    /// Reads one host or a list of them.
    pub(super) fn hosts(
        &mut self,
        v: &Variable,
        tree: &Tree,
    ) -> Option<Vec<String>> {
        let hosts = self.texts(v, tree)?;
        let good = |host: &String| {
            host.parse::<IpAddr>().is_ok() || is_host_name(host)
        };
        if hosts.is_empty() || !hosts.iter().all(good) {
            self.wrong_content(v, tree, hosts.iter().find(|h| !good(h)));
            return None;
        }
        Some(hosts)
    }

    /// Reads names of packages, each perhaps with `=version`.
    pub(super) fn packages(
        &mut self,
        v: &Variable,
        tree: &Tree,
    ) -> Option<Vec<String>> {
        let packages = self.texts(v, tree)?;
        if let Some(bad) = packages.iter().find(|p| !is_package(p)) {
            self.wrong_content(v, tree, Some(bad));
            return None;
        }
        Some(packages)
    }

    /// Reads a list of words, or one line of them.
    pub(super) fn texts(
        &mut self,
        v: &Variable,
        tree: &Tree,
    ) -> Option<Vec<String>> {
        match &tree.kind {
            Kind::Seq(items) => {
                items.iter().map(|item| self.text(v, item)).collect()
            }
            Kind::Scalar { text, .. } if !tree.is_null() => {
                Some(words(text).map(str::to_owned).collect())
            }
            _ => {
                self.wrong(v, tree);
                None
            }
        }
    }

    /// Reports a part of a value that cannot be.
    pub(super) fn wrong_content(
        &mut self,
        v: &Variable,
        tree: &Tree,
        bad: Option<&String>,
    ) {
        let bad = quoted(bad.map_or("", |bad| bad));
        self.problems.push(
            Problem::at(
                &tree.at,
                format!(
                    "{} must be {}, which {bad} is not",
                    quoted(v.name),
                    v.shape.expected()
                ),
            )
            .hint(example(v)),
        );
    }

    fn choice(&mut self, v: &Variable, tree: &Tree, among: &[&str]) {
        let Some(text) = self.text(v, tree) else { return };
        if among.contains(&&*text) {
            return;
        }
        match nearest(&text, among.iter().copied()) {
            Some(near) => self.problems.push(
                Problem::at(
                    &tree.at,
                    format!(
                        "{} is not a value for {}",
                        quoted(&text),
                        quoted(v.name)
                    ),
                )
                .hint(format!("did you mean {}?", quoted(near))),
            ),
            None => self.bad(v, tree),
        }
    }
}

fn example(variable: &Variable) -> String {
    format!("for example `{}: {}`", variable.name, variable.example)
}
