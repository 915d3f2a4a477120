//! Open findings as alerts of an Alertmanager, by its API v2: one for all that are alike, which ends once none of them is open.
//!
//! An Alertmanager forgets what it is not told again, and takes it for ended. So what stands is told again and again, and what
//! ended while it could not be told ends by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hopseal_correlate::finding::{FindingId, Severity};

use super::post::{Post, Taken};
use super::settings::ReceiverSettings;
use super::{Did, NotYet};
use crate::hex;
use crate::output::alert::{self, AlertShape};
use crate::output::trail::ReadFinding;
use crate::serve::clock::nanos;
use crate::serve::store::{Changes, FindingQuery, FindingRecord, State, Store, StoreError};

const MEDIA_TYPE: &str = "application/json";
/// Alerts of one request.
const AT_ONCE: usize = 100;
/// Alerts that are told again and again.
const FIRING: usize = 5_000;
/// Findings looked at in one go when it starts.
const PAGE: usize = 1_000;
/// So many times the time between two tellings is an alert good for.
const GOOD_FOR: u32 = 5;

/// Findings that are alike, as one alert: of a group all have the same labels but for their severity.
type Alike = (FindingId, Severity);

/// See the [module](self).
pub(super) struct Firing {
    receiver: ReceiverSettings,
    resend: Duration,
    pages: Option<String>,
    /// What stands, and since when; None until the store was asked.
    firing: Option<BTreeMap<Alike, u64>>,
    /// When they are told of again.
    again: u64,
    /// Changes that were missed when the store was asked last.
    missed: u64,
}

impl Firing {
    pub(super) const fn new(receiver: ReceiverSettings, resend: Duration, pages: Option<String>) -> Self {
        Self { receiver, resend, pages, firing: None, again: 0, missed: 0 }
    }

    /// Tells what changed, and from time to time all that stands.
    pub(super) fn tell(
        &mut self,
        new: &Changes,
        store: &dyn Store,
        now: u64,
        post: &Post,
        did: &mut Did,
    ) -> Result<(), NotYet> {
        // What is tried again need not be asked for again, unless more was missed meanwhile.
        let mut firing = match self.firing.take().filter(|_| new.missed <= self.missed) {
            Some(firing) => firing,
            None => self.standing(store)?,
        };
        self.missed = new.missed;
        let is_due = now >= self.again;
        let bodies = self.alerts(&mut firing, new, store, now, is_due);
        // Whatever happens below, they are told of again.
        self.firing = Some(firing);
        for some in bodies?.chunks(AT_ONCE) {
            let Some(body) = alert::bytes(&some) else { continue };
            match post.send("", MEDIA_TYPE, body).map_err(NotYet::Later)? {
                Taken::Yes => did.sent += some.len() as u64,
                Taken::Never(status) => {
                    let (receiver, status) = (&self.receiver.name, status.as_u16());
                    tracing::warn!(receiver, status, "refuses alerts");
                    did.refused += some.len() as u64;
                }
            }
        }
        if is_due {
            self.again = now.saturating_add(nanos(self.resend));
        }
        Ok(())
    }

    /// Alerts of what changed, and of all that stands if they are due.
    fn alerts(
        &self,
        firing: &mut BTreeMap<Alike, u64>,
        new: &Changes,
        store: &dyn Store,
        now: u64,
        is_due: bool,
    ) -> Result<Vec<AlertShape>, StoreError> {
        let mut about: BTreeSet<Alike> = BTreeSet::new();
        let mut ended: BTreeMap<Alike, (&FindingRecord, u64)> = BTreeMap::new();
        for change in new.changes.iter().filter(|change| self.receiver.wants(&change.finding)) {
            let Some(alike) = alike(&change.finding) else { continue };
            about.insert(alike);
            ended.insert(alike, (&change.finding, change.at));
        }
        if is_due {
            about.extend(firing.keys());
        }
        let good_until = now.saturating_add(nanos(self.resend * GOOD_FOR));
        let mut bodies = Vec::new();
        for alike in about {
            let (record, since, until) = match newest(store, alike)? {
                Some(record) => {
                    let raised = record.raised;
                    let since = match firing.len() < FIRING {
                        true => *firing.entry(alike).or_insert(raised),
                        false => firing.get(&alike).copied().unwrap_or(raised),
                    };
                    (record, since, good_until)
                }
                None => {
                    let since = firing.remove(&alike);
                    match ended.get(&alike) {
                        Some((record, at)) => ((*record).clone(), since.unwrap_or(record.raised), *at),
                        // It is kept no longer: the Alertmanager lets it end.
                        None => continue,
                    }
                }
            };
            if let Ok(finding) = serde_json::from_str::<ReadFinding>(&record.body) {
                bodies.push(AlertShape::new(&finding, since.min(until), until, self.pages.as_deref()));
            }
        }
        Ok(bodies)
    }

    /// What stands as of the store: of more than [`FIRING`], those with the newest findings.
    fn standing(&self, store: &dyn Store) -> Result<BTreeMap<Alike, u64>, StoreError> {
        let mut firing: BTreeMap<Alike, u64> = BTreeMap::new();
        let mut query = FindingQuery { state: Some(State::Open), limit: PAGE, ..FindingQuery::default() };
        loop {
            let found = store.findings(&query)?;
            for record in found.iter().filter(|record| self.receiver.wants(record)) {
                if let Some(alike) =
                    alike(record).filter(|alike| firing.len() < FIRING || firing.contains_key(alike))
                {
                    let since = firing.entry(alike).or_insert(record.raised);
                    *since = record.raised.min(*since);
                }
            }
            query.after = found.last().map(FindingRecord::cursor);
            if found.len() < PAGE {
                return Ok(firing);
            }
        }
    }
}

fn alike(record: &FindingRecord) -> Option<Alike> {
    let finding: ReadFinding = serde_json::from_str(&record.body).ok()?;
    Some((FindingId(hex::id(&finding.group_id)?), record.severity))
}

/// The newest of those that are alike and open.
fn newest(store: &dyn Store, (group, severity): Alike) -> Result<Option<FindingRecord>, StoreError> {
    let query = FindingQuery {
        group: Some(group),
        severity: Some(severity),
        state: Some(State::Open),
        limit: 1,
        ..FindingQuery::default()
    };
    Ok(store.findings(&query)?.pop())
}
