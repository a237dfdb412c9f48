//! A card that a system has run on is no longer what was built: its logs,
//! its machine-id, its size. What piflash put there can still be compared.

use super::{
    super::{inspect::time, look::Looked},
    finding::Findings,
};
use crate::{
    fs::{
        apply::{Expectations, read_back},
        summary::Summary,
    },
    ui,
};

/// Returns when the root file system was mounted last, if it was since the
/// card was made: mounting writes that into the superblock.
pub(super) fn since(is: &Looked, should: &Looked) -> Option<i64> {
    let history = |looked: &Looked| {
        let summary: Summary = looked.image.summary(looked.root?)?.ok()?;
        summary.history
    };
    let (is, should) = (history(is)?, history(should)?);
    (is.mounted != should.mounted || is.mounts > should.mounts)
        .then(|| is.mounted.into())
}

/// Says that the card was booted, and what of piflash's has changed since.
pub(super) fn compare(
    findings: &mut Findings,
    looked: &Looked,
    expected: &Expectations,
    since: i64,
) {
    findings.booted = Some(since);
    findings.other(format!(
        "it has been booted: its root was mounted last on {} UTC. Of what a \
         running system changes nothing is told, only what piflash put there",
        time(since)
    ));
    let reader = |number: Option<u32>| looked.image.reader(number?);
    let (Some(Ok(boot)), Some(Ok(root))) =
        (reader(looked.boot), reader(looked.root))
    else {
        findings.other("its partitions cannot be read".to_owned());
        return;
    };
    let mismatches = read_back(expected, &*boot, &*root);
    let same = expected.len().saturating_sub(mismatches.len());
    findings
        .notes
        .push(format!("{same} of {} paths are as they were", expected.len()));
    for mismatch in mismatches {
        let text = mismatch.to_string();
        findings.other(ui::escape(text.as_bytes()));
    }
}
