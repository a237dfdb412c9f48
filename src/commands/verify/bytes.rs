//! The last word: two disks, byte by byte, and what it is that differs.

use std::{io, ops::Range};

use super::{super::look::Looked, finding::Findings};
use crate::{
    base::{disk_image::Form, facts::PartitionFacts},
    progress::Progress,
    ui,
};

/// Disks are read in pieces of this many bytes.
const PIECE: u64 = 1 << 20;
/// Differences are told in steps of this many bytes.
const STEP: usize = 512;
/// With more differences, those after them are taken for one.
const MOST: usize = 1 << 20;

/// Returns the ranges in which two disks differ, up to the end of the
/// smaller one.
pub(super) fn differing(
    should: &Looked,
    is: &Looked,
    progress: &dyn Progress,
) -> io::Result<Vec<Range<u64>>> {
    let (should, is) = (should.image.device(), is.image.device());
    let size = should.size().min(is.size());
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    progress.start("compare", Some(size));
    let mut at = 0u64;
    while at < size {
        let (a, b) = (should.extent_at(at)?, is.extent_at(at)?);
        let left = size.saturating_sub(at);
        let mut len = a.len.min(b.len).clamp(1, left);
        if !(a.zero && b.zero) {
            len = len.min(PIECE);
            let bytes = usize::try_from(len).map_err(io::Error::other)?;
            ours.resize(bytes, 0);
            theirs.resize(bytes, 0);
            should.read_at(at, &mut ours)?;
            is.read_at(at, &mut theirs)?;
            if ours != theirs {
                note(&mut ranges, at, &ours, &theirs);
            }
        }
        at = at.saturating_add(len);
        progress.advance(len);
    }
    progress.finish();
    Ok(ranges)
}

fn note(ranges: &mut Vec<Range<u64>>, at: u64, ours: &[u8], theirs: &[u8]) {
    let mut start = at;
    for (a, b) in ours.chunks(STEP).zip(theirs.chunks(STEP)) {
        let end = start.saturating_add(u64::try_from(a.len()).unwrap_or(0));
        if a != b {
            let full = ranges.len() >= MOST;
            match ranges.last_mut() {
                Some(last) if last.end == start || full => last.end = end,
                _ => ranges.push(start..end),
            }
        }
        start = end;
    }
}

/// Says what the ranges are in which no file differs.
pub(super) fn explain(
    differing: &[Range<u64>],
    should: &Looked,
    is: &Looked,
    findings: &mut Findings,
) {
    let mut partitions: Vec<&PartitionFacts> = should
        .image
        .table
        .partitions
        .iter()
        .filter(|p| !matches!(&*p.type_id, "05" | "0f" | "85"))
        .collect();
    partitions.sort_by_key(|p| p.start);
    let mut at = 0;
    for partition in partitions {
        let end = partition.start.saturating_add(partition.len);
        outside(&clip(differing, &(at..partition.start)), findings);
        let inside = clip(differing, &(partition.start..end));
        within(partition, &inside, should, is, findings);
        at = end;
    }
    outside(&clip(differing, &(at..u64::MAX)), findings);
}

/// The partition table, what firmware keeps before the first partition, and
/// what lies between and behind partitions.
fn outside(ranges: &[Range<u64>], findings: &mut Findings) {
    let Some(first) = ranges.first() else { return };
    let place = if first.start < 512 {
        "the first sector, with the partition table,"
    } else {
        "what lies outside of all partitions"
    };
    findings.other(format!(
        "{place} differs: {}, the first at byte {}",
        sectors(ranges),
        first.start
    ));
}

fn within(
    partition: &PartitionFacts,
    ranges: &[Range<u64>],
    should: &Looked,
    is: &Looked,
    findings: &mut Findings,
) {
    if ranges.is_empty() {
        return;
    }
    let number = partition.number;
    let name = should.name(number);
    let unused = match should.image.unused(number) {
        Some(Ok(unused)) => unused,
        _ => Vec::new(),
    };
    let unused: Vec<Range<u64>> = unused
        .into_iter()
        .map(|(offset, len)| {
            let start = partition.start.saturating_add(offset);
            start..start.saturating_add(len)
        })
        .collect();
    let (free, used) = split(ranges, &unused);
    if let Some(first) = used.first()
        && !findings.has_files_of(&name)
    {
        findings.other(format!(
            "{name}: tables or times of the file system differ: {}, the \
             first at byte {} of the partition",
            sectors(&used),
            first.start.saturating_sub(partition.start)
        ));
    }
    let Some(first) = free.first() else { return };
    let what = format!(
        "{name}: space that belongs to no file differs: {}, the first at \
         byte {} of the partition",
        sectors(&free),
        first.start.saturating_sub(partition.start)
    );
    // A card need not get what means nothing, and keeps what it had there.
    if is.image.form == Form::Device {
        findings.notes.push(what);
    } else if !findings.has_files_of(&name) {
        findings.other(what);
    }
}

/// Returns how much that is, for people.
fn sectors(ranges: &[Range<u64>]) -> String {
    let bytes = ranges.iter().fold(0u64, |sum, range| {
        sum.saturating_add(range.end.saturating_sub(range.start))
    });
    ui::bytes(bytes)
}

/// Returns what of the sorted ranges is inside another.
fn clip(ranges: &[Range<u64>], to: &Range<u64>) -> Vec<Range<u64>> {
    let ranges = ranges.iter();
    let clipped = ranges.map(|r| r.start.max(to.start)..r.end.min(to.end));
    clipped.filter(|range| range.start < range.end).collect()
}

/// Returns what of the ranges is inside `within`, and what is not; all are
/// sorted.
fn split(
    ranges: &[Range<u64>],
    within: &[Range<u64>],
) -> (Vec<Range<u64>>, Vec<Range<u64>>) {
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for range in ranges {
        let mut at = range.start;
        let from = within.partition_point(|other| other.end <= at);
        for other in within.iter().skip(from) {
            if other.start >= range.end {
                break;
            }
            let (start, end) =
                (other.start.max(range.start), other.end.min(range.end));
            if at < start {
                outside.push(at..start);
            }
            inside.push(start..end);
            at = end;
        }
        if at < range.end {
            outside.push(at..range.end);
        }
    }
    (inside, outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_found_in_steps() {
        let (a, mut b) = (vec![0; 4096], vec![0; 4096]);
        for at in [0, 511, 512, 2048, 4095] {
            b[at] = 1;
        }
        let mut ranges = Vec::new();
        note(&mut ranges, 1 << 20, &a, &b);
        let base = 1u64 << 20;
        let expected = [(0, 1024), (2048, 2560), (3584, 4096)];
        let expected: Vec<_> =
            expected.iter().map(|(s, e)| base + s..base + e).collect();
        assert_eq!(ranges, expected);
        // What joins the next piece is one range.
        note(&mut ranges, base + 4096, &[1], &[2]);
        assert_eq!(ranges.last(), Some(&(base + 3584..base + 4097)));
    }

    #[test]
    fn ranges_are_split_at_others() {
        let ranges = [0..10, 20..30, 40..50];
        let (inside, outside) = split(&ranges, &[5..22, 24..26, 45..90]);
        assert_eq!(inside, [5..10, 20..22, 24..26, 45..50]);
        assert_eq!(outside, [0..5, 22..24, 26..30, 40..45]);
        assert_eq!(split(&ranges, &[]), (vec![], ranges.to_vec()));
        assert_eq!(clip(&ranges, &(5..42)), [5..10, 20..30, 40..42]);
    }
}
