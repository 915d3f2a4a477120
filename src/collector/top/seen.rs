//! What was answered, added up.

use std::collections::BTreeMap;
use std::time::Duration;

use hopseal_identity::{Assurance, Basis};

use crate::output::read::{ReadCoverage, ReadEdge, ReadStated};

const MINUTE: u64 = 60_000_000_000;

/// What is shown.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The busiest first.
    pub(super) services: Vec<ServiceSeen>,
    /// Hops of each minute, the oldest first.
    pub(super) minutes: Vec<u64>,
    pub(super) hops: u64,
    pub(super) identified: u64,
    pub(super) proven: u64,
    /// Open, the newest first.
    pub(super) findings: Vec<ReadStated>,
}

/// Hops of one service.
#[derive(Debug, Default)]
pub(super) struct ServiceSeen {
    pub(super) name: String,
    pub(super) hops: u64,
    /// In the order of [`Assurance::ALL`].
    pub(super) by_assurance: [u64; Assurance::ALL.len()],
    pub(super) proven: u64,
}

impl ServiceSeen {
    /// Hops that show somebody.
    pub(super) fn identified(&self) -> u64 {
        let of = Assurance::ALL.iter().zip(self.by_assurance);
        of.filter(|(assurance, _)| assurance.is_identified()).map(|(_, hops)| hops).sum()
    }
}

impl Seen {
    pub(super) fn of(
        edges: Vec<ReadEdge>,
        points: &[ReadCoverage],
        findings: Vec<ReadStated>,
        now: u64,
        period: Duration,
    ) -> Self {
        let mut services: BTreeMap<String, ServiceSeen> = BTreeMap::new();
        for edge in edges {
            let service = services
                .entry(edge.service.clone())
                .or_insert_with(|| ServiceSeen { name: edge.service, ..ServiceSeen::default() });
            service.hops += edge.hops;
            let assurance = Assurance::parse(&edge.assurance);
            let place = Assurance::ALL.iter().position(|known| Some(*known) == assurance);
            if let Some(count) = place.and_then(|place| service.by_assurance.get_mut(place)) {
                *count += edge.hops;
            }
            let is_proven = edge.basis != Basis::Claimed.as_str();
            if is_proven && assurance.is_some_and(Assurance::is_identified) {
                service.proven += edge.hops;
            }
        }
        let mut services: Vec<ServiceSeen> = services.into_values().collect();
        services.sort_by_key(|service| std::cmp::Reverse(service.hops));
        let count = period.as_secs().div_ceil(60);
        let first = (now / MINUTE).saturating_sub(count.saturating_sub(1));
        let mut minutes = vec![0; usize::try_from(count).unwrap_or(0)];
        for point in points {
            let minute = point.at_unix_nano.parse::<u64>().unwrap_or(0) / MINUTE;
            let place = minute.checked_sub(first).and_then(|place| usize::try_from(place).ok());
            if let Some(hops) = place.and_then(|place| minutes.get_mut(place)) {
                *hops += point.hops;
            }
        }
        let sum = |of: fn(&ReadCoverage) -> u64| points.iter().map(of).sum();
        Self {
            services,
            minutes,
            hops: sum(|point| point.hops),
            identified: sum(|point| point.identified),
            proven: sum(|point| point.proven),
            findings,
        }
    }

    /// Hops a second in the last minute that is over: the one before it may still be added to, and the current one is not whole.
    pub(super) fn rate(&self) -> f64 {
        let last = self.minutes.iter().rev().nth(1).copied().unwrap_or(0);
        // Exact up to 2^53 hops a minute.
        last as f64 / 60.0
    }
}
