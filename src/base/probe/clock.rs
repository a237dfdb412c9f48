use super::{error::ProbeError, tree::Tree};
use crate::{base::facts::SavedClock, fs::FileKind};

const DIRECTORY: &str = "/var/lib/systemd/timesync";

/// Returns what there is of the file that systemd-timesyncd keeps the time
/// in.
pub(super) fn read(root: &Tree<'_>) -> Result<SavedClock, ProbeError> {
    let clock = root.resolve(&format!("{DIRECTORY}/clock"))?;
    let directory = root.resolve(DIRECTORY)?;
    let kind = clock.as_ref().map(|(_, stat)| stat.kind);
    let mode = clock
        .as_ref()
        .filter(|(_, stat)| stat.kind == FileKind::File)
        .map_or(0o644, |(_, stat)| stat.meta.mode);
    // A directory that belongs to somebody else than root is taken for
    // prepared, and nothing in it changes hands any more.
    let owner = clock
        .or(directory)
        .map_or((0, 0), |(_, stat)| (stat.meta.uid, stat.meta.gid));
    Ok(SavedClock {
        is_directory: kind == Some(FileKind::Directory),
        owner: format!("{}:{}", owner.0, owner.1),
        mode: format!("{mode:04o}"),
    })
}
