//! The numbers of the policy for asking about tokens.

use std::time::Duration;

use crate::keys::SettingsError;
use crate::registry::Registry;

/// How often an issuer is asked about tokens, and how long its answers hold.
///
/// "Cannot be asked" is never "active": while an issuer is down, answers that are at hand hold until their time is over, and
/// then there is none ([`Undecided`](crate::Undecided), 503).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IntrospectionSettings {
    /// For how many seconds an answer holds that says `active`; never past the end of the token. A token that was revoked is
    /// accepted for as long. 0 to 60. Default 30.
    pub ttl: u64,
    /// For how many seconds an answer holds that says otherwise. 0 to 10. Default 5.
    pub bad_ttl: u64,
    /// Most answers that are at hand. Default 10 000.
    pub capacity: usize,
    /// Most questions to one issuer at the same time; others wait their turn. Default 16.
    pub at_once: usize,
    /// How long a request waits for an answer, its turn included. Default 3 s.
    pub wait: Duration,
    /// After so many questions in a row that were not answered, the issuer is left alone. Default 5.
    pub patience: u32,
    /// For how many seconds it is left alone then. Default 5.
    pub pause: u64,
}

impl Default for IntrospectionSettings {
    fn default() -> Self {
        Self {
            ttl: 30,
            bad_ttl: 5,
            capacity: 10_000,
            at_once: 16,
            wait: Duration::from_secs(3),
            patience: 5,
            pause: 5,
        }
    }
}

impl IntrospectionSettings {
    /// The default ones, but for what a registry says of them (`introspection:`). Whether they can be used is still to be
    /// [checked](Self::check).
    #[must_use]
    pub fn of(registry: &Registry) -> Self {
        let (numbers, default) = (registry.introspection_numbers(), Self::default());
        Self {
            ttl: numbers.ttl.unwrap_or(default.ttl),
            bad_ttl: numbers.bad_ttl.unwrap_or(default.bad_ttl),
            capacity: numbers.capacity.unwrap_or(default.capacity),
            at_once: numbers.at_once.unwrap_or(default.at_once),
            wait: numbers.wait.map_or(default.wait, Duration::from_secs),
            patience: numbers.patience.unwrap_or(default.patience),
            pause: numbers.pause.unwrap_or(default.pause),
        }
    }

    /// Whether the settings can be used.
    ///
    /// # Errors
    /// [`SettingsError`] for the first field that cannot.
    pub fn check(&self) -> Result<(), SettingsError> {
        for (good, field, reason) in [
            (self.ttl <= 60, "ttl", "at most 60"),
            (self.bad_ttl <= 10, "bad_ttl", "at most 10"),
            (self.capacity >= 1, "capacity", "at least 1"),
            ((1..=1024).contains(&self.at_once), "at_once", "1 to 1024"),
            (!self.wait.is_zero(), "wait", "more than nothing"),
            (self.patience >= 1, "patience", "at least 1"),
            (self.pause <= 60, "pause", "at most 60"),
        ] {
            if !good {
                return Err(SettingsError { field, reason });
            }
        }
        Ok(())
    }
}
