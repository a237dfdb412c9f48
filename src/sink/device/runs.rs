use crate::disk::{ReadAt, extents};
use std::io;

/// A range of bytes, from its first to behind its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// Its first byte.
    pub start: u64,
    /// Behind its last byte.
    pub end: u64,
}

impl Run {
    /// Returns its length in bytes.
    #[must_use]
    pub fn len(self) -> u64 {
        // None where a short image ends before the place it would begin at.
        self.end.saturating_sub(self.start)
    }

    /// Returns whether it has no bytes.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// Cuts it into pieces of at most `step` bytes.
    pub(super) fn pieces(self, step: u64) -> impl Iterator<Item = Self> {
        let mut start = self.start;
        std::iter::from_fn(move || {
            // A step may be larger than anything.
            let end = start.saturating_add(step).min(self.end);
            let piece = Self { start, end };
            start = end;
            (!piece.is_empty()).then_some(piece)
        })
    }
}

/// Sorted ranges of bytes that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs(Vec<Run>);

impl Runs {
    /// Takes `(offset, len)` in any order; they may overlap.
    #[must_use]
    pub fn new(ranges: impl IntoIterator<Item = (u64, u64)>) -> Self {
        // A range may go on to the end, wherever that is.
        let runs = ranges
            .into_iter()
            .map(|(start, len)| Run { start, end: start.saturating_add(len) });
        Self::merged(runs.collect())
    }

    /// Returns what `disk` does not promise to be zero.
    ///
    /// # Errors
    ///
    /// Those of the disk.
    pub fn data(disk: &dyn ReadAt) -> io::Result<Self> {
        let mut runs = Vec::new();
        for extent in extents(disk) {
            let extent = extent?;
            if !extent.zero {
                runs.push(Run { start: extent.offset, end: extent.end() });
            }
        }
        Ok(Self::merged(runs))
    }

    fn merged(mut runs: Vec<Run>) -> Self {
        runs.retain(|run| !run.is_empty());
        runs.sort_unstable();
        let mut merged: Vec<Run> = Vec::new();
        for run in runs {
            match merged.last_mut() {
                Some(last) if run.start <= last.end => {
                    last.end = last.end.max(run.end);
                }
                _ => merged.push(run),
            }
        }
        Self(merged)
    }

    /// Returns them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Run> + '_ {
        self.0.iter().copied()
    }

    /// Returns how many bytes they have together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.iter().fold(0, |sum, run| {
            sum.checked_add(run.len()).expect("runs do not overlap")
        })
    }

    /// Widens every run to multiples of `unit`.
    #[must_use]
    pub(super) fn aligned(&self, unit: u64) -> Self {
        let runs = self.iter().map(|run| Run {
            start: run
                .start
                .checked_sub(run.start.checked_rem(unit).unwrap_or_default())
                .expect("a remainder is no larger"),
            end: run.end.checked_next_multiple_of(unit).unwrap_or(run.end),
        });
        Self::merged(runs.collect())
    }

    /// Returns what both have.
    #[must_use]
    pub(super) fn within(&self, other: &Self) -> Self {
        let (mut ours, mut theirs) = (self.iter(), other.iter());
        let (mut a, mut b) = (ours.next(), theirs.next());
        let mut both = Vec::new();
        while let (Some(x), Some(y)) = (a, b) {
            both.push(Run {
                start: x.start.max(y.start),
                end: x.end.min(y.end),
            });
            if x.end < y.end {
                a = ours.next();
            } else {
                b = theirs.next();
            }
        }
        Self::merged(both)
    }

    /// Returns what lies between them, from 0 to `size`.
    #[must_use]
    pub fn gaps(&self, size: u64) -> Self {
        let mut start = 0;
        let mut gaps = Vec::new();
        for run in self.iter() {
            gaps.push(Run { start, end: run.start.min(size) });
            start = run.end;
        }
        gaps.push(Run { start, end: size });
        Self::merged(gaps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(runs: &[(u64, u64)]) -> Runs {
        Runs::new(
            runs.iter()
                .map(|(start, end)| (*start, end.saturating_sub(*start))),
        )
    }

    #[test]
    fn sets_of_bytes() {
        let a = runs(&[(20, 30), (0, 5), (5, 10), (28, 40), (50, 50)]);
        assert_eq!(a, runs(&[(0, 10), (20, 40)]));
        assert_eq!(a.total(), 30);
        assert_eq!(a.gaps(60), runs(&[(10, 20), (40, 60)]));
        assert_eq!(a.gaps(30), runs(&[(10, 20)]));
        assert_eq!(a.gaps(10), runs(&[]));
        assert_eq!(a.aligned(16), runs(&[(0, 48)]));
        assert_eq!(a.aligned(7), runs(&[(0, 42)]));
        let b = runs(&[(8, 22), (25, 26), (39, 99)]);
        let both = runs(&[(8, 10), (20, 22), (25, 26), (39, 40)]);
        assert_eq!(a.within(&b), both);
        assert_eq!(b.within(&a), both);
        assert_eq!(a.within(&runs(&[])), runs(&[]));
        assert_eq!(a.within(&a), a);
        let pieces: Vec<_> = Run { start: 3, end: 12 }.pieces(4).collect();
        let ends: Vec<_> = pieces.iter().map(|p| (p.start, p.end)).collect();
        assert_eq!(ends, [(3, 7), (7, 11), (11, 12)]);
    }
}
