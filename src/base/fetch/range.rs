/// A satisfied `Content-Range: bytes first-last/total`, RFC 9110 section 14.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) first: u64,
    /// None for `*`.
    pub(super) total: Option<u64>,
}

impl ContentRange {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (range, total) = unit(text)?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        let total = match total.trim() {
            "*" => None,
            total => Some(number(total)?),
        };
        let sane = first <= last && total.is_none_or(|total| last < total);
        sane.then_some(Self { first, total })
    }
}

/// Reads the total of `bytes */total`, which comes with a 416.
pub(super) fn unsatisfied(text: &str) -> Option<u64> {
    number(unit(text)?.strip_prefix("*/")?)
}

fn unit(text: &str) -> Option<&str> {
    let (unit, rest) = text.trim().split_once(' ')?;
    unit.eq_ignore_ascii_case("bytes").then(|| rest.trim())
}

/// Digits only: `parse` would take a sign.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let parse = ContentRange::parse;
        let range = |first, total| Some(ContentRange { first, total });
        assert_eq!(parse("bytes 5-9/10"), range(5, Some(10)));
        assert_eq!(parse(" Bytes 0-0/1 "), range(0, Some(1)));
        assert_eq!(parse("bytes 5-9/*"), range(5, None));
        for bad in [
            "",
            "bytes",
            "bytes 5-9",
            "bytes 5-4/10",
            "bytes 5-10/10",
            "bytes -9/10",
            "bytes 5-/10",
            "bytes +5-9/10",
            "lines 5-9/10",
            "bytes */10",
            "bytes 5-9/99999999999999999999",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(unsatisfied("bytes */10"), Some(10));
        assert_eq!(unsatisfied("bytes 5-9/10"), None);
    }
}
