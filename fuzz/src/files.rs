//! Inputs that are read from files.

use std::{fs, path::Path};

use tempfile::TempDir;

/// A line of an input that begins so names the file that follows.
const MARK: &str = "%%% ";

/// Writes an input below `dir`: the first file is called `first`, others as
/// they are named, if they are among `others`.
pub(crate) fn write(dir: &Path, first: &str, others: &[&str], data: &[u8]) {
    let mut name = Some(first);
    let mut rest = data;
    while let Some(current) = name.take() {
        let next = find(rest);
        let (content, behind) = match next {
            Some(at) => (&rest[..at], &rest[at + MARK.len()..]),
            None => (rest, &[][..]),
        };
        fs::write(dir.join(current), content).expect("room for a file");
        let end = behind.iter().position(|byte| *byte == b'\n');
        let Some(end) = end else { return };
        let asked = &behind[..end];
        rest = &behind[end + 1..];
        name = others.iter().copied().find(|o| o.as_bytes() == asked);
    }
}

/// Where the next mark is, at the beginning of a line.
fn find(data: &[u8]) -> Option<usize> {
    let mark = MARK.as_bytes();
    let at = |at: &usize| *at == 0 || data[at - 1] == b'\n';
    let mut places = 0..data.len().saturating_sub(mark.len());
    places.find(|place| data[*place..].starts_with(mark) && at(place))
}

/// A directory for one run's files, on which nothing else is.
pub(crate) fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}
