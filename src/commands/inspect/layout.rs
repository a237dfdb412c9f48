//! Partitions drawn to scale.

use super::super::look::Looked;

/// A stretch of the disk.
struct Segment {
    len: u64,
    /// The partition's number, and which part of it is in use.
    partition: Option<(u32, Option<f64>)>,
}

/// No partition is narrower, in columns.
const NARROWEST: usize = 4;

/// Returns two lines of `width` columns: the disk, and the partitions'
/// numbers below it. `#` is in use, `-` is free, `?` is not known, `.`
/// belongs to no partition.
pub(super) fn draw(looked: &Looked, width: usize) -> String {
    let segments = segments(looked);
    let total: u64 =
        segments.iter().fold(0, |sum, s| sum.saturating_add(s.len));
    let widths = widths(&segments, total, width);
    let (mut bar, mut numbers) = (String::new(), String::new());
    for (segment, width) in segments.iter().zip(widths) {
        let Some((number, used)) = segment.partition else {
            bar.push_str(&".".repeat(width));
            numbers.push_str(&" ".repeat(width));
            continue;
        };
        let inner = width.saturating_sub(2);
        let filled = used.map(|used| share(inner, used));
        let fill = match filled {
            Some(filled) => {
                let free = inner.saturating_sub(filled);
                format!("{}{}", "#".repeat(filled), "-".repeat(free))
            }
            None => "?".repeat(inner),
        };
        bar.push_str(&format!("[{fill}]"));
        let number = number.to_string();
        numbers.push_str(&format!(
            " {number:<rest$}",
            rest = width.saturating_sub(1)
        ));
    }
    format!("{bar}\n{}\n", numbers.trim_end())
}

/// Returns a part of a number of columns: some, where it is not nothing, and
/// not all, where it is not all.
fn share(columns: usize, part: f64) -> usize {
    let steps = u32::try_from(columns).unwrap_or(u32::MAX);
    // As in long division: no float becomes an integer.
    let filled = (1..=steps)
        .filter(|step| f64::from(*step) <= part * f64::from(steps) + 0.5)
        .count();
    let least = usize::from(part > 0.0);
    let most = if part < 1.0 { columns.saturating_sub(1) } else { columns };
    filled.clamp(least.min(most), most)
}

fn segments(looked: &Looked) -> Vec<Segment> {
    let image = &looked.image;
    let mut partitions: Vec<_> = image
        .table
        .partitions
        .iter()
        .filter(|p| !matches!(&*p.type_id, "05" | "0f" | "85"))
        .collect();
    partitions.sort_by_key(|p| p.start);
    let mut segments = Vec::new();
    let mut at = 0u64;
    for partition in partitions {
        let gap = partition.start.saturating_sub(at);
        if gap > 0 {
            segments.push(Segment { len: gap, partition: None });
        }
        let used = match image.summary(partition.number) {
            Some(Ok(summary)) => {
                let used = summary.size.saturating_sub(summary.free);
                ratio(used, partition.len)
            }
            _ => None,
        };
        let number = partition.number;
        let partition_len = partition.len;
        segments.push(Segment {
            len: partition_len,
            partition: Some((number, used)),
        });
        at = partition.start.saturating_add(partition_len);
    }
    let rest = image.device().size().saturating_sub(at);
    if rest > 0 {
        segments.push(Segment { len: rest, partition: None });
    }
    segments
}

/// Returns `part / whole`, in thousandths, which is fine enough.
fn ratio(part: u64, whole: u64) -> Option<f64> {
    let thousandths =
        u128::from(part).saturating_mul(1000).checked_div(u128::from(whole))?;
    let thousandths = u32::try_from(thousandths.min(1000)).ok()?;
    Some(f64::from(thousandths) / 1000.0)
}

/// Returns the columns of each segment. What is too small for its share gets
/// the least that can be seen, at the cost of the widest.
fn widths(segments: &[Segment], total: u64, width: usize) -> Vec<usize> {
    let columns = u128::try_from(width).unwrap_or(80);
    let mut widths: Vec<usize> = segments
        .iter()
        .map(|segment| {
            let share = u128::from(segment.len)
                .saturating_mul(columns)
                .checked_div(u128::from(total))
                .and_then(|share| usize::try_from(share).ok());
            let least = if segment.partition.is_some() { NARROWEST } else { 1 };
            share.unwrap_or(0).max(least)
        })
        .collect();
    loop {
        let sum: usize = widths.iter().fold(0, |s, w| s.saturating_add(*w));
        if sum == width {
            return widths;
        }
        let Some(widest) = widths.iter_mut().max() else { return widths };
        if sum > width {
            // Too many to be drawn: then it is wider than the terminal.
            if *widest <= NARROWEST {
                return widths;
            }
            *widest = widest.saturating_sub(1);
        } else {
            *widest = widest.saturating_add(width.saturating_sub(sum));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lens: &[(u64, bool)], width: usize) -> Vec<usize> {
        let segments: Vec<_> = lens
            .iter()
            .map(|(len, is)| Segment {
                len: *len,
                partition: is.then_some((1, None)),
            })
            .collect();
        let total = lens.iter().map(|(len, _)| len).sum();
        widths(&segments, total, width)
    }

    #[test]
    fn columns_are_to_scale_and_nothing_vanishes() {
        assert_eq!(all(&[(50, true), (50, true)], 80), [40, 40]);
        assert_eq!(all(&[(1, false), (1, true), (998, true)], 80), [1, 4, 75]);
        assert_eq!(all(&[], 80), [0; 0]);
        // Sixty partitions do not fit; they are drawn all the same.
        assert_eq!(all(&[(1, true); 60], 80), [NARROWEST; 60]);
        let huge = [(u64::MAX / 2, true), (u64::MAX / 2, true)];
        assert_eq!(all(&huge, 80), [40, 40]);
    }

    #[test]
    fn a_little_is_seen_and_all_is_all() {
        assert_eq!(share(10, 0.0), 0);
        assert_eq!(share(10, 0.001), 1);
        assert_eq!(share(10, 0.5), 5);
        assert_eq!(share(10, 0.999), 9);
        assert_eq!(share(10, 1.0), 10);
        assert_eq!(share(0, 0.5), 0);
    }
}
