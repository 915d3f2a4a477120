//! Time as an argument. Nothing of this crate reads the system's clock by itself.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted (`NumericDate`, RFC 7519 section 2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// This long after; stays at the end of time.
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds since `earlier`; 0 if that is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Of year, month, day, hour, minute and second of the Gregorian calendar, `offset` seconds ahead of UTC. `None` for a date
    /// that there is not, a leap second, or one before 1970.
    #[cfg(any(feature = "paseto", feature = "spiffe"))]
    pub(crate) fn of_date([year, month, day, hour, minute, second]: [i64; 6], offset: i64) -> Option<Self> {
        let legal = (1970..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_of(year, month)).contains(&day)
            && (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..60).contains(&second);
        legal.then_some(())?;
        let seconds = days_before(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
        u64::try_from(seconds).ok().map(Self)
    }
}

#[cfg(any(feature = "paseto", feature = "spiffe"))]
const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[cfg(any(feature = "paseto", feature = "spiffe"))]
const fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(any(feature = "paseto", feature = "spiffe"))]
/// Days from the first of 1970 to a day.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let leaps = (before / 4 - before / 100 + before / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400);
    let months: i64 = (1..month).map(|month| days_of(year, month)).sum();
    (year - 1970) * 365 + leaps + months + day - 1
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Where time comes from. Tests and replays bring their own.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time now. May step backwards, as clocks do.
    fn now(&self) -> UnixTime;
}

/// A clock that stands still, for tests and replays.
impl Clock for UnixTime {
    fn now(&self) -> UnixTime {
        *self
    }
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the edge that reads the clock, for those who ask")]
    fn now(&self) -> UnixTime {
        UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_neither_wraps_nor_runs_backwards() {
        assert_eq!(UnixTime(u64::MAX).plus(1), UnixTime(u64::MAX));
        assert_eq!(UnixTime(7).since(UnixTime(9)), 0);
        assert_eq!(UnixTime(9).since(UnixTime(7)), 2);
        assert!(SystemClock.now() > UnixTime(1_700_000_000));
    }
}
