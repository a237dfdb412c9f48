use super::{error::ProbeError, tree::Tree};
use std::collections::BTreeMap;

/// A full desktop's status file has some 5 MB.
const STATUS_LIMIT: u64 = 32 << 20;

/// One installed package.
pub(super) struct Package {
    /// Its version, with epoch and revision.
    pub(super) version: String,
    /// Its architecture; `all` for one without.
    pub(super) architecture: String,
}

/// Installed packages by name, out of `/var/lib/dpkg/status`.
pub(super) struct Packages(BTreeMap<String, Package>);

impl Packages {
    /// Reads the database; an image without one has no packages.
    pub(super) fn read(root: &Tree<'_>) -> Result<Self, ProbeError> {
        let status = root.text_up_to("/var/lib/dpkg/status", STATUS_LIMIT)?;
        Ok(Self::parse(status.as_deref().unwrap_or_default()))
    }

    /// Parses paragraphs as deb822(5) has them.
    fn parse(status: &str) -> Self {
        let mut packages = BTreeMap::new();
        for paragraph in status.split("\n\n") {
            let field = |name: &str| {
                paragraph.lines().find_map(|line| {
                    let rest = line.strip_prefix(name)?;
                    Some(rest.strip_prefix(':')?.trim().to_owned())
                })
            };
            // `hold ok installed` is installed, `deinstall ok config-files`
            // is not.
            let installed = field("Status").is_some_and(|status| {
                status.split_whitespace().nth(2) == Some("installed")
            });
            if let (true, Some(name)) = (installed, field("Package")) {
                let package = Package {
                    version: field("Version").unwrap_or_default(),
                    architecture: field("Architecture").unwrap_or_default(),
                };
                packages.insert(name, package);
            }
        }
        Self(packages)
    }

    /// Returns the installed package `name`.
    pub(super) fn get(&self, name: &str) -> Option<&Package> {
        self.0.get(name)
    }

    /// Returns whether `name` is installed.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}
