/// Some bytes of a device: offset and length.
pub type Range = (u64, u64);

/// Sorts ranges and joins those that touch or overlap.
pub(super) fn join(ranges: impl IntoIterator<Item = Range>) -> Vec<Range> {
    let mut sorted: Vec<Range> = ranges.into_iter().collect();
    sorted.retain(|(_, len)| *len > 0);
    sorted.sort_unstable();
    let mut joined: Vec<Range> = Vec::new();
    for (at, len) in sorted {
        const INSIDE: &str = "ranges lie inside of a device";
        let end = at.checked_add(len).expect(INSIDE);
        let last = joined.last_mut().map(|(start, len)| {
            let end = start.checked_add(*len).expect(INSIDE);
            (*start, len, end)
        });
        match last {
            Some((start, len, before)) if before >= at => {
                let joined = before.max(end).checked_sub(start);
                *len = joined.expect("sorted by their starts");
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
