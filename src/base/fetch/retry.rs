use super::FetchOptions;
use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Counts failures in a row and says how long to wait.
#[derive(Debug)]
pub(super) struct Retries<'a> {
    options: &'a FetchOptions,
    failed: u32,
}

impl<'a> Retries<'a> {
    pub(super) fn new(options: &'a FetchOptions) -> Self {
        Self { options, failed: 0 }
    }

    /// Bytes have come: the next failure is the first one again.
    pub(super) fn progressed(&mut self) {
        self.failed = 0;
    }

    pub(super) fn attempts(&self) -> u32 {
        self.failed
    }

    /// Returns the wait before the next try, if there is to be one.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let doubled = 2_u32.saturating_pow(self.failed);
        self.failed = self.failed.saturating_add(1);
        if self.failed >= self.options.attempts.max(1) {
            return None;
        }
        let back_off = self.options.back_off.saturating_mul(doubled);
        let back_off = jittered(back_off.min(self.options.max_back_off));
        match asked {
            Some(asked) if asked > self.options.max_retry_after => None,
            Some(asked) => Some(asked.max(back_off)),
            None => Some(back_off),
        }
    }
}

/// Takes off a random part, up to a half: clients that failed together do not
/// come back together.
fn jittered(wait: Duration) -> Duration {
    let random = RandomState::new().hash_one(0) & 0xff;
    let random = u32::try_from(random).unwrap_or(0);
    let part = wait.checked_div(512).unwrap_or_default();
    wait.saturating_sub(part.saturating_mul(random))
}

/// Reads `Retry-After`: seconds, or a date (RFC 9110 sections 10.2.3, 5.6.7).
pub(super) fn retry_after(text: &str) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(http_date(text)?))?;
    // In the past: at once.
    Some(at.duration_since(SystemTime::now()).unwrap_or_default())
}

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT` as seconds since 1970.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u64 = words.next()?.parse().ok()?;
    let name = words.next().filter(|name| name.len() == 3)?;
    let month = u64::try_from(MONTHS.find(name)?).ok()? / 3;
    let year: u64 = words.next()?.parse().ok()?;
    let mut time = words.next()?.split(':').map(|n| n.parse::<u64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if words.next() != Some("GMT") || !(1970..=9999).contains(&year) {
        return None;
    }
    // Days of a year that begins in March, so that the leap day is the last
    // of it: then months have 153 days in each five.
    let (year, month) = match month {
        0 | 1 => (year.checked_sub(1)?, month.checked_add(10)?),
        _ => (year, month.checked_sub(2)?),
    };
    let leaps = (year / 4).checked_sub(year / 100)?.checked_add(year / 400)?;
    let days = month.checked_mul(153)?.checked_add(2)?.checked_div(5)?;
    let days = days.checked_add(day.checked_sub(1)?)?.checked_add(leaps)?;
    let days =
        year.checked_mul(365)?.checked_add(days)?.checked_sub(719_468)?;
    let minutes = days.checked_mul(24)?.checked_add(hour)?.checked_mul(60)?;
    minutes.checked_add(minute)?.checked_mul(60)?.checked_add(second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (text, seconds) in [
            // The example of RFC 9110.
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 29 Feb 2024 12:00:00 GMT", Some(1_709_208_000)),
            ("Fri, 01 Mar 2024 00:00:00 GMT", Some(1_709_251_200)),
            ("Thu, 32 Foo 2024 12:00:00 GMT", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun, 99999999999999999999 Nov 1994 08:49:37 GMT", None),
        ] {
            assert_eq!(http_date(text), seconds, "{text}");
        }
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(
            retry_after("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(Duration::ZERO)
        );
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn waits_grow_and_end() {
        let options = FetchOptions {
            attempts: 9,
            back_off: Duration::from_secs(1),
            max_back_off: Duration::from_secs(20),
            ..FetchOptions::default()
        };
        let mut retries = Retries::new(&options);
        for most in [1, 2, 4, 8, 16, 20, 20, 20] {
            let most = Duration::from_secs(most);
            let wait = retries.next(None).unwrap();
            assert!(wait <= most && wait >= most / 2, "{wait:?} of {most:?}");
        }
        assert_eq!(retries.next(None), None);
        assert_eq!(retries.attempts(), 9);
        retries.progressed();
        let asked = Duration::from_secs(100);
        assert_eq!(retries.next(Some(asked)), Some(asked));
        assert_eq!(retries.next(Some(asked * 4)), None);
    }
}
