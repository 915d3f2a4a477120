//! What names somebody, shown or left out: it is for those who may ask what one principal did.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::access::{Asker, Role};
use super::store::{FindingRecord, HopRecord, TraceRecord};
use crate::output::trail::without_names;

/// Whether who asks sees whose identity it was. Who is not known sees none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identities {
    Shown,
    Withheld,
}

impl<S: Sync> FromRequestParts<S> for Identities {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let asker = parts.extensions.get::<Asker>();
        Ok(match asker.is_some_and(|asker| asker.role >= Role::Auditor) {
            true => Self::Shown,
            false => Self::Withheld,
        })
    }
}

impl Identities {
    /// The same hops as they may be shown.
    pub(crate) fn of_hops(self, mut hops: Vec<HopRecord>) -> Vec<HopRecord> {
        if self == Self::Withheld {
            hops.iter_mut().for_each(withhold);
        }
        hops
    }

    /// The same findings as they may be shown.
    ///
    /// # Errors
    /// A finding is not what was written.
    pub(crate) fn of_findings(
        self,
        mut findings: Vec<FindingRecord>,
    ) -> Result<Vec<FindingRecord>, serde_json::Error> {
        if self == Self::Withheld {
            for finding in &mut findings {
                finding.body = without_names(&finding.body)?;
            }
        }
        Ok(findings)
    }

    /// The same trace as it may be shown.
    ///
    /// # Errors
    /// A finding is not what was written.
    pub(crate) fn of_trace(self, trace: TraceRecord) -> Result<TraceRecord, serde_json::Error> {
        let TraceRecord { judged, hops, findings } = trace;
        Ok(TraceRecord { judged, hops: self.of_hops(hops), findings: self.of_findings(findings)? })
    }
}

/// That there is somebody stays, and of what kind: else nobody could tell such a hop from one without an identity.
fn withhold(hop: &mut HopRecord) {
    let Some(who) = &mut hop.principal else { return };
    who.id.clear();
    who.tenant = None;
    who.actors.iter_mut().for_each(|actor| actor.id.clear());
}
