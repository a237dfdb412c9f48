//! Days of the calendar.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A day of the Gregorian calendar from 1970 to 9999, as `2026-10-06`.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
)]
#[serde(into = "String", try_from = "String")]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// A text that is no [`Date`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a date like 2026-10-06")]
pub struct NotADate(String);

impl Date {
    /// Returns the day (UTC) of a time in seconds since the epoch; none
    /// before 1970 or after 9999.
    #[must_use]
    pub fn of_seconds(seconds: i64) -> Option<Self> {
        let mut days = u64::try_from(seconds).ok()? / 86_400;
        let mut take = |length: u64| {
            let rest = days.checked_sub(length);
            rest.map(|rest| days = rest)
        };
        let year = (1970..=9999).find(|year| {
            take(if is_leap(*year) { 366 } else { 365 }).is_none()
        })?;
        let month =
            (1..=12).find(|m| take(days_in(year, *m).into()).is_none())?;
        let day = u8::try_from(days).ok()?.checked_add(1)?;
        Some(Self { year, month, day })
    }

    /// Returns the number of days since 1970-01-01.
    #[must_use]
    pub fn days(self) -> i64 {
        let years = 1970..self.year;
        let whole: i64 =
            years.map(|year| if is_leap(year) { 366 } else { 365 }).sum();
        let months: i64 = (1..self.month)
            .map(|month| i64::from(days_in(self.year, month)))
            .sum();
        let days = i64::from(self.day.saturating_sub(1));
        whole.saturating_add(months).saturating_add(days)
    }
}

impl FromStr for Date {
    type Err = NotADate;

    fn from_str(text: &str) -> Result<Self, NotADate> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() == 10
            && bytes.iter().enumerate().all(|(at, byte)| match at {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        let number = |range: std::ops::Range<usize>| -> Option<u16> {
            text.get(range)?.parse().ok()
        };
        let date = || {
            let month = u8::try_from(number(5..7)?).ok()?;
            let day = u8::try_from(number(8..10)?).ok()?;
            let year = number(0..4)?;
            let exists = year >= 1970
                && (1..=12).contains(&month)
                && (1..=days_in(year, month)).contains(&day);
            exists.then_some(Self { year, month, day })
        };
        shaped
            .then(date)
            .flatten()
            .ok_or_else(|| NotADate(text.chars().take(40).collect()))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

impl TryFrom<String> for Date {
    type Error = NotADate;

    fn try_from(text: String) -> Result<Self, NotADate> {
        text.parse()
    }
}

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4)
        && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u16, month: u8) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        // `date -d DATE +%s` by 86400.
        for (text, days) in [
            ("1970-01-01", 0),
            ("2000-02-29", 11016),
            ("2024-12-31", 20088),
            ("2026-10-06", 20732),
            ("9999-12-31", 2_932_896),
        ] {
            let date: Date = text.parse().unwrap();
            assert_eq!(date.days(), days, "{text}");
            assert_eq!(date.to_string(), text);
            for second in [0, 86_399] {
                let time = days * 86_400 + second;
                assert_eq!(Date::of_seconds(time), Some(date), "{text}");
            }
        }
        assert_eq!(Date::of_seconds(-1), None);
        assert_eq!(Date::of_seconds(2_932_897 * 86_400), None);
        assert_eq!(Date::of_seconds(i64::MAX), None);
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "2026-1-6",
            "2026-13-01",
            "2026-00-01",
            "2026-02-29",
            "1900-01-01",
            "2026-10-06 ",
            "2026/10/06",
            "+026-10-06",
            "äääää",
        ] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
    }
}
