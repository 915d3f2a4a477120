//! The numbers of the policy for keys.

use std::time::Duration;

pub use crate::registry::{Refresh, WhenDown};

use crate::registry::Registry;

/// What to do about keys that grow old, keys that are not known, and providers that do not answer.
///
/// The fields are the manual; [`KeySettings::check`] says what does not fit together. Times are in seconds.
///
/// | the provider is | key known, fresh | past the soft age | past [`max_stale`](Self::max_stale) | key not known |
/// |---|---|---|---|---|
/// | up | verify | verify, refresh behind | refresh, then verify | one fetch a cooldown, then refuse (401) |
/// | down | verify | verify, and say so | undecided (503) | refuse (401) inside of the cooldown, else undecided (503) |
/// | up, and its feed of revocations is down | verify | verify, refresh behind | refresh, then verify | one fetch a cooldown, then refuse (401) |
///
/// A feed of revocations that is down changes nothing of that: what it said before holds, and what it would say is not known.
/// `hopseal.revocation.lag` counts the time, `events::Receiver::feed` says when it is more than [`quiet`](crate::EventFeed::quiet);
/// routes that cannot take the risk ask the issuer about tokens instead, or turn requests away.
///
/// ```
/// use hopseal::keys::KeySettings;
/// let mut settings = KeySettings::default();
/// settings.max_stale = 15 * 60; // a key that was withdrawn is trusted for a quarter of an hour, if its provider is down
/// settings.soft_age_most = 10 * 60;
/// settings.check()?;
/// # Ok::<(), hopseal::keys::SettingsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeySettings {
    /// After how long keys are refreshed while they serve, where the provider names no `max-age`. Default 600.
    pub soft_age: u64,
    /// The least that a provider's `max-age` counts for: it cannot make us ask all the time. Default 60.
    pub soft_age_least: u64,
    /// The most that a provider's `max-age` counts for. Default 1800.
    pub soft_age_most: u64,
    /// For how long keys serve after they were last confirmed: a key that its provider withdrew is trusted no longer than
    /// this, and an outage of the provider is ours from then on. More than `soft_age_most`. Default 3600.
    pub max_stale: u64,
    /// After how long the metadata document is read again. A failure to fetch keys makes it read at once. Default 3600.
    pub metadata_age: u64,
    /// Least time between two fetches for keys that are not known, whatever is asked for. Default 30.
    pub unknown_kid_cooldown: u64,
    /// How many such fetches may follow each other at once: with 2, a rotation right after a stray token is still seen.
    /// 1 to 5. Default 2.
    pub unknown_kid_burst: u64,
    /// For how long a key id that the provider does not know causes no other fetch. Default 60.
    pub unknown_kid_memory: u64,
    /// What is said of a key that is not known when the fetch for it fails. Default [`Undecided`](WhenDown::Undecided).
    pub unknown_kid_when_down: WhenDown,
    /// Time to the next attempt after a failed one; it doubles up to `retry_most`. Default 1.
    pub retry_least: u64,
    /// Longest time to the next attempt. Default 30.
    pub retry_most: u64,
    /// How long a request waits for keys without which it cannot be decided. Default 3 s.
    pub wait: Duration,
    /// Who refreshes keys that are past their soft age. Default [`Background`](Refresh::Background).
    pub refresh: Refresh,
}

impl Default for KeySettings {
    fn default() -> Self {
        Self {
            soft_age: 600,
            soft_age_least: 60,
            soft_age_most: 1800,
            max_stale: 3600,
            metadata_age: 3600,
            unknown_kid_cooldown: 30,
            unknown_kid_burst: 2,
            unknown_kid_memory: 60,
            unknown_kid_when_down: WhenDown::Undecided,
            retry_least: 1,
            retry_most: 30,
            wait: Duration::from_secs(3),
            refresh: Refresh::Background,
        }
    }
}

/// Settings that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {reason}")]
pub struct SettingsError {
    /// The field.
    pub field: &'static str,
    /// What it must be.
    pub reason: &'static str,
}

/// A day: keys that nobody confirmed for longer are nobody's.
const MOST_STALE: u64 = 24 * 60 * 60;

impl KeySettings {
    /// The default ones, but for what a registry says of them (`keys:`). Whether they fit together is still to be
    /// [checked](Self::check).
    #[must_use]
    pub fn of(registry: &Registry) -> Self {
        let (numbers, default) = (registry.key_numbers(), Self::default());
        Self {
            soft_age: numbers.soft_age.unwrap_or(default.soft_age),
            soft_age_least: numbers.soft_age_least.unwrap_or(default.soft_age_least),
            soft_age_most: numbers.soft_age_most.unwrap_or(default.soft_age_most),
            max_stale: numbers.max_stale.unwrap_or(default.max_stale),
            metadata_age: numbers.metadata_age.unwrap_or(default.metadata_age),
            unknown_kid_cooldown: numbers.unknown_kid_cooldown.unwrap_or(default.unknown_kid_cooldown),
            unknown_kid_burst: numbers.unknown_kid_burst.unwrap_or(default.unknown_kid_burst),
            unknown_kid_memory: numbers.unknown_kid_memory.unwrap_or(default.unknown_kid_memory),
            unknown_kid_when_down: numbers.unknown_kid_when_down.unwrap_or(default.unknown_kid_when_down),
            retry_least: numbers.retry_least.unwrap_or(default.retry_least),
            retry_most: numbers.retry_most.unwrap_or(default.retry_most),
            wait: numbers.wait.map_or(default.wait, Duration::from_secs),
            refresh: numbers.refresh.unwrap_or(default.refresh),
        }
    }

    /// Whether the settings fit together.
    ///
    /// # Errors
    /// [`SettingsError`] for the first field that does not.
    pub fn check(&self) -> Result<(), SettingsError> {
        for (good, field, reason) in [
            (self.soft_age_least >= 1, "soft_age_least", "at least 1"),
            (self.soft_age_least <= self.soft_age, "soft_age", "at least `soft_age_least`"),
            (self.soft_age <= self.soft_age_most, "soft_age", "at most `soft_age_most`"),
            (self.soft_age_most < self.max_stale, "max_stale", "more than `soft_age_most`"),
            (self.max_stale <= MOST_STALE, "max_stale", "at most a day"),
            (self.metadata_age >= 1, "metadata_age", "at least 1"),
            (self.unknown_kid_cooldown >= 1, "unknown_kid_cooldown", "at least 1"),
            (self.unknown_kid_cooldown <= self.max_stale, "unknown_kid_cooldown", "at most `max_stale`"),
            ((1..=5).contains(&self.unknown_kid_burst), "unknown_kid_burst", "1 to 5"),
            (self.unknown_kid_memory <= self.max_stale, "unknown_kid_memory", "at most `max_stale`"),
            (self.retry_least >= 1, "retry_least", "at least 1"),
            (self.retry_least <= self.retry_most, "retry_most", "at least `retry_least`"),
            (self.retry_most <= self.max_stale, "retry_most", "at most `max_stale`"),
            (!self.wait.is_zero(), "wait", "more than nothing"),
            (self.refresh != Refresh::Inline(Duration::ZERO), "refresh", "more than nothing"),
        ] {
            if !good {
                return Err(SettingsError { field, reason });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_contradict_each_other_are_told() {
        assert_eq!(KeySettings::default().check(), Ok(()));
        let change = |change: fn(&mut KeySettings)| {
            let mut settings = KeySettings::default();
            change(&mut settings);
            settings.check().map_err(|error| error.field)
        };
        for (field, found) in [
            ("soft_age_least", change(|s| s.soft_age_least = 0)),
            ("soft_age", change(|s| s.soft_age = 59)),
            ("soft_age", change(|s| s.soft_age = 1801)),
            ("max_stale", change(|s| s.max_stale = 1800)),
            ("max_stale", change(|s| s.max_stale = 86_401)),
            ("metadata_age", change(|s| s.metadata_age = 0)),
            ("unknown_kid_cooldown", change(|s| s.unknown_kid_cooldown = 0)),
            ("unknown_kid_cooldown", change(|s| s.unknown_kid_cooldown = 3601)),
            ("unknown_kid_burst", change(|s| s.unknown_kid_burst = 0)),
            ("unknown_kid_burst", change(|s| s.unknown_kid_burst = 6)),
            ("unknown_kid_memory", change(|s| s.unknown_kid_memory = 3601)),
            ("retry_least", change(|s| s.retry_least = 0)),
            ("retry_most", change(|s| s.retry_least = 31)),
            ("retry_most", change(|s| s.retry_most = 3601)),
            ("wait", change(|s| s.wait = Duration::ZERO)),
            ("refresh", change(|s| s.refresh = Refresh::Inline(Duration::ZERO))),
        ] {
            assert_eq!(found, Err(field));
        }
    }
}
