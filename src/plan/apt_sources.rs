//! What apt's sources in an image say of repositories that a node has from
//! piflash: sources.list(5), lines and stanzas. apt refuses all sources where
//! two of them name one repository with different keys, whatever their files
//! are called, so they are found by what they say.

use std::collections::BTreeMap;

use minijinja::{Value, context};

/// Where apt looks, besides `sources.list`.
const PARTS: &str = "/etc/apt/sources.list.d/";
const LIST: &str = "/etc/apt/sources.list";

/// A repository that is piflash's affair.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repository<'r> {
    /// Whose packages it has, for people.
    pub(super) whose: &'static str,
    /// The URL that the node gets.
    pub(super) url: &'r str,
    /// The file that the node gets.
    pub(super) file: &'static str,
    /// Whether this is the same repository, or one of the same packages at
    /// another address: host, path and suites.
    pub(super) is: fn(&str, &str, &[&str]) -> bool,
}

impl Repository<'_> {
    fn is_at(&self, url: &str, suites: &[&str]) -> bool {
        let Some((host, path)) = host_and_path(url) else { return false };
        host_and_path(self.url).is_some_and(|ours| ours == (host.clone(), path))
            || (self.is)(&host, path, suites)
    }
}

/// A file of the image that names such a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    path: String,
    /// What stays of it; none where nothing does.
    rest: Option<String>,
    whose: &'static str,
    /// piflash writes a file of this name.
    replaced: bool,
}

impl Known {
    /// As templates see it; nothing is to be done where it is replaced.
    pub(super) fn value(&self) -> Option<Value> {
        let Self { path, rest, whose, replaced } = self;
        // A URL may have a password before the `@`.
        let closed = rest.as_ref().is_some_and(|rest| rest.contains('@'));
        let whose = *whose;
        (!replaced).then(|| context! { path, rest, whose, closed })
    }

    /// Whose repository it names.
    pub(super) fn whose(&self) -> &'static str {
        self.whose
    }

    /// Where it is.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// What the owner should know of it.
    pub(super) fn note(&self) -> String {
        let Self { path, rest, whose, replaced } = self;
        if *replaced {
            return format!(
                "{path} of the image: replaced by the node's own, which has \
                 {whose}'s apt repository"
            );
        }
        let what = match rest {
            None => "removed",
            Some(_) => "taken out of it",
        };
        format!(
            "{path} names {whose}'s apt repository, which the node gets with \
             a key of its own: {what}"
        )
    }
}

/// Finds the files that name any of `repositories`, with what stays of them.
pub(super) fn known(
    files: &BTreeMap<String, String>,
    repositories: &[Repository<'_>],
) -> Vec<Known> {
    let mut all = Vec::new();
    for (path, text) in files {
        let ours = repositories.iter().find(|it| it.file == path);
        if let Some(Repository { whose, .. }) = ours {
            // The node's own is written over it.
            let (path, replaced) = (path.clone(), true);
            all.push(Known { path, rest: None, whose, replaced });
            continue;
        }
        let mut whose = None;
        let mut is_one = |url: &str, suites: &[&str]| {
            let found = repositories.iter().find(|it| it.is_at(url, suites));
            whose = whose.or(found.map(|it| it.whose));
            found.is_some()
        };
        let rest = match path.ends_with(".sources") {
            true => without_stanzas(text, &mut is_one),
            false => without_lines(text, &mut is_one),
        };
        let Some(whose) = whose else { continue };
        let (path, replaced) = (path.clone(), false);
        all.push(Known { path, rest, whose, replaced });
    }
    all
}

/// Returns whether apt reads a file of this path as a list of sources.
pub(super) fn is_source(path: &str) -> bool {
    let name = path.strip_prefix(PARTS).unwrap_or_default();
    let plain =
        name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    path == LIST
        || (plain
            && !name.starts_with('.')
            && (name.ends_with(".list") || name.ends_with(".sources")))
}

/// Whether something names a repository: its URL and suites.
type IsOne<'f> = &'f mut dyn FnMut(&str, &[&str]) -> bool;

/// Leaves out lines that name a repository; returns nothing where no other
/// source is left.
fn without_lines(text: &str, is_one: IsOne<'_>) -> Option<String> {
    let mut rest = String::new();
    let mut sources = 0_usize;
    for line in text.split_inclusive('\n') {
        if let Some((url, suite)) = source_of(line) {
            if is_one(url, &[suite]) {
                continue;
            }
            sources = sources.saturating_add(1);
        }
        rest.push_str(line);
    }
    (sources > 0).then_some(rest)
}

/// `deb [options] URL suite components # comment`: URL and suite.
pub(super) fn source_of(line: &str) -> Option<(&str, &str)> {
    let line = line.split('#').next()?.trim();
    let (kind, rest) = line.split_once([' ', '\t'])?;
    if kind != "deb" && kind != "deb-src" {
        return None;
    }
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace();
    Some((words.next()?, words.next().unwrap_or_default()))
}

/// The same of stanzas (deb822); of one that names other repositories too,
/// those stay.
fn without_stanzas(text: &str, is_one: IsOne<'_>) -> Option<String> {
    let mut rest = Vec::new();
    let mut sources = 0_usize;
    for stanza in stanzas(text) {
        let fields = Stanza(&stanza);
        let (urls, suites) = (fields.words("uris"), fields.words("suites"));
        let suites: Vec<&str> = suites.iter().map(String::as_str).collect();
        if urls.is_empty() || fields.is_off() {
            rest.push(stanza.concat());
            continue;
        }
        let stay: Vec<&str> = urls
            .iter()
            .map(String::as_str)
            .filter(|url| !is_one(url, &suites))
            .collect();
        if stay.is_empty() {
            continue;
        }
        sources = sources.saturating_add(1);
        rest.push(match stay.len() == urls.len() {
            true => stanza.concat(),
            false => fields.with_urls(&stay.join(" ")),
        });
    }
    (sources > 0).then(|| rest.join("\n"))
}

/// The lines of each stanza, each with its newline; empty ones divide them.
fn stanzas(text: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    for line in text.lines() {
        if line.trim_end_matches('\r').is_empty() {
            all.push(Vec::new());
        } else if let Some(last) = all.last_mut() {
            last.push(format!("{line}\n"));
        }
    }
    all.retain(|stanza| !stanza.is_empty());
    all
}

/// One stanza's lines.
struct Stanza<'s>(&'s [String]);

impl Stanza<'_> {
    /// Each line that is no comment, with the name of its field in lower
    /// case, and what it says of it.
    fn lines(&self) -> impl Iterator<Item = (usize, String, &str)> {
        let mut field = String::new();
        self.0.iter().enumerate().filter_map(move |(at, line)| {
            if line.starts_with('#') || line.trim_start().starts_with('#') {
                return None;
            }
            let mut value = line.as_str();
            if !line.starts_with([' ', '\t']) {
                let (name, rest) = line.split_once(':')?;
                field = name.trim().to_ascii_lowercase();
                value = rest;
            }
            Some((at, field.clone(), value))
        })
    }

    fn words(&self, name: &str) -> Vec<String> {
        let of = self.lines().filter(|(_, field, _)| field == name);
        of.flat_map(|(_, _, value)| {
            value.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
    }

    /// Whether apt passes it over.
    fn is_off(&self) -> bool {
        let words = self.words("enabled");
        words.first().is_some_and(|word| {
            let off = ["no", "false", "without", "off", "disable", "0"];
            off.contains(&&*word.to_ascii_lowercase())
        })
    }

    /// The same with other URLs.
    fn with_urls(&self, urls: &str) -> String {
        let old: Vec<usize> = self
            .lines()
            .filter(|(_, field, _)| field == "uris")
            .map(|(at, ..)| at)
            .collect();
        let lines = self.0.iter().enumerate().map(|(at, line)| {
            match old.first() == Some(&at) {
                true => format!("URIs: {urls}\n"),
                false if old.contains(&at) => String::new(),
                false => line.clone(),
            }
        });
        lines.collect()
    }
}

/// Returns host (lower case, without user and the usual ports) and path
/// (without slashes at its end) of a URL, whatever it is fetched by.
fn host_and_path(url: &str) -> Option<(String, &str)> {
    let (_, rest) = url.split_once("://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.rsplit('@').next()?;
    let host = host.strip_suffix(":443").unwrap_or(host);
    let host = host.strip_suffix(":80").unwrap_or(host);
    Some((host.to_ascii_lowercase(), path.trim_matches('/')))
}

/// Docker's packages, at any address that ever had them.
pub(super) fn is_docker(host: &str, path: &str, _suites: &[&str]) -> bool {
    let begins = |with: &str| path == with || path.starts_with(with);
    (host == "download.docker.com" && begins("linux/"))
        // Gone since 2020.
        || host == "apt.dockerproject.org"
}

/// Kubernetes' packages, at any address that ever had them; not those of
/// other projects beside it, as CRI-O's.
pub(super) fn is_kubernetes(host: &str, path: &str, suites: &[&str]) -> bool {
    // These are gone since 2024.
    let former = match host {
        "apt.kubernetes.io" => true,
        "packages.cloud.google.com" | "apt.cloud.google.com" => {
            suites.iter().any(|suite| suite.starts_with("kubernetes-"))
        }
        _ => false,
    };
    former
        || (host == "pkgs.k8s.io" && path.starts_with("core:/"))
        // Where the former leads to.
        || (host.ends_with("packages.k8s.io")
            && path.contains("kubernetes:/core:/"))
}
