use super::super::{
    error::{CommandError, Result},
    look::Looked,
};
use crate::ui;

/// A path on a partition.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The partition.
    pub(super) number: u32,
    /// The path from its root.
    pub(super) path: Vec<u8>,
}

impl Place {
    /// Reads `boot:/config.txt`, `root:`, `2:/etc`, or `/etc/hostname`: a
    /// path as the running node sees it, with the boot partition where it
    /// is mounted.
    pub(super) fn parse(text: &[u8], looked: &Looked) -> Result<Self> {
        let colon = text.iter().position(|byte| *byte == b':');
        let slash = text.iter().position(|byte| *byte == b'/');
        let named = colon.filter(|at| slash.is_none_or(|slash| slash > *at));
        let Some(at) = named else {
            return Self::as_seen(text, looked);
        };
        let (name, path) = text.split_at(at);
        let path = path.get(1..).unwrap_or_default().to_vec();
        let number = match name {
            b"boot" => looked.boot,
            b"root" => looked.root,
            number => std::str::from_utf8(number)
                .ok()
                .and_then(|number| number.parse().ok())
                .filter(|number| looked.image.partition(*number).is_some()),
        };
        let number = number.ok_or_else(|| {
            let all = looked.image.table.partitions.iter();
            let all: Vec<_> =
                all.map(|p| format!("{}:", looked.name(p.number))).collect();
            let name = ui::escape(name);
            CommandError::usage(format!("there is no partition `{name}`"))
                .hint(format!("there are: {}", all.join(", ")))
        })?;
        Ok(Self { number, path })
    }

    fn as_seen(path: &[u8], looked: &Looked) -> Result<Self> {
        if let (Ok(facts), Some(boot)) = (looked.image.facts(), looked.boot)
            && let Some(below) = path.strip_prefix(facts.boot.mount.as_bytes())
            && matches!(below.first(), None | Some(b'/'))
        {
            return Ok(Self { number: boot, path: below.to_vec() });
        }
        let number = looked.root.ok_or_else(|| {
            CommandError::usage("the image has no root partition")
                .hint("name the partition: 1:/PATH")
        })?;
        Ok(Self { number, path: path.to_vec() })
    }

    /// Returns it as people write it.
    pub(super) fn shown(&self, looked: &Looked) -> String {
        let path = ui::escape(&self.path);
        let slash = if path.starts_with('/') { "" } else { "/" };
        format!("{}:{slash}{path}", looked.name(self.number))
    }
}
