//! What traces are judged by.

use std::sync::Arc;

use hopseal_correlate::dialect::Dialects;
use hopseal_correlate::judge::Judge;
use hopseal_correlate::policy::Policy;
use hopseal_correlate::record::Span;
use hopseal_correlate::sink::TraceId;
use hopseal_correlate::who::SealVerdict;

use crate::seal_check::SealCheck;

/// What traces are judged by.
#[derive(Debug)]
pub(crate) struct Rules {
    /// What is declared.
    pub(crate) policy: Policy,
    /// What attribute keys mean. Records hold numbers of these keys, so in one process there is one map, shared by all that
    /// come after each other.
    pub(crate) dialects: Arc<Dialects>,
    /// Checks seals again.
    pub(crate) seals: Option<SealCheck>,
}

impl Rules {
    /// The judge of `check`, with these rules.
    pub(crate) fn with_judge<T>(&self, judged: impl FnOnce(&Judge<'_>) -> T) -> T {
        let seal = |trace_id: TraceId, span: &Span<'_>| -> Option<SealVerdict> {
            self.seals.as_ref().and_then(|seals| seals.verdict(trace_id, span))
        };
        judged(&Judge { dialects: &self.dialects, policy: &self.policy, seal: &seal })
    }
}
