//! How far back a page looks.

use crate::serve::store::{DAY, Interval, MINUTE};

/// How far back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Period {
    Hour,
    Day,
    Week,
    Month,
    All,
}

impl Period {
    pub(super) const EACH: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::All];

    /// The word in addresses.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::All => "all",
        }
    }

    /// The words on pages.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Hour => "the last hour",
            Self::Day => "the last 24 hours",
            Self::Week => "the last 7 days",
            Self::Month => "the last 30 days",
            Self::All => "all that is kept",
        }
    }

    /// A day where nothing is asked for; `None` for a word that is none of these.
    pub(super) fn parse(word: Option<&str>) -> Option<Self> {
        match word {
            None => Some(Self::Day),
            Some(word) => Self::EACH.into_iter().find(|period| period.word() == word),
        }
    }

    /// Up to now, and past it: clocks of senders run ahead.
    pub(super) const fn interval(self, now: u64) -> Interval {
        let back = match self {
            Self::Hour => 60 * MINUTE,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
            Self::Month => 30 * DAY,
            Self::All => return Interval::ALWAYS,
        };
        Interval { from: now.saturating_sub(back), to: u64::MAX }
    }

    /// Minutes of one point of a chart; `None` where that depends on what is kept.
    pub(super) const fn minutes(self) -> Option<u64> {
        match self {
            Self::Hour => Some(1),
            Self::Day => Some(60),
            Self::Week => Some(360),
            Self::Month => Some(1440),
            Self::All => None,
        }
    }
}

/// Minutes of one point, for a chart of at most a hundred from `first` to `last`.
pub(super) fn minutes_between(first: u64, last: u64) -> u64 {
    // Past a week by the day, which is added up already.
    const STEPS: [u64; 7] = [1, 5, 15, 30, 60, 120, 1440];
    let minutes = last.saturating_sub(first) / MINUTE;
    let wanted = minutes.div_ceil(100);
    STEPS.into_iter().find(|step| *step >= wanted).unwrap_or_else(|| wanted.div_ceil(1440) * 1440)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for period in Period::EACH {
            assert_eq!(Period::parse(Some(period.word())), Some(period));
        }
        assert_eq!(Period::parse(None), Some(Period::Day));
        assert_eq!(Period::parse(Some("1y")), None);
    }

    #[test]
    fn a_chart_has_a_hundred_points_at_most() {
        for (minutes, step) in
            [(0, 1), (100, 1), (101, 5), (1440, 15), (12_000, 120), (43_200, 1440), (400_000, 4320)]
        {
            assert_eq!(minutes_between(7 * MINUTE, (7 + minutes) * MINUTE), step, "{minutes}");
        }
    }
}
