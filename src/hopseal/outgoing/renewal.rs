//! When a token is to be renewed, as a machine without clock or network.

use crate::clock::UnixTime;

/// Seconds before its end at which a token is not sent any more: it has to arrive, and clocks differ.
const MARGIN: u64 = 5;
/// Time to the next attempt after a failed one; it doubles up to [`RETRY_MOST`].
const RETRY_LEAST: u64 = 1;
const RETRY_MOST: u64 = 30;

/// What to do for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The token at hand is good.
    Use,
    /// It is good, and it is time to get the next.
    UseAndRenew,
    /// There is none that is good: get one first.
    Renew,
    /// There is none, and it is too early to ask again.
    TooEarly,
}

/// The times of the token at hand.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Renewal {
    /// When it is to be renewed, and when it is not sent any more.
    times: Option<(UnixTime, UnixTime)>,
    retry: Option<UnixTime>,
    failures: u32,
}

impl Renewal {
    pub(super) fn ask(&self, now: UnixTime) -> Step {
        // A clock that was set back must not stop attempts for long.
        let early = self.retry.is_some_and(|retry| now < retry && retry.since(now) <= RETRY_MOST);
        match self.times {
            Some((renew, _)) if now < renew => Step::Use,
            Some((_, end)) if now < end => {
                if early {
                    Step::Use
                } else {
                    Step::UseAndRenew
                }
            }
            _ => {
                if early {
                    Step::TooEarly
                } else {
                    Step::Renew
                }
            }
        }
    }

    /// A token came that lives from `start` to `expiry`. It is renewed at three quarters of its life, or up to a tenth of it
    /// sooner: `jitter`, of 255, so that not all replicas of a service ask at once.
    pub(super) fn renewed(&mut self, start: UnixTime, expiry: UnixTime, jitter: u8) {
        let life = expiry.since(start);
        let sooner = (life / 10).saturating_mul(u64::from(jitter)) / 255;
        let renew = start.plus((life - life / 4).saturating_sub(sooner));
        // Of a token that hardly lives, the margin is a part.
        let end = start.plus(life.saturating_sub(MARGIN.min(life / 4)));
        *self = Self { times: Some((renew, end)), retry: None, failures: 0 };
    }

    pub(super) fn failed(&mut self, now: UnixTime) {
        let wait = RETRY_LEAST.saturating_mul(1 << self.failures.min(16)).min(RETRY_MOST);
        self.retry = Some(now.plus(wait));
        self.failures = self.failures.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(life: u64, jitter: u8) -> Renewal {
        let mut renewal = Renewal::default();
        renewal.renewed(UnixTime(1000), UnixTime(1000 + life), jitter);
        renewal
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        use Step::{Renew, TooEarly, Use, UseAndRenew};
        for (life, jitter, after, step) in [
            (300, 0, 0, Use),
            (300, 0, 224, Use),
            (300, 0, 225, UseAndRenew),
            (300, 255, 194, Use),
            (300, 255, 195, UseAndRenew),
            (300, 0, 294, UseAndRenew),
            (300, 0, 295, Renew),
            (4, 0, 2, Use),
            (4, 0, 3, Renew),
            (0, 0, 0, Renew),
        ] {
            assert_eq!(of(life, jitter).ask(UnixTime(1000 + after)), step, "{life} {jitter} {after}");
        }
        assert_eq!(Renewal::default().ask(UnixTime(0)), Renew);
        let mut failed = of(300, 0);
        failed.failed(UnixTime(1230));
        for (at, step) in [(1230, Use), (1231, UseAndRenew), (1295, Renew)] {
            assert_eq!(failed.ask(UnixTime(at)), step, "{at}");
        }
        failed.failed(UnixTime(1295));
        for (at, step) in [(1295, TooEarly), (1296, TooEarly), (1297, Renew)] {
            assert_eq!(failed.ask(UnixTime(at)), step, "{at}");
        }
    }

    proptest! {
        /// What is sent has not ended; what is good is not renewed in its first half; what fails is not asked for twice a second.
        #[test]
        fn times_are_in_order(life in 0_u64..1_000_000, jitter: u8, after in 0_u64..2_000_000) {
            let step = of(life, jitter).ask(UnixTime(1000 + after));
            if matches!(step, Step::Use | Step::UseAndRenew) {
                prop_assert!(after < life);
            }
            if after < life / 2 {
                prop_assert_eq!(step, Step::Use);
            }
            let mut failed = Renewal::default();
            failed.failed(UnixTime(after));
            prop_assert_eq!(failed.ask(UnixTime(after)), Step::TooEarly);
        }
    }
}
