//! Days and lengths of time as a policy writes them. Both are compared with the time of spans, never with a clock.

const NANOS_PER_DAY: u64 = 86_400_000_000_000;

/// A day in UTC, written `2026-12-31`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// Days since 1970-01-01.
    days: u32,
}

impl Date {
    /// Reads `YYYY-MM-DD`, from 1970 on; `None` for anything else, a 30th of February included.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut part = |len: usize| {
            let part = parts.next().filter(|part| part.len() == len)?;
            part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u32>().ok()).flatten()
        };
        let (year, month, day) = (part(4)?, part(2)?, part(2)?);
        if parts.next().is_some() || year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        // Years are counted from March, so that the leap day is the last of its year.
        let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let day_of_year = (153 * months + 2) / 5 + day - 1;
        let days = 365 * years + years / 4 - years / 100 + years / 400 + day_of_year;
        let date = Self { days: days - 719_468 };
        (date.to_string() == text).then_some(date)
    }

    /// The day of a time in nanoseconds since the Unix epoch.
    #[must_use]
    pub fn of(nanos: u64) -> Self {
        Self { days: u32::try_from(nanos / NANOS_PER_DAY).unwrap_or(u32::MAX) }
    }

    /// Its beginning, nanoseconds since the Unix epoch; the last there is for days from 2554-07-22 on.
    #[must_use]
    pub const fn start(self) -> u64 {
        (self.days as u64).saturating_mul(NANOS_PER_DAY)
    }

    /// Days since the Unix epoch.
    #[must_use]
    pub(crate) const fn days(self) -> u32 {
        self.days
    }

    /// The day that is so many after the Unix epoch.
    #[must_use]
    pub(crate) const fn of_days(days: u32) -> Self {
        Self { days }
    }

    /// The day `days` later.
    #[must_use]
    pub fn plus_days(self, days: u32) -> Self {
        Self { days: self.days.saturating_add(days) }
    }

    /// Whether this day was over at a time in nanoseconds since the Unix epoch. A time that is not known (0) is
    /// past every date: who leaves it out must not live for ever.
    #[must_use]
    pub fn is_over_at(self, nanos: u64) -> bool {
        nanos == 0 || Self::of(nanos) > self
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let days = u64::from(self.days) + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let months = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * months + 2) / 5 + 1;
        let month = if months < 10 { months + 3 } else { months - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// Reads a length of time such as `250ms`, `60s`, `5m`, `1h` or `7d`, in nanoseconds.
#[must_use]
pub fn nanos(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = match unit {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => NANOS_PER_DAY,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_that_nanoseconds_cannot_tell_begins_last() {
        let start = |text: &str| Date::parse(text).expect("a day").start();
        assert_eq!(start("1970-01-02"), NANOS_PER_DAY);
        assert_eq!(start("9999-12-31"), u64::MAX);
    }

    #[test]
    fn days_read_and_write_back() {
        for (text, days) in [
            ("1970-01-01", Some(0)),
            ("2000-02-29", Some(11_016)),
            ("2026-12-31", Some(20_818)),
            ("2100-02-28", Some(47_540)),
            ("2100-02-29", None),
            ("2026-13-01", None),
            ("2026-1-1", None),
            ("1969-12-31", None),
            ("tomorrow", None),
            ("2026-12-31-", None),
        ] {
            assert_eq!(Date::parse(text).map(|date| date.days), days, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_day_survives_its_text(days in 0_u32..2_900_000) {
            let date = Date { days };
            proptest::prop_assert_eq!(Date::parse(&date.to_string()), Some(date));
        }
    }

    #[test]
    fn a_day_counts_to_its_last_nanosecond() {
        let date = Date::parse("2026-01-01").expect("a date");
        let next = 1_767_312_000_000_000_000;
        assert!(!date.is_over_at(next - 1));
        assert!(date.is_over_at(next));
        assert!(date.is_over_at(0), "no time is no excuse");
        assert_eq!(date.plus_days(31).to_string(), "2026-02-01");
    }

    #[test]
    fn lengths_of_time() {
        for (text, expected) in [
            ("250ms", Some(250_000_000)),
            ("60s", Some(60_000_000_000)),
            ("7d", Some(7 * NANOS_PER_DAY)),
            ("60", None),
            ("s", None),
            ("1 h", None),
            ("99999999999999d", None),
        ] {
            assert_eq!(nanos(text), expected, "{text}");
        }
    }
}
