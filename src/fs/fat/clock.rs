use fatfs::{Date, DateTime, Time, TimeProvider};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Tells the same time for ever.
#[derive(Debug)]
pub(super) struct Clock(pub(super) DateTime);

impl TimeProvider for Clock {
    fn get_current_date(&self) -> Date {
        self.0.date
    }
    fn get_current_date_time(&self) -> DateTime {
        self.0
    }
}

/// Returns the clock that stands at `seconds` since the epoch.
///
/// `fatfs` wants a `'static` one, so each is leaked, once per time: a build
/// has one time.
pub(super) fn clock(seconds: i64) -> &'static Clock {
    static CLOCKS: Mutex<BTreeMap<i64, &'static Clock>> =
        Mutex::new(BTreeMap::new());
    let mut clocks = CLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    clocks
        .entry(seconds)
        .or_insert_with(|| Box::leak(Box::new(Clock(date_time(seconds)))))
}

/// Converts to UTC, within 1980 to 2107 and to the even second: all that a
/// modification time on FAT can say.
fn date_time(seconds: i64) -> DateTime {
    const DAY: i64 = 86_400;
    // 1980-01-01 and the last even second of 2107.
    let seconds = seconds.clamp(315_532_800, 4_354_819_198);
    let (year, month, day) = civil(seconds.div_euclid(DAY));
    let of_day = seconds.rem_euclid(DAY);
    let small = |value: i64| u16::try_from(value).expect("clamped");
    DateTime {
        date: Date { year: small(year), month: small(month), day: small(day) },
        time: Time {
            hour: small(of_day / 3600),
            min: small(of_day / 60 % 60),
            sec: small(of_day % 60 / 2).checked_mul(2).expect("below 60"),
            millis: 0,
        },
    }
}

/// Converts days since 1970-01-01 to year, month and day (Gregorian).
#[expect(
    clippy::arithmetic_side_effects,
    reason = "days are those of 1980 to 2107"
)]
fn civil(mut days: i64) -> (i64, i64, i64) {
    let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let mut year = 1970;
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

/// Converts the date and time words of a directory entry to seconds.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "the words have 16 bits, so all terms are small"
)]
pub(super) fn seconds(date: u16, time: u16) -> i64 {
    let (date, time) = (i64::from(date), i64::from(time));
    let (year, month, day) = (1980 + (date >> 9), (date >> 5) & 15, date & 31);
    // Days from 1970 by months counted from March.
    let (y, m) =
        if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day
        - 1
        - 719_468;
    days * 86_400
        + (time >> 11) * 3600
        + ((time >> 5) & 63) * 60
        + (time & 31) * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive() {
        // As `date -u -d @N` prints them.
        let time = date_time(1_750_204_800 + 3 * 3600 + 7 * 60 + 9);
        assert_eq!(
            (time.date.year, time.date.month, time.date.day),
            (2025, 6, 18)
        );
        assert_eq!((time.time.hour, time.time.min, time.time.sec), (3, 7, 8));
        for (at, want) in [
            (1_709_164_800, (2024, 2, 29)),
            (0, (1980, 1, 1)),
            (i64::MAX, (2107, 12, 31)),
        ] {
            let date = date_time(at).date;
            assert_eq!((date.year, date.month, date.day), want);
        }
        let date = (44 << 9) | (2 << 5) | 29;
        assert_eq!(seconds(date, 0), 1_709_164_800);
        assert_eq!(seconds(33, 0), 315_532_800);
    }
}
