/// Some bytes of a device: offset and length.
pub type Range = (u64, u64);

/// Sorts ranges and joins those that touch or overlap.
pub(super) fn join(ranges: impl IntoIterator<Item = Range>) -> Vec<Range> {
    let mut sorted: Vec<Range> = ranges.into_iter().collect();
    sorted.retain(|(_, len)| *len > 0);
    sorted.sort_unstable();
    let mut joined: Vec<Range> = Vec::new();
    for (at, len) in sorted {
        let end = at.saturating_add(len);
        match joined.last_mut() {
            Some((start, len)) if start.saturating_add(*len) >= at => {
                let before = start.saturating_add(*len);
                *len = before.max(end).saturating_sub(*start);
            }
            _ => joined.push((at, len)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::join;

    #[test]
    fn ranges_are_sorted_and_joined() {
        assert_eq!(join([]), []);
        assert_eq!(join([(5, 0)]), []);
        assert_eq!(
            join([(20, 5), (0, 10), (10, 2), (3, 4), (24, 6)]),
            [(0, 12), (20, 10)]
        );
    }
}
