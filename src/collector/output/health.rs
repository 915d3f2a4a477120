//! Whether the service is well, for machines.

use serde::Serialize;

/// What `/healthz` and `/readyz` answer.
#[derive(Debug, Serialize)]
pub(crate) struct HealthShape {
    /// `alive` or `broken`, `ready` or `not_ready`.
    pub(crate) status: &'static str,
    /// Why: words of a closed set. Left out where all is well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) reasons: Vec<&'static str>,
}
