use super::{error::ProbeError, tree::Tree};
use crate::{base::facts::ServiceState, fs::FileKind};

/// Where unit files lie, in systemd.unit(5)'s order.
const UNIT_DIRS: [&str; 3] =
    ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

/// Run levels that a Debian system starts services in.
const RUN_LEVELS: [&str; 5] = ["S", "2", "3", "4", "5"];

/// Which units the directories want, read once.
pub(super) struct Units<'a> {
    root: &'a Tree<'a>,
    /// Names in any `*.wants` or `*.requires` directory.
    wanted: Vec<String>,
}

impl<'a> Units<'a> {
    pub(super) fn read(root: &'a Tree<'a>) -> Result<Self, ProbeError> {
        let mut wanted = Vec::new();
        for dir in UNIT_DIRS {
            for entry in root.list(dir)? {
                if entry.kind == FileKind::File
                    || !(entry.name.ends_with(".wants")
                        || entry.name.ends_with(".requires"))
                {
                    continue;
                }
                let inside = root.list(&format!("{dir}/{}", entry.name))?;
                wanted.extend(inside.into_iter().map(|unit| unit.name));
            }
        }
        Ok(Self { root, wanted })
    }

    /// Returns the state of `unit`, given with its suffix.
    pub(super) fn state(&self, unit: &str) -> Result<ServiceState, ProbeError> {
        if self.masked(unit)? {
            return Ok(ServiceState { present: true, enabled: false });
        }
        for dir in UNIT_DIRS {
            if self.root.exists(&format!("{dir}/{unit}"))? {
                let enabled = self.wanted.iter().any(|name| name == unit);
                return Ok(ServiceState { present: true, enabled });
            }
        }
        self.init_script(unit)
    }

    /// Returns whether `unit` is masked for good.
    pub(super) fn masked(&self, unit: &str) -> Result<bool, ProbeError> {
        let link = self.root.link(&format!("/etc/systemd/system/{unit}"))?;
        Ok(link.as_deref() == Some("/dev/null"))
    }

    /// Returns whether `unit` is present and starts at boot.
    pub(super) fn enabled(&self, unit: &str) -> Result<bool, ProbeError> {
        Ok(self.state(unit)?.enabled)
    }

    /// An init script counts only where no unit of its name replaces it.
    fn init_script(&self, unit: &str) -> Result<ServiceState, ProbeError> {
        let Some(name) = unit.strip_suffix(".service") else {
            return Ok(ServiceState::default());
        };
        if !self.root.exists(&format!("/etc/init.d/{name}"))? {
            return Ok(ServiceState::default());
        }
        for level in RUN_LEVELS {
            let links = self.root.list(&format!("/etc/rc{level}.d"))?;
            // S, two digits, the name.
            let starts = |link: &str| {
                link.strip_prefix('S').and_then(|rest| rest.get(2..))
                    == Some(name)
            };
            if links.iter().any(|link| starts(&link.name)) {
                return Ok(ServiceState { present: true, enabled: true });
            }
        }
        Ok(ServiceState { present: true, enabled: false })
    }
}
