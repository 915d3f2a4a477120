//! What traces are judged by.

use hopseal_correlate::dialect::Dialects;
use hopseal_correlate::policy::Policy;

use crate::seal_check::SealCheck;

/// What traces are judged by.
#[derive(Debug)]
pub(crate) struct Rules {
    /// What is declared.
    pub(crate) policy: Policy,
    /// What attribute keys mean.
    pub(crate) dialects: Dialects,
    /// Checks seals again.
    pub(crate) seals: Option<SealCheck>,
}
